"""What is watched: the scorer of windows, the machine, and the rule by which scores become alarms."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auscult.detector import Detector
from auscult.detector.alarms import AlarmSettings
from auscult.detector.calibration.result import format_rate
from auscult.errors import AuscultError, MonitorError
from auscult.sound.audio import Channel
from auscult.sound.condition import Condition


class WindowScorer(Protocol):
    """What scores windows.

    Attributes:
        sample_rate: of windows, in Hz.
        window_seconds: length of a window.
        step_seconds: distance of their starts.
        channel: that is scored; or two, whose windows are `[T, 2]`.
    """

    sample_rate: int
    window_seconds: float
    step_seconds: float
    channel: Channel

    def score(self, window: NDArray[np.float32]) -> float:
        """The score of one window, `[T]` or `[T, 2]`; higher is more abnormal."""
        ...

    def words(self, window: NDArray[np.float32]) -> dict[str, Any]:
        """What an alarm that a window raises says besides: `words` and `differences`; may be empty."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """Which machine is watched, and by which rule.

    Args:
        machine_id: its name.
        threshold: a window is above it when its score is greater.
        spread: of normal scores.
        settings: the alarm logic.
        condition: how its normal sound came, if known.
        detector: what made the scores; scores of another one are not compared with them after a restart.
        warning: lower threshold of warnings, by the same logic; none if there is no such level.
        caveat: what must be known of an extrapolated threshold; else empty.
    """

    machine_id: str
    threshold: float
    spread: float
    settings: AlarmSettings
    condition: Condition | None = None
    detector: str = ""
    warning: float | None = None
    caveat: str = ""


class DetectorScorer:
    """A detector's scores of one machine's windows: the code that scores files.

    Args:
        detector: what scores.
        machine: the name of one of its machines; may be left out if there is only one.
    """

    def __init__(self, detector: Detector, machine: str | None) -> None:
        self._detector, self._machine = detector, detector.machine(machine)
        self._scorer, self._machine_id = detector.scorer, self._machine.machine_id
        self.sample_rate, self.channel = detector.sample_rate, detector.channel
        self.window_seconds, self.step_seconds = detector.window_seconds, detector.step_seconds

    def score(self, window: NDArray[np.float32]) -> float:
        """The score of one window."""
        return self._scorer.score(window, self._machine_id, sample_rate=self.sample_rate).score

    def words(self, window: NDArray[np.float32]) -> dict[str, Any]:
        """In what one window differs from normal sound: a sentence, and its parts as JSON."""
        from auscult.detector.difference import sentence
        from auscult.detector.words import differences_of

        try:
            found = differences_of(self._detector, self._machine, window)
        except AuscultError:  # an alarm is raised, whatever becomes of its words
            return {}
        return {"words": sentence(found), "differences": [one.to_json() for one in found]}


def watch_machine(
    detector: Detector, machine: str | None, *, name: str, threshold: float | None = None, **changes: Any
) -> tuple[Watch, list[str]]:
    """The rule of a machine as it was calibrated, or changed; and what is lost by that, in sentences.

    Args:
        detector: knows the machine and its calibration.
        machine: its name; may be left out if there is only one.
        name: identifies the detector after a restart.
        threshold: instead of the calibrated one.
        changes: other values of `AlarmSettings`; None leaves the calibrated one.

    Raises:
        DetectorError: if the machine is not known.
        MonitorError: if there is no threshold.
        AlarmError: if a value is out of range.
    """
    known = detector.machine(machine)
    calibration = known.calibration
    settings = detector.alarm if calibration is None else calibration.settings
    changed = {key: value for key, value in changes.items() if value not in (None, getattr(settings, key))}
    chosen = replace(settings, **changed)
    if calibration is None:
        if threshold is None:
            raise MonitorError(
                f"the detector has no threshold for {known.name}: it was not calibrated, or with too little sound; "
                "learn again with more, or give --threshold"
            )
        warnings = [f"the detector was not calibrated for {known.name}: nothing is known about false alarms"]
        return Watch(known.name, threshold, 0.0, chosen, known.condition, name), warnings
    before: Mapping[str, Any] = {key: getattr(settings, key) for key in changed}
    if threshold is not None and threshold != calibration.threshold:
        changed, before = {"threshold": threshold, **changed}, {"threshold": calibration.threshold, **before}
    warnings = []
    if changed:
        what = ", ".join(f"{key} is {value} instead of {before[key]}" for key, value in changed.items())
        warnings.append(
            f"{what}: the promise of at most {format_rate(calibration.promised)} false alarms was made for the "
            "calibrated settings and does not hold for these"
        )
    elif not calibration.supported:
        warnings += calibration.describe()[:3]
    used = calibration.threshold if threshold is None else threshold
    level = known.warning if known.warning is not None and known.warning < used else None
    caveat = calibration.caveat if threshold is None else ""
    return Watch(known.name, used, calibration.spread, chosen, known.condition, name, level, caveat), warnings
