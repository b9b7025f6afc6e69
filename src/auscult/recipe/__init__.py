"""Recipes: typed TOML that says which models to train on which features. Structure only; nothing here needs torch."""

from auscult.recipe.leaving_out import Part, leave_out, types_left, what_is_left_out
from auscult.recipe.reading import builtin_recipes, load_recipe, parse_recipe
from auscult.recipe.resolved import COLUMNS, Recipe
from auscult.recipe.tables import ENSEMBLE, DenoiserTable, Ensemble, Member, TrainingTable, TrainOn

__all__ = [
    "COLUMNS",
    "ENSEMBLE",
    "DenoiserTable",
    "Ensemble",
    "Member",
    "Part",
    "Recipe",
    "TrainOn",
    "TrainingTable",
    "builtin_recipes",
    "leave_out",
    "load_recipe",
    "parse_recipe",
    "types_left",
    "what_is_left_out",
]
