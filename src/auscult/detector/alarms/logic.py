"""When the scores of sliding windows become an alarm: k of the last n windows, hysteresis, cool-down.

The rule:
    Of the last n *scored* windows, at least k lie above the threshold: an alarm is raised. It is cleared once fewer
    than `release_k` of the last n lie above the release level, which is the threshold or stands a margin below it.
    After that no alarm is raised for the cool-down. A window that cannot be scored (a gap, clipping, silence) is no
    evidence for either; after `gap_seconds` without a scored window the earlier ones are forgotten, and an alarm stays
    as it is.

Clocks:
    Only differences of times count, each limited to [0, gap_seconds], in whole microseconds: a clock that jumps, in
    either direction, neither raises nor clears anything, and time that nobody listened to does not use up a cool-down.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict

from auscult.errors import AlarmError

MOST_WINDOWS = 3600
"""That an alarm can be made of: an hour of them, where one comes each second."""


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """The options of the alarm logic.

    Args:
        k: windows above the threshold that raise an alarm.
        n: among the last so many scored windows.
        release_k: an alarm is cleared once fewer than so many of the last n are above the release level; at most k.
        release_margin: how far the release level lies below the threshold, in spreads of normal scores.
        cool_down_seconds: time after the end of an alarm in which none is raised.
        gap_seconds: time without a scored window after which earlier windows are forgotten; longer than a step.

    Raises:
        AlarmError: if a number is out of range.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    k: int = 3
    n: int = 5
    release_k: int = 1
    release_margin: float = 0.0
    cool_down_seconds: float = 60.0
    gap_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("k", "n", "release_k"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise AlarmError(f"{name} is {value!r}; it is a number of windows, a whole number")
        if self.n > MOST_WINDOWS:
            raise AlarmError(f"n is {self.n}; give at most {MOST_WINDOWS} windows")
        if not 1 <= self.k <= self.n:
            raise AlarmError(f"{self.k} of {self.n} windows cannot raise an alarm; give 1 <= k <= n")
        if not 1 <= self.release_k <= self.k:
            raise AlarmError(f"release_k is {self.release_k}; give at least 1 and at most k, here {self.k}")
        for name, least in (("release_margin", 0.0), ("cool_down_seconds", 0.0), ("gap_seconds", 1e-6)):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and least <= value < 1e9):
                raise AlarmError(f"{name} is {value!r}; give a number of at least {least:g}")

    def release_level(self, threshold: float, *, spread: float) -> float:
        """The level below which windows count as calm: the threshold less the margin."""
        return threshold - self.release_margin * spread


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """An alarm was raised or cleared.

    Args:
        kind: "raised" or "cleared".
        alarm_id: the same for both events of an alarm.
        time: of the window that decided, in seconds, by the clock that the windows came with.
        score: the k-th largest of the last n scores when raised, the release_k-th largest when cleared.
    """

    kind: Literal["raised", "cleared"]
    alarm_id: str
    time: float
    score: float


