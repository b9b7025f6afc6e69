"""The alarm of a machine and, where there is that level, its warning; the thresholds in force, which may change."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from auscult.detector.alarms import AlarmEvent, AlarmState
from auscult.errors import MonitorError
from auscult.live.watch import Watch

Level = Literal["warning", "alarm"]


class AlarmLevels:
    """Alarm and warning by the same rule, window by window.

    Args:
        watch: the machine and the rule.
        name: begins the ids of all alarms and warnings.
    """

    def __init__(self, watch: Watch, *, name: str) -> None:
        self._watch, self._name = watch, name
        self.alarm = AlarmState(watch.threshold, watch.settings, spread=watch.spread, name=name)
        self.warning = self._fresh(watch.warning)
        self._ordered: tuple[float, float | None] | None = None
        self._gone: tuple[str, float] | None = None  # a warning that was raised when its level went, and that level

    @property
    def threshold(self) -> float:
        """Of alarms, in force."""
        return self.alarm.threshold

    @property
    def thresholds(self) -> tuple[float, float | None]:
        """Of alarms and of warnings, in force; None if there is no level of warnings."""
        return self.alarm.threshold, None if self.warning is None else self.warning.threshold

    def word(self) -> str:
        """ALARM, warning, or nothing."""
        return "ALARM" if self.alarm.active else "warning" if self.warning and self.warning.active else ""

    def order(self, threshold: float, warning: float | None) -> None:
        """Let `obey` set other thresholds; any thread may call it.

        Raises:
            MonitorError: if they make no sense.
        """
        check_thresholds(threshold, warning)
        self._ordered = threshold, warning

    def obey(self) -> None:
        """Set the thresholds that were ordered since the last time, if any were."""
        ordered, self._ordered = self._ordered, None
        if ordered is not None:
            self.set(*ordered)

    def set(self, threshold: float, warning: float | None) -> None:
        """Other thresholds from the next window on; what is raised stays raised until it is cleared by them.

        Raises:
            MonitorError: if they make no sense.
        """
        check_thresholds(threshold, warning)
        self.alarm.threshold = threshold
        if self.warning is None:
            self.warning = self._fresh(warning)
        elif warning is not None:
            self.warning.threshold = warning
        else:
            self._leave(self.warning.active, self.warning.threshold)
            self.warning = None

    def update(self, time: float, score: float | None) -> Iterator[tuple[Level, AlarmEvent, float]]:
        """Take the next window: what it raises or clears, with the threshold of that level.

        Args:
            time: of the window's end, in seconds of sound.
            score: None for a window that could not be scored.
        """
        if self._gone is not None and score is not None:
            (key, level), self._gone = self._gone, None
            yield "warning", AlarmEvent("cleared", key, time, score), level
        levels: tuple[tuple[Level, AlarmState | None], ...] = (("warning", self.warning), ("alarm", self.alarm))
        for kind, state in levels:
            if state is not None and (event := state.update(time, score)) is not None:
                yield kind, event, state.threshold

    def to_json(self) -> dict[str, Any]:
        """All that `resume` needs to go on."""
        gone = None if self._gone is None else {"active": self._gone[0]}
        return {"alarm": self.alarm.to_json(), "warning": gone if self.warning is None else self.warning.to_json()}

    def resume(self, alarm: Mapping[str, Any], warning: Mapping[str, Any], *, same_detector: bool) -> None:
        """Go on where `to_json` stood; scores of another detector are forgotten.

        Raises:
            AlarmError: if the data are damaged.
        """
        rule = self._watch.settings
        alarm, warning = ({**saved, **({} if same_detector else {"history": []})} for saved in (alarm, warning))
        self.alarm = AlarmState.from_json(alarm, self.threshold, rule, spread=self._watch.spread)
        if self.warning is None:
            self._leave(warning.get("active"), self.threshold)
        elif "name" in warning:
            self.warning = AlarmState.from_json(warning, self.warning.threshold, rule, spread=self._watch.spread)
        else:
            self._leave(warning.get("active"), self.warning.threshold)

    def _fresh(self, warning: float | None) -> AlarmState | None:
        if warning is None:
            return None
        return AlarmState(warning, self._watch.settings, spread=self._watch.spread, name=f"{self._name}-w")

    def _leave(self, active: object, level: float) -> None:
        if active is not None:
            self._gone = str(active), level


def check_thresholds(threshold: float, warning: float | None) -> None:
    """Refuse thresholds that make no sense.

    Raises:
        MonitorError: if one is not finite, or warnings do not come before alarms.
    """
    if not math.isfinite(threshold) or (warning is not None and not -math.inf < warning < threshold):
        raise MonitorError(
            f"the threshold is {threshold}, that of warnings {warning}; give finite numbers, warnings lower"
        )
