"""From a recipe's ensembles to the nodes that are combined."""

from collections.abc import Sequence

from auscult.recipe import Member, Recipe
from auscult.scores.ensemble import Node


def nodes_of(recipe: Recipe) -> list[Node]:
    """The recipe's ensembles, children before parents."""
    return [
        Node(item.name, tuple(item.members), item.select, item.weights, item.standardise, item.fusion)
        for item in recipe.ensembles()
    ]


def in_result(recipe: Recipe, members: Sequence[Member]) -> set[str]:
    """Names of what the recipe's result is made of: the last ensemble or, without any, the last of some members."""
    nodes = nodes_of(recipe)
    inside = {nodes[-1].name} if nodes else {member.name for member in members[-1:]}
    for node in reversed(nodes):
        inside |= set(node.members) if node.name in inside else set()
    return inside
