"""The scale of a member: by which normal clips its scores are standardised. One place for run, pack and learn."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from auscult.clips import Known
from auscult.features.bank import Bank
from auscult.models import Model
from auscult.scores.fusion import Curve

Method = Literal["training", "cross-fitted", "held-out", "asinh"]
METHODS: dict[Method, str] = {
    "training": "its training clips, which it knows too well",
    "cross-fitted": "its training clips, each scored by a model that learned from four fifths without it",
    "held-out": "the last tenth of each machine's training clips, which it did not learn from",
    "asinh": "its training clips, with the area hyperbolic sine of the deviation",
}
"""By what a member is standardised, in words."""

FOLDS = 5
"""Parts of the training clips of which cross-fitting holds out one at a time."""

HELD_OUT = 10
"""One in so many training clips is held out of a training that is dear."""

ENOUGH = 500
"""Training clips from which on a tenth can be spared; with fewer, what networks lose is more than the scale gains."""

FEWEST_HELD_OUT = 20
"""That a scale is made of."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """By what a member is standardised.

    Attributes:
        method: a key of `METHODS`.
        held_out: places of the training clips that it does not learn from.
    """

    method: Method = "training"
    held_out: tuple[int, ...] = ()

    @property
    def curve(self) -> Curve:
        """Of the scale."""
        return "asinh" if self.method == "asinh" else "line"

    @property
    def facts(self) -> list[str | int]:
        """What scores depend on, for keys; nothing where they are as they always were."""
        return [self.method, len(self.held_out)] if self.method in ("cross-fitted", "held-out") else []

    def kept(self, bank: Bank) -> Bank:
        """The training clips of a bank from which the member learns."""
        if not self.held_out:
            return bank
        return bank.select(np.setdiff1d(np.arange(bank.n_clips), self.held_out).tolist())


def scaling_of(model: Model, clips: Sequence[Known], *, unseen: bool, combined: bool) -> Scaling:
    """How a member is to be standardised, from what is known of its training clips: no score, no test clip.

    What learns in one pass is cross-fitted. What learns in epochs, and is combined with others, holds out a tenth of
    each machine's clips of each domain where there are `ENOUGH`, or else keeps all and has the curve asinh. A network
    that compares with the clips it was trained on always holds out a tenth: to itself a clip is no distance away.

    Args:
        model: of the member; it need not be fitted.
        clips: that it trains on.
        unseen: whether normal clips that it has not seen are to make the scale.
        combined: whether its score is compared with those of others.
    """
    counts = Counter(id_ for id_, *_ in clips)
    if not unseen:
        return Scaling()
    if not model.learns_in_epochs() and min(counts.values()) >= FOLDS * model.least_clips:
        return Scaling("cross-fitted")
    held_out = [place for places in _strata(clips) for place in places[len(places) - len(places) // HELD_OUT :]]
    spared = Scaling("held-out", tuple(sorted(int(place) for place in held_out)))
    if model.keeps_clips and held_out:
        return spared
    if not combined:
        return Scaling()
    return Scaling("asinh") if len(clips) < ENOUGH or len(held_out) < FEWEST_HELD_OUT else spared


def normal_scores(model: Model, bank: Bank, scaling: Scaling, *, pooling: str | None) -> NDArray[np.float64]:
    """The scores of normal clips that make a fitted model's scale.

    A density of hundreds of values follows its training clips so closely that they score far below any others, and to
    its own bank a clip is its nearest neighbour. Cross-fitted, each contiguous fifth of each machine's clips is scored
    by another model, which learned from the rest: neighbours in time are alike.

    Args:
        model: fitted to `scaling.kept(bank)`.
        bank: all training clips.
        scaling: of the member.
        pooling: of its frame scores.

    Returns:
        `[C]`; NaN for clips that are not among them.
    """
    scores = np.full(bank.n_clips, np.nan)
    if scaling.method == "held-out":
        scores[[*scaling.held_out]] = model.score_clips(bank.select(scaling.held_out), pooling=pooling)
    elif scaling.method != "cross-fitted":
        scores = model.score_clips(bank, pooling=pooling)
    else:
        strata = [np.array_split(places, FOLDS) for places in _strata(bank.known)]
        for fold in range(FOLDS):
            held_out = np.concatenate([parts[fold] for parts in strata])
            if not len(held_out):  # where a machine has few clips of each domain
                continue
            rest = np.setdiff1d(np.arange(bank.n_clips), held_out)
            other = type(model)(**model.arguments).fit(bank.select(rest.tolist()))
            scores[held_out] = other.score_clips(bank.select(held_out.tolist()), pooling=pooling)
    return scores


def scale_sentences(methods: Sequence[tuple[str, Method]]) -> list[str]:
    """What members are standardised by, in a sentence for each method.

    Args:
        methods: member and method, for all machine types.
    """
    found = []
    for method in get_args(Method):
        names = dict.fromkeys(name for name, other in methods if other == method)
        if names:
            found.append(f"Standardised by {METHODS[method]}: {', '.join(names)}.")
    return found


def _strata(clips: Sequence[Known]) -> list[NDArray[np.intp]]:
    """The places of each machine's clips of each domain."""
    kinds = [(id_, domain or "") for id_, domain, _ in clips]
    return [np.flatnonzero([kind == other for other in kinds]) for kind in sorted(set(kinds))]
