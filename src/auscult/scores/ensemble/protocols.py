"""The three protocols of combining: equal weights, choices without the machine that is scored, the report's own.

*uniform* reads no label. *leave-one-id-out* repeats every choice (of members, of weights, of weights of families)
without the labels and the test scores of the machine that it then scores. *paper* chooses on the labels of all
development test clips, and is judged on them.

References:
    Daniluk et al., technical report, DCASE 2020 Task 2, sections 2.3, 3.3, 4 and 5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from auscult.errors import ScoreError, nearest
from auscult.scores.areas import Floats
from auscult.scores.ensemble.columns import PARTS, Clips, Columns, Part, Scores, scaled
from auscult.scores.ensemble.weights import DECIMALS, Counts, Objective, best, simplex, steps_of, uniform, weighted
from auscult.scores.fusion import FUSIONS, Fusion, fused

Weights = Literal["uniform", "search"]

PROTOCOLS = ("uniform", "leave-one-id-out", "paper")
STEP = 0.01


@dataclass(frozen=True, slots=True)
class Node:
    """One ensemble, for one machine type.

    Attributes:
        name: of the ensemble.
        members: names of leaves or of earlier nodes. Those that are not there are passed over.
        select: how many members to keep, those that are best one by one; all if none is given.
        weights: equal, or searched on the simplex.
        standardise: bring the members on one scale first.
        fusion: how their scores become one. All but the mean are of standardised leaves alone, without any choice, and
            part of no other node.
    """

    name: str
    members: tuple[str, ...]
    select: int | None = None
    weights: Weights = "uniform"
    standardise: bool = True
    fusion: Fusion = "mean"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a protocol chose for an ensemble.

    Attributes:
        machine_type: for instance `"fan"`.
        ensemble: name of the node.
        protocol: one of `PROTOCOLS`.
        held_out: the machine id that this choice scores and did not see; none if it saw all, or no label.
        weights: member -> weight, of the sum 1, of the members that were selected.
        mauc: the mean of `metrics.OBJECTIVE`, averaged over the ids that chose; none where no label was used.
    """

    machine_type: str
    ensemble: str
    protocol: str
    held_out: str | None
    weights: dict[str, float]
    mauc: float | None


def combine(
    nodes: Sequence[Node], leaves: Mapping[str, Scores], protocol: str, *, step: float = STEP
) -> tuple[dict[str, Scores], list[Choice]]:
    """Scores of every ensemble of one machine type under a protocol, and what was chosen.

    The exact rules stand in `docs/method.md`. Nodes that are built on nodes belong into one call: development scores
    of *leave-one-id-out* hide each machine from itself only, so choices on them would see what they must not.

    Args:
        nodes: children before parents.
        leaves: name -> scores of a system, all of one machine type; empty tables are allowed.
        protocol: one of `PROTOCOLS`.
        step: of searched weights; 1 divided by a whole number.

    Returns:
        Node -> its scores, without nodes that have no member here; and one choice per node, under *leave-one-id-out*
        one per node and held-out id, then those that score the clips of all other parts and ids.

    Raises:
        ScoreError: if the protocol is unknown, the nodes are no proper list of ensembles, the leaves are of several
            machine types, there is nothing to standardise by, no id can judge (except under *uniform*), or a search
            has more than `auscult.scores.ensemble.weights.MAX_VECTORS` vectors.
    """
    combiner = Combiner(nodes, leaves, step=step)
    columns, choices = combiner.combine(nodes, protocol)
    return {name: combiner.clips.scores(column) for name, column in columns.items()}, choices


