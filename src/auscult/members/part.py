"""What a system is made of and what it says: its members, the score of a sound, the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from auscult.errors import ModelError
from auscult.features.front_end import FrontEnd
from auscult.features.heard import FrontEnds, Waveform
from auscult.models import Model
from auscult.scores.fusion import Curve, standardised


@dataclass(frozen=True, slots=True)
class Part:
    """A member of a system, with all that turns a sound into its share of the score.

    Attributes:
        name: unique in the system.
        family: of the model.
        front_end: from a sound to frames.
        model: fitted.
        pooling: of frame scores, for families that pool; none for the family's default.
        mean: of the scores of normal clips, by which its scores are standardised.
        sd: their standard deviation.
        weight: of its standardised score, relative to those of the others.
        curve: of its scale, see `standardise`.
    """

    name: str
    family: str
    front_end: FrontEnd
    model: Model
    pooling: str | None
    mean: float
    sd: float
    weight: float
    curve: Curve = "line"

    def frames(self, waveform: Waveform, *, sample_rate: int) -> NDArray[np.float32]:
        """The frames `[N, F]` that it makes of samples `[T]` or `[T, 2]` with their rate in Hz (see `FrontEnds`)."""
        return FrontEnds({self.name: self.front_end}).frames(waveform, sample_rate=sample_rate)[self.name]

    def standardise(self, score: float) -> float:
        """A score on the scale of normal ones."""
        return float(standardised(np.array(score), self.mean, self.sd, self.curve))


@dataclass(frozen=True, slots=True)
class Scored:
    """What a system says of a sound; higher is more abnormal.

    Attributes:
        score: of the members' scores, by the system's fusion.
        members: name of a part -> its standardised score.
    """

    score: float
    members: dict[str, float]


def check_parts(parts: Sequence[Part]) -> None:
    """Refuse what is no system.

    Raises:
        ModelError: see `Scorer`.
    """
    names = [part.name for part in parts]
    if not parts or len(set(names)) < len(names):
        raise ModelError(f"a system has the parts {', '.join(names) or 'none'}; give at least one, each with its name")
    for part in parts:
        if not part.model.fitted:
            raise ModelError(f"{part.name}: the model knows no machine yet; call fit or load first")
        if part.model.n_bins != part.front_end.features.n_bins:
            raise ModelError(
                f"{part.name}: the front end gives {part.front_end.features.n_bins} bins, and the model was made for "
                f"{part.model.n_bins}; give the front end that it was trained with"
            )
        if not (isfinite(part.mean) and isfinite(part.sd) and part.sd > 0 and isfinite(part.weight)):
            raise ModelError(
                f"{part.name}: mean {part.mean}, standard deviation {part.sd}, weight {part.weight}; give finite "
                "numbers and a deviation above 0"
            )
    weights = [part.weight for part in parts]
    if min(weights) < 0 or not sum(weights) > 0:
        raise ModelError(f"the parts have the weights {weights}; give weights of at least 0, one of them above")
