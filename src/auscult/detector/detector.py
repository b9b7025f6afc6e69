"""The detector: members, thresholds and the alarm logic of some machines, in one file to carry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.detector.alarms import AlarmSettings
from auscult.detector.calibration import Calibration
from auscult.detector.scorer import Scorer
from auscult.errors import DetectorError, nearest
from auscult.members.part import Part
from auscult.sound.audio import probe
from auscult.sound.condition import Condition
from auscult.sound.windows import Waveform, sound_blocks, windows_of

Decision = Literal["normal", "anomalous", "unknown"]


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a detector.

    Attributes:
        name: by which users call it.
        machine_id: by which the models know it.
        calibration: its threshold and what is known about it; none if nothing was calibrated.
        condition: how its normal sound came; none if it is not known.
    """

    name: str
    machine_id: str
    calibration: Calibration | None = None
    condition: Condition | None = None

    @property
    def threshold(self) -> float | None:
        """A window is above it when its score is greater; none without a calibration."""
        return None if self.calibration is None else self.calibration.threshold


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """What a detector says of a sound. Higher is more abnormal.

    Attributes:
        machine: its name.
        score: of the sound's one window; of a longer sound, what the alarm logic compares with the threshold at the
            worst moment: the k-th largest score of n windows on end (of all, if there are fewer than k).
        threshold: none without a calibration.
        p_value: how likely a normal sound of so many windows has such a score or a higher one, at most; none where
            there is no calibration for such a sound.
        decision: "anomalous" if the score is above the threshold, "unknown" if there is no threshold for such a sound.
        reason: why the decision is unknown; else empty.
        windows: whose scores count: those that are no silence, clipped or with a drop-out in them, if there are such.
        start: of the window with the highest score, in seconds.
        seconds: length of that window.
        families: family -> standardised score of that window, the weighted mean of the family's members.
        members: member -> standardised score of that window.
        frame_scores: of the member with the greatest weight in that window `[N']`; none if they were not asked for.
        error_map: where in time and frequency it heard the unexpected `[N, F]`, NaN where nothing was predicted.
        seconds_per_frame: distance of frames.
    """

    machine: str
    score: float
    threshold: float | None
    p_value: float | None
    decision: Decision
    reason: str
    windows: int
    start: float
    seconds: float
    families: dict[str, float]
    members: dict[str, float]
    frame_scores: NDArray[np.float64] | None
    error_map: NDArray[np.float64] | None
    seconds_per_frame: float


@dataclass(frozen=True, eq=False)
class Detector:
    """Scores sounds of some machines and decides by their thresholds.

    Attributes:
        parts: the members, each with front end, scale and weight.
        machines: name -> machine.
        window_seconds: length of the windows that the calibration scored.
        step_seconds: from one window to the next.
        alarm: logic by which windows become alarms.
        provenance: what it was made of: JSON, for people to read.
        licence: of the training data, if it was given.
    """

    parts: Sequence[Part]
    machines: dict[str, Machine]
    window_seconds: float
    step_seconds: float
    alarm: AlarmSettings = field(default_factory=AlarmSettings)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""

    @classmethod
    def load(cls, path: Path | str, *, device: str = "cpu") -> Self:
        """Read a detector's file; nothing in it is executed, and nothing is written.

        Raises:
            DetectorError: if the file is missing, damaged, of a newer version or not to be trusted.
        """
        from auscult.detector.file import read_detector

        return cls(**read_detector(Path(path), device=device))

    def save(self, path: Path | str) -> None:
        """Write the detector's file by way of a temporary name.

        Raises:
            RunError: if the disk is full or the folder cannot be written to.
        """
        from auscult.detector.file import write_detector

        write_detector(self, Path(path))

    @cached_property
    def scorer(self) -> Scorer:
        """Of all parts."""
        return Scorer(self.parts)

    @cached_property
    def sample_rate(self) -> int:
        """At which sounds are read, in Hz: the highest of its front ends."""
        return max(part.front_end.sample_rate for part in self.parts)

    @property
    def channel(self) -> int:
        """Of multi-channel files, counted from 0."""
        return self.parts[0].front_end.channel

    def machine(self, name: str | None = None) -> Machine:
        """The machine of a name; the only one if none is given.

        Raises:
            DetectorError: if there is no such machine, or none is named where there are several.
        """
        known = ", ".join(self.machines)
        if name is None:
            if len(self.machines) != 1:
                raise DetectorError(
                    f"the detector knows the machines {known}; say which one made the sound (--machine, machine_id)"
                )
            return next(iter(self.machines.values()))
        if name not in self.machines:
            raise DetectorError(
                f"the detector does not know the machine {name!r}{nearest(name, self.machines)}; it knows {known}"
            )
        return self.machines[name]

    def window_scores(self, waveform: Waveform, *, machine_id: str | None = None) -> float:
        """The score of one window `[T]` at the detector's rate: what the calibration and the monitor threshold."""
        machine = self.machine(machine_id)
        return self.scorer.score(waveform, machine.machine_id, sample_rate=self.sample_rate).score

    def score(
        self,
        sound: Path | str | ArrayLike,
        *,
        sample_rate: int | None = None,
        machine_id: str | None = None,
        evidence: bool = True,
    ) -> Score:
        """Score a sound of any length.

        Args:
            sound: a file, or a waveform `[T]`, full scale is 1.
            sample_rate: of a waveform, in Hz.
            machine_id: name of the machine that made it; needed where the detector knows several.
            evidence: also give frame scores and error map.

        Raises:
            AudioError: if the file or the array is no sound.
            DetectorError: if the machine is not known.
            FeatureError, ModelError: if the sound is too short for a member.
        """
        from auscult.detector.scoring import score_sound

        machine = self.machine(machine_id)
        blocks = sound_blocks(sound, sample_rate=self.sample_rate, given_rate=sample_rate, channel=self.channel)
        length, step = (self.samples(seconds) for seconds in (self.window_seconds, self.step_seconds))
        windows = windows_of(blocks, length=length, step=step)
        given = probe(Path(sound)).sample_rate if isinstance(sound, (Path, str)) else sample_rate or 0
        return score_sound(self, machine, windows, given_rate=given, evidence=evidence)

    def samples(self, seconds: float) -> int:
        """Samples at the detector's rate, at least 1."""
        return max(1, round(seconds * self.sample_rate))