class Combiner:
    """Combines the leaves of some nodes, and keeps what several combinations share.

    Args:
        nodes: whose leaves are wanted.
        leaves: name -> scores of a system, all of one machine type.
        step: of searched weights.
    """

    def __init__(self, nodes: Sequence[Node], leaves: Mapping[str, Scores], *, step: float = STEP) -> None:
        check_nodes(nodes, leaves)
        wanted = {member for node in nodes for member in node.members}
        used = {name: scores for name, scores in leaves.items() if name in wanted}
        self.clips = Clips(used)
        self.steps = steps_of(step)
        self.objective = Objective(self.clips.judges)
        columns = {name: self.clips.columns(scores) for name, scores in used.items()}
        self.curves = {name: scores.curve for name, scores in used.items()}
        self.leaves = {
            name: own for name, own in columns.items() if not all(np.isnan(own[part]).all() for part in PARTS)
        }

    def combine(self, nodes: Sequence[Node], protocol: str) -> tuple[dict[str, Columns], list[Choice]]:
        """As the function of this name, on columns."""
        if protocol not in PROTOCOLS:
            raise ScoreError(
                f"the protocol {protocol!r} is unknown{nearest(protocol, PROTOCOLS)}; it can be {', '.join(PROTOCOLS)}"
            )
        if protocol == "uniform" or not self.leaves:
            return self._run(nodes, protocol, ())
        judges = list(self.clips.judges)
        if not judges:
            raise ScoreError(
                f"{self.clips.machine_type}: no machine id has labelled development clips of both kinds, so the "
                f"protocol {protocol} has nothing to choose on; use the protocol uniform"
            )
        columns, choices = self._run(nodes, protocol, judges)
        if protocol == "paper":
            return columns, choices
        development = {name: column["development"].copy() for name, column in columns.items()}
        held_out: list[Choice] = []
        for machine_id, judge in self.clips.judges.items():
            fold, chosen = self._run(nodes, protocol, [other for other in judges if other != machine_id], machine_id)
            held_out += chosen
            for name, column in fold.items():
                development[name][judge.places] = column["development"][judge.places]
        return {name: {**column, "development": development[name]} for name, column in columns.items()}, [
            *held_out,
            *choices,
        ]

    def _run(
        self, nodes: Sequence[Node], protocol: str, judges: Sequence[str], held_out: str | None = None
    ) -> tuple[dict[str, Columns], list[Choice]]:
        """All nodes, children first, chosen on the labels of the given ids alone."""
        by: Part = "development" if protocol == "paper" else "train"
        there: dict[str, Columns] = dict(self.leaves)
        choices = []
        for node in nodes:
            members = self.members(node, there, by)
            if not members:
                continue
            stacked = {part: np.stack([column[part] for column in members.values()]) for part in PARTS}
            places, counts, mauc = self._choose(node, stacked["development"], judges)
            there[node.name] = {
                part: weighted(scores[places], counts[None], uniform(scores))[0]
                if node.fusion == "mean"
                else fused(scores, np.ones(len(scores)), node.fusion)
                for part, scores in stacked.items()
            }
            names = list(members)
            weights = {names[place]: float(count / counts.sum()) for place, count in zip(places, counts, strict=True)}
            choices.append(Choice(self.clips.machine_type, node.name, protocol, held_out, weights, mauc))
        return {node.name: there[node.name] for node in nodes if node.name in there}, choices

    def members(self, node: Node, there: Mapping[str, Columns], by: Part) -> dict[str, Columns]:
        """The scores of those of a node's members that are there, on the scale of the node."""
        found = {name: there[name] for name in node.members if name in there}
        if not node.standardise:
            return found
        return {name: scaled(name, column, by, self.curves.get(name, "line")) for name, column in found.items()}

    def _choose(self, node: Node, scores: Floats, judges: Iterable[str]) -> tuple[list[int], Counts, float | None]:
        """Places of the selected members, their weights in steps, and the objective that they reach.

        Args:
            node: what to choose.
            scores: of the development clips by all members that are there `[K, C]`.
            judges: ids whose labels may be seen; none means equal weights of all.
        """
        judges = list(judges)
        everyone = list(range(len(scores))), np.ones(len(scores), dtype=np.int64), None
        if not judges or (node.select is None and node.weights == "uniform"):
            return everyone
        one = np.ones((1, 1), dtype=np.int64)
        alone = [float(self.objective(own[None], one, own, judges)[0].round(DECIMALS)) for own in scores]
        places = [place for place, value in enumerate(alone) if not np.isnan(value)]
        if not places:
            return everyone
        if node.select is not None:
            places = sorted(sorted(places, key=lambda place: -alone[place])[: node.select])
        grid = np.ones((1, len(places)), dtype=np.int64)
        if node.weights == "search":
            grid = simplex(len(places), self.steps)
        surface = self.objective(scores[places], grid, uniform(scores), judges)
        row = best(surface, grid)
        return places, grid[row], float(surface[row])


def check_nodes(nodes: Sequence[Node], leaves: Mapping[str, Scores]) -> None:
    """Refuse what cannot be a list of ensembles.

    Raises:
        ScoreError: if a name is used twice, a node stands before one of its members, has a member twice or none, or
            selects no member.
    """
    names = [node.name for node in nodes]
    for place, node in enumerate(nodes):
        if node.name in leaves or node.name in names[:place]:
            raise ScoreError(f"two systems are called {node.name!r}; give each ensemble a name of its own")
        if later := [member for member in node.members if member in names[place:]]:
            raise ScoreError(f"the ensemble {node.name!r} stands before its member {later[0]!r}; list members first")
        if not node.members or len(set(node.members)) < len(node.members):
            raise ScoreError(
                f"the ensemble {node.name!r} has the members {list(node.members)}; list each once, and one at least"
            )
        if node.select is not None and node.select < 1:
            raise ScoreError(f"the ensemble {node.name!r} selects {node.select} members; it must keep 1 at least")
        _check_fusion(node, {other.name: other for other in nodes})
        if node.weights not in get_args(Weights):
            raise ScoreError(
                f"the ensemble {node.name!r} has the weights {node.weights!r}; they can be "
                f"{', '.join(get_args(Weights))}"
            )


def _check_fusion(node: Node, nodes: Mapping[str, Node]) -> None:
    """Refuse what only a weighted mean can be: one of raw scores, one with choices, one in another."""
    if node.fusion not in FUSIONS:
        raise ScoreError(f"the ensemble {node.name!r} has the fusion {node.fusion!r}; it can be {', '.join(FUSIONS)}")
    if node.fusion != "mean" and (node.select is not None or node.weights != "uniform" or not node.standardise):
        raise ScoreError(
            f"the ensemble {node.name!r} fuses by {node.fusion}, which takes all members alike and on one scale; leave "
            "out select, weights and standardise, or take the fusion mean"
        )
    for other in (nodes[name] for name in node.members if name in nodes):
        if (node.fusion, other.fusion) != ("mean", "mean"):
            raise ScoreError(
                f"the ensemble {node.name!r} (fusion {node.fusion}) has the ensemble {other.name!r} (fusion "
                f"{other.fusion}) as a member; only means of means can be nested, so list members"
            )
