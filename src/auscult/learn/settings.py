"""How a detector is learned: windows, promise, alarm logic, method."""

from dataclasses import dataclass, field, replace

from auscult.alarms import AlarmSettings
from auscult.calibration import Method
from auscult.errors import DetectorError

WINDOW_SECONDS, STEP_SECONDS = 10.0, 1.0
DAY = 1 / 24

COOL_DOWNS = 60
"""That the calibration sound must have room for, where it may be shortened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a detector is learned.

    Args:
        rate: false alarms an hour that are promised.
        alarm: the alarm logic that the promise is about.
        adapt: take a shorter cool-down where there is little sound (`alarm_for`).
        window_seconds: length of a window.
        step_seconds: from one window to the next.
        method: "split" trains on the first half of each machine's sound and calibrates on the second; "cross-fitted"
            trains on all of it, and calibrates with models that each lack a fifth.

    Raises:
        DetectorError: for windows or steps out of range.
    """

    rate: float = DAY
    alarm: AlarmSettings = field(default_factory=AlarmSettings)
    adapt: bool = True
    window_seconds: float = WINDOW_SECONDS
    step_seconds: float = STEP_SECONDS
    method: Method = "split"

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

    def alarm_for(self, seconds: float) -> AlarmSettings:
        """The alarm logic for an amount of calibration sound.

        A tail needs some tens of places where alarms could have been, and each takes a cool-down.
        """
        if not self.adapt:
            return self.alarm
        return replace(
            self.alarm, cool_down_seconds=min(self.alarm.cool_down_seconds, float(round(seconds / COOL_DOWNS)))
        )
