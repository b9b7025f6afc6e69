"""The parts of a detector: members with their front ends and scales, and the score that they give a sound together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.audio import resample
from auscult.errors import FeatureError
from auscult.features.bank import Bank, bank_of
from auscult.features.front_end import FrontEnd
from auscult.models import Model


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One member of a detector.

    Attributes:
        name: of the member, unique in the detector.
        family: of its model.
        front_end: waveform -> frames; parts with the same front end share one object.
        model: fitted.
        pooling: of frame scores, for families that pool.
        mean: of the scores of normal training sounds.
        sd: their standard deviation.
        weight: of the standardised score in the detector's.
    """

    name: str
    family: str
    front_end: FrontEnd
    model: Model
    pooling: str | None
    mean: float
    sd: float
    weight: float

    def score(self, bank: Bank) -> float:
        """The standardised score of the one clip of a bank."""
        return (float(self.model.score_clips(bank, pooling=self.pooling)[0]) - self.mean) / self.sd


@dataclass(frozen=True, slots=True)
class Scored:
    """What parts say of a sound: the `score`, and the standardised scores of the `members` by name."""

    score: float
    members: dict[str, float]


class Scorer:
    """Scores sounds by all parts; each front end is computed once.

    Args:
        parts: at least one.

    Attributes:
        sample_rate: highest rate that a front end reads at, in Hz.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self._front_ends = {id(part.front_end): part.front_end for part in parts}
        self.sample_rate = max(rate_of(front_end) for front_end in self._front_ends.values())

    def banks(self, waveform: NDArray[np.float32], *, sample_rate: int, machine_id: str) -> dict[int, Bank]:
        """The frames of a waveform `[T]` by each front end, by its `id`, each as a bank of one clip."""
        return {
            key: bank_of(
                [frames_of(front_end, waveform, sample_rate=sample_rate)],
                [machine_id],
                frame_rate=front_end.features.frame_rate,
            )
            for key, front_end in self._front_ends.items()
        }

    def score(self, waveform: NDArray[np.float32], machine_id: str, *, sample_rate: int) -> Scored:
        """Score one waveform `[T]` at a rate in Hz."""
        banks = self.banks(waveform, sample_rate=sample_rate, machine_id=machine_id)
        members = {part.name: part.score(banks[id(part.front_end)]) for part in self.parts}
        return Scored(sum(part.weight * members[part.name] for part in self.parts), members)


def rate_of(front_end: FrontEnd) -> int:
    """The rate at which a front end reads sounds, in Hz."""
    return front_end.features.sample_rate if front_end.denoiser is None else front_end.denoiser.sample_rate


def frames_of(front_end: FrontEnd, waveform: NDArray[np.float32], *, sample_rate: int) -> NDArray[np.float32]:
    """The frames `[N, F]` of a waveform `[T]` as the front end computes them of a file.

    Raises:
        FeatureError: if the waveform is too short for a frame, or its samples are too large for features.
    """
    rate, denoiser = front_end.features.sample_rate, front_end.denoiser
    if denoiser is not None:
        waveform = denoiser(resample(waveform, sample_rate, denoiser.sample_rate))
        sample_rate = denoiser.sample_rate
    resampled = resample(waveform, sample_rate, rate)
    frames = front_end.features(resampled)
    if not np.isfinite(frames).all():
        raise FeatureError(
            f"the features are not finite; samples reach {np.abs(resampled).max():.3g} where full scale is 1. "
            "Repair or leave out the sound"
        )
    return frames