class AlarmState:
    """The alarm logic of one machine, window by window; `to_json` and `from_json` carry it over a restart.

    A state that is older than the last event, as after a crash, gives that event again with the same id: who keeps the
    history can tell it from a new one.

    Args:
        threshold: a window is above it when its score is greater.
        settings: the alarm logic.
        spread: of normal scores, the unit of `release_margin`.
        name: begins every alarm's id; make it unique to the machine and to this start without a state.
    """

    def __init__(self, threshold: float, settings: AlarmSettings, *, spread: float, name: str = "alarm") -> None:
        if not math.isfinite(threshold) or not (math.isfinite(spread) and spread >= 0):
            raise AlarmError(f"the threshold is {threshold}, the spread {spread}; both must be finite numbers")
        self.threshold, self.settings, self.spread, self.name = threshold, settings, spread, name
        self.active: str | None = None
        self._raised = 0
        self._history: list[float] = []
        self._last_time: float | None = None
        self._listened = self._scored_at = self._ready_at = 0

    def update(self, time: float, score: float | None) -> AlarmEvent | None:
        """Take the next window; at most one event can follow.

        Args:
            time: of the window's end, in seconds.
            score: None for a window that could not be scored.

        Raises:
            AlarmError: if the time or the score is not finite.
        """
        if not math.isfinite(time) or (score is not None and not math.isfinite(score)):
            raise AlarmError(f"a window at {time} s has the score {score}; give finite numbers, or None for no score")
        if self._last_time is not None:
            self._listened += _microseconds(time - self._last_time, self.settings)
        self._last_time = time
        if score is None:
            return None
        if self._listened - self._scored_at >= whole(self.settings.gap_seconds):
            self._history.clear()
        self._scored_at = self._listened
        self._history = [*self._history, score][-self.settings.n :]
        return self._decide(time)

    def _decide(self, time: float) -> AlarmEvent | None:
        settings, ordered = self.settings, sorted(self._history, reverse=True)
        if self.active is None:
            if len(ordered) < settings.k or self._listened < self._ready_at:
                return None
            level = ordered[settings.k - 1]
            if level <= self.threshold:
                return None
            self._raised += 1
            self.active = f"{self.name}-{self._raised}"
            return AlarmEvent("raised", self.active, time, level)
        level = ordered[min(settings.release_k, len(ordered)) - 1]
        if len(ordered) < settings.n or level > settings.release_level(self.threshold, spread=self.spread):
            return None
        event = AlarmEvent("cleared", self.active, time, level)
        self.active = None
        self._ready_at = self._listened + whole(settings.cool_down_seconds)
        return event

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs to go on, as JSON."""
        return {
            "name": self.name,
            "active": self.active,
            "raised": self._raised,
            "history": list(self._history),
            "last_time": self._last_time,
            "listened": self._listened,
            "scored_at": self._scored_at,
            "ready_at": self._ready_at,
        }

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], threshold: float, settings: AlarmSettings, *, spread: float
    ) -> "AlarmState":
        """Go on where `to_json` stood; threshold and settings may be new ones.

        Raises:
            AlarmError: if the data are damaged.
        """
        try:
            state = cls(threshold, settings, spread=spread, name=str(data["name"]))
            state.active = None if data["active"] is None else str(data["active"])
            state._raised = int(data["raised"])
            state._history = [float(score) for score in data["history"]][-settings.n :]
            state._last_time = None if data["last_time"] is None else float(data["last_time"])
            state._listened, state._scored_at, state._ready_at = (
                int(data[name]) for name in ("listened", "scored_at", "ready_at")
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise AlarmError(
                f"the saved state of an alarm is damaged ({error!r}); delete it to start afresh"
            ) from error
        finite = all(map(math.isfinite, [*state._history, state._last_time or 0.0]))
        if not finite or min(state._raised, state._listened, state._scored_at, state._ready_at) < 0:
            raise AlarmError("the saved state of an alarm is damaged (impossible numbers); delete it to start afresh")
        return state


def k_of_n(text: str) -> tuple[int, int]:
    """The numbers of an alarm logic that is written as k/n.

    Raises:
        AlarmError: if it is not.

    >>> k_of_n("3/5")
    (3, 5)
    """
    k, slash, n = text.partition("/")
    if not (slash and k.strip().isdecimal() and n.strip().isdecimal()):
        raise AlarmError(f"the alarm logic {text!r} is not understood; write it as k/n, for instance 3/5")
    return int(k), int(n)


def whole(seconds: float) -> int:
    """Seconds as whole microseconds, whose sums are exact."""
    return round(seconds * 1e6)


def _microseconds(step: float, settings: AlarmSettings) -> int:
    """The part of a step of the clock, in seconds, that counts."""
    return whole(min(max(step, 0.0), settings.gap_seconds))
