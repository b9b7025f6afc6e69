"""The three protocols of combining: equal weights, choices without the machine that is scored, the report's own.

*uniform* reads no label. *leave-one-id-out* repeats every choice (of members, of weights, of weights of families)
without the labels and the test scores of the machine that it then scores; where a machine type has one machine alone,
those of other types choose. *paper* chooses on the labels of all development test clips, and is judged on them.

References:
    Daniluk et al., technical report, DCASE 2020 Task 2, sections 2.3, 3.3, 4 and 5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from auscult.errors import ScoreError, nearest
from auscult.scores.areas import Floats
from auscult.scores.ensemble.columns import PARTS, Clips, Columns, Part, Scores, scaled
from auscult.scores.ensemble.nodes import Node, check_nodes
from auscult.scores.ensemble.weights import DECIMALS, Counts, Objective, best, simplex, steps_of, uniform, weighted
from auscult.scores.fusion import fused
from auscult.scores.official import score_of

PROTOCOLS = ("uniform", "leave-one-id-out", "paper")
STEP = 0.01

DEFAULT_RULE = 2020
"""Year by whose official score is chosen where the data are of no year: that is `metrics.OBJECTIVE`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a protocol chose for an ensemble.

    Attributes:
        machine_type: for instance `"fan"`.
        ensemble: name of the node.
        protocol: one of `PROTOCOLS`.
        held_out: the machine id that this choice scores and did not see; none if it saw all, or no label.
        weights: member -> weight, of the sum 1, of the members that were selected.
        reached: the official score of the machines that chose, which is the report's mAUC where no year says otherwise;
            none where no label was used.
    """

    machine_type: str
    ensemble: str
    protocol: str
    held_out: str | None
    weights: dict[str, float]
    reached: float | None


def combine(
    nodes: Sequence[Node], leaves: Mapping[str, Scores], protocol: str, *, step: float = STEP, rule: int = DEFAULT_RULE
) -> tuple[dict[str, Scores], list[Choice]]:
    """Scores of every ensemble of one machine type under a protocol, and what was chosen.

    The exact rules stand in `docs/method.md`. Nodes that are built on nodes belong into one call: development scores
    of *leave-one-id-out* hide each machine from itself only, so choices on them would see what they must not.

    Args:
        nodes: children before parents.
        leaves: name -> scores of a system, all of one machine type; empty tables are allowed.
        protocol: one of `PROTOCOLS`.
        step: of searched weights; 1 divided by a whole number.
        rule: the year by whose official score is chosen, see `auscult.scores.official`.

    Returns:
        Node -> its scores, without nodes that have no member here; and one choice per node, under *leave-one-id-out*
        one per node and held-out id, then those that score the clips of all other parts and ids.

    Raises:
        ScoreError: if the protocol is unknown, the nodes are no proper list of ensembles, the leaves are of several
            machine types, there is nothing to standardise by, no id can judge (except under *uniform*), or a search
            has more than `auscult.scores.ensemble.weights.MAX_VECTORS` vectors.
    """
    return Combiner(nodes, leaves, step=step, rule=rule).scores(nodes, protocol)


class Combiner:
    """Combines the leaves of some nodes, and keeps what several combinations share.

    Args:
        nodes: whose leaves are wanted.
        leaves: name -> scores of a system, all of one machine type.
        step: of searched weights.
        rule: as for `combine`.
    """

    def __init__(
        self, nodes: Sequence[Node], leaves: Mapping[str, Scores], *, step: float = STEP, rule: int = DEFAULT_RULE
    ) -> None:
        check_nodes(nodes, leaves)
        wanted = {member for node in nodes for member in node.members}
        used = {name: scores for name, scores in leaves.items() if name in wanted}
        self.clips = Clips(used)
        self.steps = steps_of(step)
        self.rule = rule
        self.objective = Objective(self.clips.judges, rule)
        columns = {name: self.clips.columns(scores) for name, scores in used.items()}
        self.curves = {name: scores.curve for name, scores in used.items()}
        self.leaves = {
            name: own for name, own in columns.items() if not all(np.isnan(own[part]).all() for part in PARTS)
        }

    def scores(
        self, nodes: Sequence[Node], protocol: str, others: Sequence["Combiner"] = ()
    ) -> tuple[dict[str, Scores], list[Choice]]:
        """As the function `combine`.

        Args:
            nodes: children before parents.
            protocol: one of `PROTOCOLS`.
            others: of the other machine types, which choose under *leave-one-id-out* where this one has one judge or
                none; those that lack one of its leaves do not.
        """
        columns, choices = self.combine(nodes, protocol, others)
        return {name: self.clips.scores(column) for name, column in columns.items()}, choices

    def elsewhere(self, others: Iterable["Combiner"]) -> "list[Pool]":
        """Of other machine types, those that can choose for this one, with all their judges."""
        return [
            (one, list(one.clips.judges))
            for one in others
            if one.clips.judges and self.leaves.keys() <= one.leaves.keys()
        ]

    def combine(
        self,
        nodes: Sequence[Node],
        protocol: str,
        others: Sequence["Combiner"] = (),
        *,
        given: Sequence[Choice] = (),
    ) -> tuple[dict[str, Columns], list[Choice]]:
        """As `scores`, on columns; `given` are choices that were made before, one for each node."""
        if protocol not in PROTOCOLS:
            raise ScoreError(
                f"the protocol {protocol!r} is unknown{nearest(protocol, PROTOCOLS)}; it can be {', '.join(PROTOCOLS)}"
            )
        if protocol == "uniform" or not self.leaves:
            return self._run(nodes, protocol, ())
        if given:
            return self._run(nodes, protocol, [], given={choice.ensemble: choice for choice in given})
        judges = list(self.clips.judges)
        elsewhere = self.elsewhere(others) if len(judges) < 2 and protocol != "paper" else []
        if not judges and not elsewhere:
            raise ScoreError(
                f"{self.clips.machine_type}: no machine id has labelled development clips of both kinds, so the "
                f"protocol {protocol} has nothing to choose on; use the protocol uniform"
            )
        columns, choices = self._run(nodes, protocol, [(self, judges), *elsewhere])
        if protocol == "paper":
            return columns, choices
        development = {name: column["development"].copy() for name, column in columns.items()}
        held_out: list[Choice] = []
        for machine_id, judge in self.clips.judges.items():
            rest = [other for other in judges if other != machine_id]
            fold, chosen = self._run(nodes, protocol, [(self, rest), *elsewhere], machine_id)
            held_out += chosen
            for name, column in fold.items():
                development[name][judge.places] = column["development"][judge.places]
        return {name: {**column, "development": development[name]} for name, column in columns.items()}, [
            *held_out,
            *choices,
        ]

    def _run(
        self,
        nodes: Sequence[Node],
        protocol: str,
        pool: "Sequence[Pool]",
        held_out: str | None = None,
        given: Mapping[str, Choice] = MappingProxyType({}),
    ) -> tuple[dict[str, Columns], list[Choice]]:
        """All nodes, children first, chosen on the labels of the given ids of each machine type alone, or before."""
        by: Part = "development" if protocol == "paper" else "train"
        there = {one: dict[str, Columns](one.leaves) for one in (self, *(one for one, _ in pool))}
        choices = []
        for node in nodes:
            members = self.members(node, there[self], by)
            if not members:
                continue
            stacked = {self: _stacked(members)}
            for one in there.keys() - {self}:
                stacked[one] = _stacked({name: one.members(node, there[one], by)[name] for name in members})
            development = {one: parts["development"] for one, parts in stacked.items()}
            names = list(members)
            if node.name in given:
                weights, reached = given[node.name].weights, given[node.name].reached
                places, counts = [names.index(name) for name in weights], np.array([*weights.values()])
            else:
                places, counts, reached = self._choose(node, development, pool)
                weights = {names[place]: float(n / counts.sum()) for place, n in zip(places, counts, strict=True)}
            for one, parts in stacked.items():
                there[one][node.name] = {
                    part: weighted(scores[places], counts[None], uniform(scores))[0]
                    if node.fusion == "mean"
                    else fused(scores, np.ones(len(scores)), node.fusion)
                    for part, scores in parts.items()
                }
            choices.append(Choice(self.clips.machine_type, node.name, protocol, held_out, weights, reached))
        return {node.name: there[self][node.name] for node in nodes if node.name in there[self]}, choices

    def members(self, node: Node, there: Mapping[str, Columns], by: Part) -> dict[str, Columns]:
        """The scores of those of a node's members that are there, on the scale of the node."""
        found = {name: there[name] for name in node.members if name in there}
        if not node.standardise:
            return found
        return {name: scaled(name, column, by, self.curves.get(name, "line")) for name, column in found.items()}

    def surface(self, scores: "Mapping[Combiner, Floats]", counts: Counts, pool: "Sequence[Pool]") -> Floats:
        """What weights `[W, K]` reach `[W]`: the official score of the ids that may judge; NaN where none can.

        Args:
            scores: of the development clips of each machine type by the same members `[K, C]`.
            counts: the weights.
            pool: whose labels may be seen.
        """
        found = [one.objective(scores[one], counts, uniform(scores[one]), ids) for one, ids in pool]
        rows = [kept for some in found if (kept := [figures for figures in some if figures])]
        return score_of(self.rule, rows) if rows else np.full(len(counts), np.nan)

    def _choose(
        self, node: Node, scores: "Mapping[Combiner, Floats]", pool: "Sequence[Pool]"
    ) -> tuple[list[int], Counts, float | None]:
        """Places of the selected members, their weights in steps, and the objective that they reach.

        Args:
            node: what to choose.
            scores: of the development clips of each machine type by all members that are there `[K, C]`.
            pool: ids whose labels may be seen; without any all get equal weights.
        """
        everyone = list(range(len(scores[self]))), np.ones(len(scores[self]), dtype=np.int64), None
        if not any(ids for _, ids in pool) or (node.select is None and node.weights == "uniform"):
            return everyone
        one = np.ones((1, 1), dtype=np.int64)
        each = [{kind: own[[place]] for kind, own in scores.items()} for place in everyone[0]]
        alone = [float(self.surface(own, one, pool)[0].round(DECIMALS)) for own in each]
        places = [place for place, value in enumerate(alone) if not np.isnan(value)]
        if not places:
            return everyone
        if node.select is not None:
            places = sorted(sorted(places, key=lambda place: -alone[place])[: node.select])
        grid: Counts = np.ones((1, len(places)), dtype=np.int64)
        if node.weights == "search":
            grid = simplex(len(places), self.steps)
        surface = self.surface({kind: own[places] for kind, own in scores.items()}, grid, pool)
        row = best(surface, grid)
        return places, grid[row], float(surface[row])


Pool = tuple[Combiner, Sequence[str]]
"""A machine type, and those of its ids whose labels may be seen."""


def _stacked(members: Mapping[str, Columns]) -> dict[Part, Floats]:
    """Part -> scores `[K, C]`."""
    return {part: np.stack([column[part] for column in members.values()]) for part in PARTS}
