"""From a recipe's ensembles to the nodes that are combined."""

from auscult.recipe import Recipe
from auscult.scores.ensemble import Node


def nodes_of(recipe: Recipe) -> list[Node]:
    """The recipe's ensembles, children before parents."""
    return [
        Node(item.name, tuple(item.members), item.select, item.weights, item.standardise, item.fusion)
        for item in recipe.ensembles()
    ]
