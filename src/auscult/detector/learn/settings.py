"""How a detector is learned: windows, promise, alarm logic, method."""

import math
from dataclasses import dataclass, field, replace

from auscult.detector.alarms import AlarmSettings
from auscult.detector.calibration.result import Method
from auscult.errors import DetectorError

WINDOW_SECONDS, STEP_SECONDS = 10.0, 1.0
DAY = 1 / 24

WINDOWS, COOL_DOWNS = 120, 60
"""That the calibration sound must have room for, where they may be shortened."""

LEAST_WINDOW = 1.0
"""In seconds, to which windows may be shortened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnSettings:
    """How a detector is learned.

    Args:
        rate: false alarms an hour that are promised.
        alarm: the alarm logic that the promise is about.
        window_seconds: length of a window.
        step_seconds: from one window to the next.
        method: "split" trains on the first half of each machine's sound and calibrates on the second; "cross-fitted"
            trains on all of it, and calibrates with models that each lack a fifth.
        adapt_window: take shorter windows where there is little sound (`for_seconds`).
        adapt_cool_down: likewise a shorter cool-down.

    Raises:
        DetectorError: for windows or steps out of range.
    """

    rate: float = DAY
    alarm: AlarmSettings = field(default_factory=AlarmSettings)
    window_seconds: float = WINDOW_SECONDS
    step_seconds: float = STEP_SECONDS
    method: Method = "split"
    adapt_window: bool = True
    adapt_cool_down: bool = True

    def __post_init__(self) -> None:
        if not 0.1 <= self.window_seconds <= 3600:
            raise DetectorError(f"windows of {self.window_seconds} s; give 0.1 to 3600 s")
        if not 0.01 <= self.step_seconds <= self.window_seconds:
            raise DetectorError(
                f"a step of {self.step_seconds} s; give at least 0.01 s and at most a window, {self.window_seconds} s"
            )

    @property
    def short_seconds(self) -> float:
        """Recordings shorter than this show the alarm logic too few windows: they are laid end to end."""
        return self.window_seconds + 2 * self.alarm.n * self.step_seconds

    def for_seconds(self, seconds: float) -> "LearnSettings":
        """The settings for an amount of calibration sound.

        A tail needs some tens of places where alarms could have been, and each takes a window and a cool-down.
        """
        window, alarm = self.window_seconds, self.alarm
        if self.adapt_window:
            window = min(window, max(LEAST_WINDOW, math.floor(2 * seconds / WINDOWS) / 2, self.step_seconds))
        if self.adapt_cool_down:
            cool_down = min(alarm.cool_down_seconds, float(round(seconds / COOL_DOWNS)))
            alarm = replace(alarm, cool_down_seconds=cool_down)
        return replace(self, window_seconds=window, alarm=alarm, adapt_window=False, adapt_cool_down=False)
