"""The scorer: from a sound to the score of a system, and the share of each member in it."""

from collections.abc import Sequence

import numpy as np

from auscult.features.bank import bank_of
from auscult.features.heard import FrontEnds, Waveform
from auscult.members.part import Part, Scored, check_parts
from auscult.scores.fusion import Fusion, fused


class Scorer:
    """Scores sounds with a system of members.

    What members share is made once for each sound (see `FrontEnds`).

    Args:
        parts: at least one.
        fusion: how their scores become one.

    Attributes:
        parts: as given.
        fusion: as given.
        weights: of the parts, scaled to the sum 1 `[M]`.
        front_ends: of the parts, by their names.

    Raises:
        ModelError: if there is no part, names repeat, a model is not fitted or wants frames of another width than its
            front end's, or means, deviations and weights are out of range.
    """

    def __init__(self, parts: Sequence[Part], fusion: Fusion = "mean") -> None:
        check_parts(parts)
        self.parts, self.fusion = tuple(parts), fusion
        self.front_ends = FrontEnds({part.name: part.front_end for part in parts})
        weights = np.array([part.weight for part in parts], dtype=np.float64)
        self.weights = weights / weights.sum()

    def score(self, waveform: Waveform, machine_id: str, *, sample_rate: int | None = None) -> Scored:
        """Score one channel of samples `[T]` with their rate in Hz.

        With one thread of torch a member's score is that of a run, bit for bit; with more they differ by rounding.

        Raises:
            FeatureError: if the sound is too short for a frame, or too loud for features.
            ModelError: for samples without a rate, of another shape, or not finite; if there are fewer frames than a
                model needs, or one does not know the machine.
        """
        frames = self.front_ends.frames(waveform, sample_rate=sample_rate)
        members: dict[str, float] = {}
        for part in self.parts:
            bank = bank_of(frames[part.name][None], [machine_id], frame_rate=part.front_end.features.frame_rate)
            score = float(part.model.score_clips(bank, pooling=part.pooling)[0])
            members[part.name] = part.standardise(score)
        every = np.array(list(members.values()))
        if self.fusion == "mean":
            return Scored(float(self.weights @ every), members)
        return Scored(float(fused(every[:, None], self.weights, self.fusion)[0]), members)
