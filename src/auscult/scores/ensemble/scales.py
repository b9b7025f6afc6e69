"""The ensemble of a detector: what each member's score counts in the end, from any tree of ensembles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.errors import ScoreError
from auscult.scores.ensemble import Choice, Node, Scores
from auscult.scores.ensemble.columns import mean_and_deviation
from auscult.scores.ensemble.protocols import Combiner
from auscult.scores.fusion import Curve, Fusion


@dataclass(frozen=True, slots=True)
class Scale:
    """What a member's score s counts: `weight * curve((s - mean) / sd)`; the weights of a system have the sum 1."""

    mean: float
    sd: float
    weight: float
    curve: Curve = "line"


@dataclass(frozen=True, slots=True)
class _Sum:
    """A system as a sum of members' scores, standardised ones where the curve is none: factors, and an offset."""

    factors: dict[str, float]
    offset: float


def member_scales(
    nodes: Sequence[Node], leaves: Mapping[str, Scores], protocol: str, *, system: str, given: Sequence[Choice] = ()
) -> tuple[dict[str, Scale], list[Choice]]:
    """The members that a system is made of, with their scales, and what the protocol chose.

    An ensemble of ensembles is a weighted sum of its members' scores and a constant; the scales give it divided by the
    sum of the weights, which is a positive number, and without the constant where every member is curved. Means and
    deviations are those of the training clips; members of zero weight are left out. How the members of a system that is
    no mean become one says `fusion_of`.

    Args:
        nodes: ensembles, children before parents.
        leaves: member -> its scores, all of one machine type.
        protocol: one of `auscult.scores.ensemble.PROTOCOLS`; choices of *leave-one-id-out* are those that
            saw all machines.
        system: a node or a member.
        given: what was chosen on all machines, where that is known; it is chosen here otherwise.

    Raises:
        ScoreError: as `auscult.scores.ensemble.combine`.
    """
    trained = {name: mean_and_deviation(scores.train.scores) for name, scores in leaves.items() if len(scores.train)}
    if system in leaves:
        return {system: Scale(*trained[system], 1.0)}, []  # alone, its score is what it is
    combiner = Combiner(nodes, leaves)
    columns, choices = combiner.combine(nodes, protocol, given=given)
    own = {**combiner.leaves, **columns}
    statistics = {
        name: _statistics(column["development" if protocol == "paper" else "train"], column["train"])
        for name, column in own.items()
    }
    by_name = {node.name: node for node in nodes}
    curved = {
        name: curve
        for name, curve in combiner.curves.items()
        if name in own and curve != "line" and (protocol != "paper" or np.isnan(own[name]["development"]).all())
    }
    chosen = [choice for choice in choices if choice.held_out is None]
    if fusion_of(nodes, system) != "mean":
        weights = next(choice.weights for choice in chosen if choice.ensemble == system)
        return {
            name: Scale(*statistics[name], weight, curved.get(name, "line")) for name, weight in weights.items()
        }, chosen
    statistics |= dict.fromkeys(curved, (0.0, 1.0))
    sums = {name: _Sum({name: 1.0}, 0.0) for name in combiner.leaves}
    for choice in chosen:
        standard = by_name[choice.ensemble].standardise
        if not standard and (raw := curved.keys() & choice.weights.keys()):
            raise ScoreError(
                f"the ensemble {choice.ensemble!r} takes the raw scores of {min(raw)!r}, and another one those on a "
                "curved scale; pack another system"
            )
        sums[choice.ensemble] = _summed(choice.weights, sums, statistics if standard else None)
    return _scales(sums[system], trained, curved), chosen


def fusion_of(nodes: Sequence[Node], system: str) -> Fusion:
    """How the members of a system become one."""
    return next((node.fusion for node in nodes if node.name == system), "mean")


def _statistics(column: NDArray[np.float64], otherwise: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and deviation of the scores that are there."""
    scores = column[~np.isnan(column)]
    return mean_and_deviation(scores if len(scores) else otherwise[~np.isnan(otherwise)])


def _summed(
    weights: Mapping[str, float], sums: Mapping[str, _Sum], statistics: Mapping[str, tuple[float, float]] | None
) -> _Sum:
    """The weighted sum of systems, each on the scale of its statistics, or as it is."""
    factors: dict[str, float] = {}
    offset = 0.0
    for name, weight in weights.items():
        if not weight:
            continue
        mean, deviation = (0.0, 1.0) if statistics is None else statistics[name]
        for leaf, factor in sums[name].factors.items():
            factors[leaf] = factors.get(leaf, 0.0) + weight * factor / deviation
        offset += weight * (sums[name].offset - mean) / deviation
    return _Sum(factors, offset)


def _scales(total: _Sum, trained: Mapping[str, tuple[float, float]], curved: Mapping[str, Curve]) -> dict[str, Scale]:
    """A sum as scales about the members' means; what is left over of the offset is shared out among the means."""
    lines = {leaf: factor for leaf, factor in total.factors.items() if leaf not in curved}
    rest = total.offset + sum(factor * trained[leaf][0] for leaf, factor in lines.items())
    shares = {leaf: factor * (trained[leaf][1] if leaf in lines else 1.0) for leaf, factor in total.factors.items()}
    weight = sum(shares.values())
    means = {leaf: trained[leaf][0] - rest / len(lines) / factor for leaf, factor in lines.items()}
    return {
        leaf: Scale(means.get(leaf, trained[leaf][0]), trained[leaf][1], share / weight, curved.get(leaf, "line"))
        for leaf, share in shares.items()
    }
