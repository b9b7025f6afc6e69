"""Reading recipes: built-in ones by name, files by path; what is wrong is said in a sentence each."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from auscult.errors import RecipeError, nearest
from auscult.recipe.inheritance import Content, Find, flat
from auscult.recipe.limits import MOST_BYTES, brief, shown
from auscult.recipe.overrides import override
from auscult.recipe.resolved import Recipe
from auscult.recipe.tables import DenoiserTable, Ensemble, Member, TrainingTable

_MOST_PROBLEMS = 20


def builtin_recipes() -> dict[str, Recipe]:
    """The recipes that come with auscult, by name."""
    return {name: load_recipe(name) for name in _builtin_names()}


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a built-in recipe by its name, or a TOML file by its path.

    Args:
        name: for instance `"baseline"` or `"my/recipe.toml"`.
        overrides: `key=value`, for instance `training.epochs=3`, or `member.NAME.model.beta=2` for the members of a
            name or of names that fit a pattern, as `member.hvae-*.pooling="median"`; likewise `ensemble.NAME.…`. They
            change the resolved recipe. The value is TOML, or else taken as text.

    Raises:
        RecipeError: if there is no such recipe, or it is no valid one.
    """
    source, text = _text(name, Path())
    return parse_recipe(text, source, overrides, folder=Path(source).parent)


def parse_recipe(text: str, source: str, overrides: Sequence[str] = (), *, folder: Path | None = None) -> Recipe:
    """Read a recipe's TOML.

    Args:
        text: the TOML.
        source: names it in messages.
        overrides: see `load_recipe`.
        folder: where the files that it extends are looked for; the working folder if none is given.

    Raises:
        RecipeError: if it is no valid recipe.
    """
    try:
        content = flat(_content(text, source), source, _finder(folder or Path()))
        for one in overrides:
            override(content, one)
        return Recipe.model_validate(content)
    except ValidationError as error:
        listed = error.errors()
        problems = "; ".join(_explain(item, content) for item in listed[:_MOST_PROBLEMS])
        more = f"; and {len(listed) - _MOST_PROBLEMS} more" if len(listed) > _MOST_PROBLEMS else ""
        raise RecipeError(f"the recipe {source}: {problems}{more}") from error
    except RecursionError as error:
        raise RecipeError(f"the recipe {source} is nested too deeply; write fewer tables in each other") from error


def _builtin_names() -> list[str]:
    folder = resources.files("auscult") / "recipe" / "builtin"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def _text(name: str, folder: Path) -> tuple[str, str]:
    """The source and the text of a built-in recipe or of a file, whose path is relative to a folder."""
    if name.endswith(".toml"):
        path = folder / name
        try:
            if path.exists() and not path.is_file() and not path.is_dir():
                raise RecipeError(f"the recipe {path} is a pipe or a device; give a TOML file")
            if (size := path.stat().st_size) > MOST_BYTES:
                raise RecipeError(f"the recipe {path} has {size} bytes; at most {MOST_BYTES} are read")
            return str(path), path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"the recipe {path} cannot be read: {error}") from error
    names = _builtin_names()
    if name not in names:
        raise RecipeError(
            f"there is no recipe {name!r}{nearest(name, names)}; "
            f"give a TOML file (its name ends in .toml) or one of {', '.join(names)}"
        )
    return name, (resources.files("auscult") / "recipe" / "builtin" / f"{name}.toml").read_text(encoding="utf-8")


def _finder(folder: Path) -> Find:
    """Finds what a recipe in a folder extends; a file has one source by whatever path it is found."""

    def find(name: str) -> tuple[str, Content, Find]:
        source, text = _text(name, folder.resolve())
        source = str(Path(source).resolve()) if name.endswith(".toml") else source
        return source, _content(text, source), _finder(Path(source).parent)

    return find


def _content(text: str, source: str) -> Content:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also of a number with thousands of digits
        raise RecipeError(f"the recipe {source} is no valid TOML: {error}") from error


def _explain(item: Mapping[str, Any], content: Content) -> str:
    """One of pydantic's errors as a sentence."""
    place: tuple[int | str, ...] = item["loc"]
    name = brief(_place(place, content)) or "the whole"
    if item["type"] == "extra_forbidden":
        allowed = _fields_at(place[:-1])
        return f"the key {name!r} is unknown{nearest(str(place[-1]), allowed)}; allowed are {', '.join(allowed)}"
    if item["type"] == "missing":
        return f"the key {name!r} is missing"
    if item["type"] == "value_error":
        sentence = str(item["ctx"]["error"])
        return f"{name}: {sentence}" if place and place[-1:] != ("name",) else sentence
    return f"{name} is {shown(item['input'])}: {item['msg'][0].lower() + item['msg'][1:]}"


def _place(place: Sequence[int | str], content: Content) -> str:
    """A place as an override would write it: a member or an ensemble by its name."""
    parts = [str(part) for part in place if part != "[key]"]
    if len(place) > 2 and isinstance(place[1], int) and place[0] in ("member", "ensemble") and place[2] != "name":
        parts[1] = str(content[str(place[0])][place[1]].get("name", parts[1]))
    return ".".join(parts)


def _fields_at(place: Sequence[int | str]) -> list[str]:
    """The keys that are allowed at a place of a recipe."""
    tables: dict[str, tuple[type[BaseModel], tuple[str, ...]]] = {
        "member": (Member, ("like", "grid")),
        "training": (TrainingTable, ()),
        "denoiser": (DenoiserTable, ()),
        "ensemble": (Ensemble, ()),
    }
    names = [part for part in place if isinstance(part, str)]
    table, more = tables[names[-1]] if names and names[-1] in tables else (Recipe, ("extends",))
    return [*table.model_fields, *more]
