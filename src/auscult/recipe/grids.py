"""Grids: one member for each combination of some values."""

import re
from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Any

from auscult.errors import RecipeError, nearest
from auscult.recipe.limits import MOST_MEMBERS
from auscult.recipe.tables import Member, TrainingTable

TABLES = ("features", "model", "training")
"""Keys of a member that are tables; a grid's key leads into one of them, or is one of `PLAIN`."""
PLAIN = tuple(name for name in Member.model_fields if name not in (*TABLES, "name", "machine_types", "train_on"))


def expand_grid(member: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A member's table without its grid: one table for each combination, the last key's values changing fastest.

    Raises:
        RecipeError: for a key that no member has, values that are no list, and names that are not one for each.
    """
    table = {key: value for key, value in member.items() if key != "grid"}
    if "grid" not in member:
        return [table]
    name, grid = str(member.get("name")), member["grid"]
    where = f"the grid of member {name!r}"
    if not isinstance(grid, Mapping) or not grid:
        raise RecipeError(f'{where} is {grid!r}; give keys and lists of values, for instance {{ "model.m" = [5, 6] }}')
    for key, values in grid.items():
        _check_key(key, where)
        if not isinstance(values, list) or not values:
            raise RecipeError(f"{where}: {key} is {values!r}; give a list of at least one value")
    if (count := prod(map(len, grid.values()))) > MOST_MEMBERS:
        raise RecipeError(f"{where} has {count} combinations; at most {MOST_MEMBERS} are allowed")
    expanded: dict[str, dict[str, Any]] = {}
    for values in product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        one = _name(name, point, where)
        if one in expanded:
            raise RecipeError(
                f"{where}: two combinations are named {one!r}; name each key in the template, values once"
            )
        expanded[one] = {**_with(table, point), "name": one}
    return list(expanded.values())


def _check_key(key: str, where: str) -> None:
    first, dot, rest = key.partition(".")
    if dot and first in TABLES and rest:
        if first == "training" and rest not in TrainingTable.model_fields:
            raise RecipeError(f"{where}: the key {key!r} is unknown{_like(key, TrainingTable.model_fields)}")
    elif dot or first not in PLAIN:
        allowed = [*(f"{name}.…" for name in TABLES), *PLAIN]
        near = nearest(first, TABLES if dot else (*TABLES, *PLAIN))
        raise RecipeError(f"{where}: the key {key!r} is unknown{near}; allowed are {', '.join(allowed)}")


def _like(key: str, allowed: Mapping[str, Any]) -> str:
    first, _, rest = key.partition(".")
    return f"{nearest(rest, allowed)}; {first} has {', '.join(allowed)}"


def _with(table: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """A member's table with one combination's values in their places."""
    changed = dict(table)
    for key, value in point.items():
        first, dot, rest = key.partition(".")
        if dot and isinstance(changed.get(first, {}), Mapping):
            changed[first] = {**changed.get(first, {}), rest: value}
        elif not dot:
            changed[first] = value
    return changed


def _name(template: str, point: Mapping[str, Any], where: str) -> str:
    """The name of one combination: a template's fields filled in, or the values behind the name."""
    if "{" not in template:
        return "-".join([template, *(_text(value) for value in point.values())])
    fields = {key.rpartition(".")[2]: _text(value) for key, value in point.items()}
    if len(fields) < len(point):
        raise RecipeError(f"{where}: two keys end alike, so that a template cannot tell them; give a plain name")

    def fill(field: re.Match[str]) -> str:
        if field[1] not in fields:
            known = ", ".join(f"{{{name}}}" for name in fields)
            raise RecipeError(f"{where}: the name asks for {field[0]}, which is no key; it can ask for {known}")
        return fields[field[1]]

    return re.sub(r"\{([^{}]*)\}", fill, template)


def _text(value: Any) -> str:
    """A value as part of a name: 5.0 is 5, true is true, a list's items stand with x between."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list):
        return "x".join(_text(item) for item in value)
    return str(value)
