"""What an ensemble is made of: its surface of weights, the effect of each member, how members agree."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from auscult.errors import ScoreError
from auscult.scores.areas import Floats, both_kinds
from auscult.scores.ensemble.columns import Clips, Scores
from auscult.scores.ensemble.nodes import Node
from auscult.scores.ensemble.protocols import DEFAULT_RULE, STEP, Choice, Combiner
from auscult.scores.ensemble.weights import simplex
from auscult.scores.metrics import METRICS, many, mean_figures


def weight_surface(
    node: Node,
    leaves: Mapping[str, Scores],
    *,
    nodes: Sequence[Node] = (),
    step: float = STEP,
    rule: int = DEFAULT_RULE,
) -> tuple[Floats, Floats]:
    """What the search of the *paper* protocol saw: each weight vector of three members, and what it reaches.

    Args:
        node: with exactly three members that are there, all of them weighted.
        leaves: as in `combine`.
        nodes: earlier ones that the node is built on.
        step: of the weights.
        rule: as in `combine`.

    Returns:
        Weights `[W, 3]`, fractions of 1 in the order of the node's members, and `[W]` the official score of the
        development ids.

    Raises:
        ScoreError: as `combine`, and if the node has not three members here, or selects.
    """
    combiner = Combiner([*nodes, node], leaves, step=step, rule=rule)
    children, _ = combiner.combine(nodes, "paper")
    members = combiner.members(node, {**combiner.leaves, **children}, "development")
    if len(members) != 3 or node.select is not None or not combiner.clips.judges:
        raise ScoreError(
            f"the ensemble {node.name!r} has no surface of weights: it needs three members with scores, without "
            f"selection, and labels; it has {', '.join(members) or 'none'}"
        )
    scores = np.stack([column["development"] for column in members.values()])
    counts = simplex(3, combiner.steps)
    pool = [(combiner, list(combiner.clips.judges))]
    return counts / combiner.steps, combiner.surface({combiner: scores}, counts, pool)


def member_effects(
    node: Node, leaves: Mapping[str, Scores], protocol: str = "uniform", *, nodes: Sequence[Node] = ()
) -> dict[str, dict[str, float]]:
    """What each member brings: the metrics of the ensemble without it, minus those with it.

    A negative figure is what the ensemble loses without the member. All are means over the development ids.

    Args:
        node: the ensemble.
        leaves: as in `combine`.
        protocol: one of `PROTOCOLS`; what it chooses, it chooses anew without the member.
        nodes: earlier ones that the node is built on; their members are members, too.

    Returns:
        Member -> difference, fractions of 1. Without a member that nothing can replace, and without any labelled id,
        there is no difference.

    Raises:
        ScoreError: as `combine`.
    """
    every = [*nodes, node]
    combiner = Combiner(every, leaves)
    if not combiner.clips.judges:
        return {}
    there = {*combiner.leaves, *combiner.combine(every, protocol)[0]}
    whole = _figures(combiner, every, protocol)
    effects: dict[str, dict[str, float]] = {}
    for member in dict.fromkeys(member for one in every for member in one.members if member in there):
        rest = [_without(one, member) for one in every]
        figures = _figures(combiner, [one for one in rest if one.members], protocol) if rest[-1].members else None
        if whole and figures:
            effects[member] = {name: figures[name] - whole[name] for name in figures if name in whole}
    return effects


def _without(node: Node, member: str) -> Node:
    return replace(node, members=tuple(other for other in node.members if other != member))


def _figures(combiner: Combiner, nodes: Sequence[Node], protocol: str) -> dict[str, float] | None:
    """The mean metrics of the last node, over the ids that have both labels among its scored clips."""
    columns, _ = combiner.combine(nodes, protocol)
    figures: list[dict[str, float]] = []
    if nodes[-1].name in columns:
        scores = columns[nodes[-1].name]["development"]
        for one in combiner.clips.judges.values():
            judge = one.of(~np.isnan(scores[one.places]))
            if both_kinds(judge.anomaly):
                found = many(METRICS, judge.anomaly, judge.domains, scores[judge.places][None])
                figures.append({name: float(value[0]) for name, value in found.items() if not np.isnan(value[0])})
    return mean_figures(figures) if figures else None


def shares(ensemble: str, choices: Iterable[Choice]) -> dict[str, float]:
    """Leaf -> its share of an ensemble's score, through all ensembles beneath it; the shares add up to 1.

    Args:
        ensemble: its name.
        choices: of one machine type, protocol and held-out id, one for each ensemble.
    """
    weights = {choice.ensemble: choice.weights for choice in choices}
    found: dict[str, float] = {}

    def spread(name: str, share: float) -> None:
        if name not in weights:
            found[name] = found.get(name, 0.0) + share
            return
        for member, weight in weights[name].items():
            spread(member, share * weight)

    spread(ensemble, 1.0)
    return found


def correlations(leaves: Mapping[str, Scores]) -> tuple[list[str], Floats]:
    """How alike systems order the clips of a machine: Spearman's correlation of the development test scores.

    It is computed within each machine id, over the clips that both systems scored, and averaged over ids. No label is
    read. An id in which one of the two gives all clips the same score has no correlation and is left out.

    Args:
        leaves: name -> scores, all of one machine type.

    Returns:
        Names, and the correlations `[M, M]`; NaN where no id has one.
    """
    names = list(leaves)
    clips = Clips(leaves)
    scores = np.array([clips.columns(own)["development"] for own in leaves.values()])
    ids = np.array([row.machine_id for row in clips.rows["development"]])
    shape = len(np.unique(ids)), len(names), len(names)
    found = np.array([_correlation(scores[:, ids == machine_id]) for machine_id in np.unique(ids)]).reshape(shape)
    defined = ~np.isnan(found)
    total, count = np.where(defined, found, 0.0).sum(axis=0), defined.sum(axis=0)
    return names, np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _correlation(scores: Floats) -> Floats:
    """Spearman's correlations `[M, M]` of scores `[M, C]`, pair by pair over what both scored."""
    scored = ~np.isnan(scores)
    if scored.all():
        return _spearman(scores)
    matrix = np.empty((len(scores), len(scores)))
    for one in range(len(scores)):
        for other in range(one + 1):
            common = scored[one] & scored[other]
            matrix[one, other] = matrix[other, one] = _spearman(scores[[one, other]][:, common])[0, 1]
    return matrix


def _spearman(scores: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=1)  # equal scores share the mean of theirs
    centred = ranks - ranks.mean(axis=1, keepdims=True) if scores.shape[1] else ranks
    norms = np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
    units = np.divide(centred, norms, out=np.full_like(centred, np.nan), where=norms > 0)
    return np.clip(units @ units.T, -1, 1) if scores.shape[1] else np.full((len(scores), len(scores)), np.nan)
