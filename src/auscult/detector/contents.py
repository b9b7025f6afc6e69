"""What a detector holds: its members, and its machines with what was calibrated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.detector.alarms import AlarmSettings
from auscult.detector.calibration.result import Calibration
from auscult.detector.scorer import Scorer
from auscult.errors import DetectorError
from auscult.members.part import Part
from auscult.scores.fusion import Fusion
from auscult.sound.audio import Channel
from auscult.sound.condition import Condition, Origin

NEARLY = 0.99
"""Share of a window's length from which on a sound counts as a window: recorders stop a little early."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a detector.

    Attributes:
        name: by which users call it.
        machine_id: by which the models know it.
        calibration: its threshold and what is known about it; none if nothing was calibrated.
        condition: how its normal sound came; none if it is not known.
        origin: of what kind its recordings were; none if it is not known.
        normal: what its normal sounds have in common, as arrays of `auscult.detector.normal.Normal`; none if unknown.
    """

    name: str
    machine_id: str
    calibration: Calibration | None = None
    condition: Condition | None = None
    origin: Origin | None = None
    normal: Mapping[str, NDArray[np.float64]] | None = field(default=None, compare=False)

    @property
    def threshold(self) -> float | None:
        """A window is above it when its score is greater; none without a calibration."""
        return None if self.calibration is None else self.calibration.threshold

    @property
    def warning(self) -> float | None:
        """The lower threshold of warnings; none without such a level."""
        return None if self.calibration is None or not self.calibration.warning else self.calibration.warning.threshold


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a detector's file says.

    Attributes:
        parts: the members, each with front end, scale and weight.
        machines: name -> machine.
        window_seconds: length of the windows that the calibration scored.
        step_seconds: from one window to the next.
        alarm: logic by which windows become alarms.
        provenance: what it was made of: JSON, for people to read.
        licence: of the training data, if it was given.
        fusion: how the scores of the members become one.
    """

    parts: Sequence[Part]
    machines: dict[str, Machine]
    window_seconds: float
    step_seconds: float
    alarm: AlarmSettings = field(default_factory=AlarmSettings)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    fusion: Fusion = "mean"

    @cached_property
    def scorer(self) -> Scorer:
        """Of all parts."""
        return Scorer(self.parts, self.fusion)

    @cached_property
    def leading(self) -> Part:
        """The member with the greatest weight."""
        return max(self.parts, key=lambda part: part.weight)

    @cached_property
    def sample_rate(self) -> int:
        """At which sounds are read, in Hz: the highest of its front ends."""
        return max(part.front_end.sample_rate for part in self.parts)

    @property
    def channel(self) -> Channel:
        """Of multi-channel files, counted from 0; or two, near the machine and far from it."""
        return self.parts[0].front_end.channel

    def listening(self, near: int | None) -> Channel:
        """What is read of a recording: the detector's channel, or another one that is near the machine.

        Raises:
            DetectorError: if that is the far microphone's.
        """
        if near is None or isinstance(self.channel, int):
            return self.channel if near is None else near
        if near == self.channel[1]:
            raise DetectorError(f"--channel is {near}, where the far microphone is; name the one near the machine")
        return near, self.channel[1]

    def samples(self, seconds: float) -> int:
        """Samples at the detector's rate, at least 1."""
        return max(1, round(seconds * self.sample_rate))
