"""Ensembles: tables of scores become one table, under three protocols of who may see which label."""

from auscult.scores.ensemble.analysis import correlations, member_effects, shares, weight_surface
from auscult.scores.ensemble.columns import Scores
from auscult.scores.ensemble.nodes import Node
from auscult.scores.ensemble.protocols import DEFAULT_RULE, PROTOCOLS, Choice, Combiner, combine

__all__ = [
    "DEFAULT_RULE",
    "PROTOCOLS",
    "Choice",
    "Combiner",
    "Node",
    "Scores",
    "combine",
    "correlations",
    "member_effects",
    "shares",
    "weight_surface",
]
