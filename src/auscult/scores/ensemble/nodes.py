"""The ensembles of a machine type as nodes of a tree: what one is, and what cannot be one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from auscult.errors import ScoreError
from auscult.scores.fusion import FUSIONS, Fusion

Weights = Literal["uniform", "search"]


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


def check_nodes(nodes: Sequence[Node], leaves: Mapping[str, Any]) -> None:
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
