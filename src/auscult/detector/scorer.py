"""The scorer: from a sound to the score of a system, and the share of each member in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.detector.files import score_files
from auscult.features.bank import bank_of
from auscult.features.heard import HeardSound, Waveform, key_of
from auscult.members.part import Part, Scored, Unscored, check_parts

Frames = Mapping[str, NDArray[np.float32]]
"""Frames `[N, F]` of one sound by the name of the part; parts that share a front end share the array."""


class Scorer:
    """Scores sounds with a system of members.

    What members share is made once for each sound: the file is read once, resampled once to each rate, denoised once by
    each denoiser; and members whose front ends have the same configuration share the frames.

    Args:
        parts: at least one.

    Attributes:
        parts: as given.
        weights: of the parts, scaled to the sum 1 `[M]`.

    Raises:
        ModelError: if there is no part, names repeat, a model is not fitted or wants frames of another width than its
            front end's, or means, deviations and weights are out of range.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        check_parts(parts)
        self.parts = tuple(parts)
        self._keys = {part.name: key_of(part.front_end) for part in parts}
        weights = np.array([part.weight for part in parts], dtype=np.float64)
        self.weights = weights / weights.sum()

    @property
    def on_gpu(self) -> bool:
        """Whether anything computes elsewhere than on processors."""
        devices = {part.model.device.type for part in self.parts}
        devices |= {str(getattr(part.front_end.features, "device", "cpu")) for part in self.parts}
        devices |= {one.unet.window.device.type for part in self.parts if (one := part.front_end.denoiser)}
        return devices != {"cpu"}

    def frames(self, sound: Path | Waveform, *, sample_rate: int | None = None) -> Frames:
        """The frames of a sound for each part.

        Args:
            sound: a file, or one channel of samples `[T]`.
            sample_rate: of samples, in Hz; a file has its own.

        Raises:
            AudioError: if the file cannot be read as it should be.
            FeatureError: if the sound is too short for a frame, or too loud for features.
            ModelError: for samples without a rate, of another shape, or not finite.
        """
        heard = HeardSound(sound, sample_rate)
        return {part.name: heard.frames(part.front_end, self._keys[part.name]) for part in self.parts}

    def score_frames(self, frames: Frames, machine_id: str) -> Scored:
        """Score what `frames` gave.

        Raises:
            ModelError: if there are fewer frames than a model needs, or one does not know the machine.
        """
        return self.combined({part.name: self.member_score(part, frames, machine_id) for part in self.parts})

    def member_score(self, part: Part, frames: Frames, machine_id: str) -> float:
        """Score of one part for what `frames` gave, in standard deviations above its mean; errors of `score_frames`."""
        bank = bank_of(frames[part.name][None], [machine_id], frame_rate=part.front_end.features.frame_rate)
        score = float(part.model.score_clips(bank, pooling=part.pooling)[0])
        return (score - part.mean) / part.sd

    def combined(self, members: dict[str, float]) -> Scored:
        """The system's score from those of all its parts."""
        return Scored(float(self.weights @ np.array([members[part.name] for part in self.parts])), members)

    def score(self, sound: Path | Waveform, machine_id: str, *, sample_rate: int | None = None) -> Scored:
        """Score one sound; see `frames` for the arguments and errors.

        With one thread of torch a member's score is that of a run, bit for bit; with more they differ by rounding.
        """
        return self.score_frames(self.frames(sound, sample_rate=sample_rate), machine_id)

    def score_files(
        self, paths: Iterable[Path], machine_ids: Iterable[str], *, workers: int = 1
    ) -> Iterator[Scored | Unscored]:
        """Score any number of files, in order; memory holds a few at a time.

        Each worker is a process with one thread, which reads, computes features and scores; a single one is this
        process. Where a GPU has a share in it, all is done in this process: as many threads read and compute features
        ahead of the models.

        Args:
            paths: of the files; may be an iterator.
            machine_ids: one for each file.
            workers: at least 1.

        Returns:
            An iterator: the score of each file, or why there is none; such a file does not disturb the others.

        Raises:
            RunError: if there is no worker.
            ValueError: at the end, if there were more paths than ids or the other way round.
        """
        return score_files(self, paths, machine_ids, workers=workers)
