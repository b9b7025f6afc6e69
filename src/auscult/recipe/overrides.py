"""Overrides: `key=value` in a recipe without inheritance."""

import tomllib
from collections.abc import Collection
from typing import Any

from auscult.errors import RecipeError, nearest
from auscult.recipe.ensembles import matching

NAMED = {"member": "a member", "ensemble": "an ensemble"}
"""Lists of tables that have names: an override goes on with the name, or a pattern of names."""
RESOLVED = {"extends": ("",), "like": ("member",), "grid": ("member",)}
"""Keys that are resolved before overrides apply, and where they stand."""


def override(content: dict[str, Any], text: str) -> None:
    """Change a recipe's content in place.

    Args:
        content: without inheritance.
        text: `key=value`; the value is TOML, or else taken as text.

    Raises:
        RecipeError: if the text has not this form, or names what is not there.
    """
    key, separator, written = text.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise RecipeError(f"the override {text!r} is not of the form key=value, for instance training.epochs=3")
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        value = written.strip()
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"the override of {key.strip()}: its value is too long or nested too deeply") from error
    place, tables = "", [content]
    if parts[0] in NAMED and len(parts) > 1:
        place = parts[0]
        tables, parts = _meant(content, place, parts[1:], text)
        if not parts:
            raise RecipeError(f"the override {text!r} names {NAMED[place]} but no key of it")
    if place in RESOLVED.get(parts[0], ()):
        raise RecipeError(f"the override {text!r}: {parts[0]!r} is resolved before overrides; change it in the recipe")
    for table in tables:
        _set(table, parts, value, text)


def _set(table: dict[str, Any], parts: list[str], value: Any, text: str) -> None:
    for part in parts[:-1]:
        inner = table.get(part, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"the override {text!r}: {part!r} is a value and has no keys")
        table[part] = dict(inner)  # members of a grid share their tables
        table = table[part]
    table[parts[-1]] = value


def _meant(content: dict[str, Any], kind: str, parts: list[str], text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The tables that an override names, and what stands behind the name; names and patterns may hold dots."""
    listed = content.get(kind)
    tables = [table for table in listed if isinstance(table, dict)] if isinstance(listed, list) else []
    names: Collection[str] = dict.fromkeys(str(table.get("name")) for table in tables)
    for length in range(len(parts), 0, -1):
        found = matching(".".join(parts[:length]), names)
        if found:
            return [table for table in tables if table.get("name") in found], parts[length:]
    raise RecipeError(
        f"the override {text!r}: no {kind} is named {parts[0]!r}{nearest(parts[0], names)}; "
        f"known: {', '.join(sorted(names)) or 'none'}, and * means any letters"
    )
