"""Recipes: typed TOML that says which models to train on which features. Structure only; nothing here needs torch."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from auscult.errors import RecipeError, nearest

TrainOn = Annotated[list[Literal["development", "additional"]], Field(min_length=1)]
"""Parts of the training data."""

ENSEMBLE = "ensemble"
"""Name of the system that combines a run's members; no member can have it."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingTable(_Table):
    """Differences from a family's default training (`auscult.training.Training`)."""

    epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    betas: tuple[float, float] | None = None
    decay: float | None = Field(None, gt=0)
    decay_every: int | None = Field(None, ge=1)
    precision: Literal["fp32", "bf16"] | None = None

    def settings(self) -> dict[str, Any]:
        """The differences alone."""
        return self.model_dump(exclude_none=True)


class DenoiserTable(_Table):
    """Differences from a denoiser's default training (`auscult.denoising.learn`); one denoiser for each machine type.

    Attributes:
        epochs: with a snapshot after each.
        steps: batches in an epoch.
        batch_size: in mixtures.
        seconds: length of a mixture.
        sample_rate: at which the denoiser works, in Hz.
        learning_rate: in the first epoch; it falls to a fiftieth.
        precision: `"fp32"` or `"bf16"`.
        fixed: mixtures that choose the levels, and as many others that measure them.
    """

    epochs: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    seconds: float | None = Field(None, gt=0)
    sample_rate: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    precision: Literal["fp32", "bf16"] | None = None
    fixed: int | None = Field(None, ge=1)


class Member(_Table):
    """One model, trained once for each of its machine types.

    Attributes:
        name: unique within a machine type; the same name for several types is one system in the tables.
        family: a name in `auscult.models.MODELS`.
        machine_types: all if none are given.
        denoise_level: strength of the denoiser before the features, 1 to 10; 0 or `"-"` is none.
        pooling: of frame scores, for families that pool.
        train_on: which training data; the recipe's if none is given.
        features: `kind` and the arguments of that kind.
        model: arguments of the family's constructor.
        training: differences from the recipe's training.
    """

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    family: str
    machine_types: Annotated[list[str], Field(min_length=1)] | None = None
    denoise_level: Annotated[int, Field(strict=True, ge=0, le=10)] | Literal["-"] = 0
    pooling: str | None = None
    train_on: TrainOn | None = None
    features: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    training: TrainingTable = TrainingTable()

    @property
    def level(self) -> int:
        """The denoise level as a number."""
        return 0 if self.denoise_level == "-" else self.denoise_level


class Ensemble(_Table):
    """Which members the run's final system combines, with equal weights, for each machine type.

    Attributes:
        members: their names; all if none are given, and no ensemble if the list is empty.
    """

    members: list[str] | None = None


class Recipe(_Table):
    """What to train.

    Attributes:
        name: of the recipe.
        description: one line for `auscult recipes`.
        chosen_on: which data the recipe's settings were chosen on, a sentence; runs and reports repeat it.
        seed: of everything random.
        repeats: trainings of each member, with the seeds `seed`, `seed + 1`, ...
        sample_rate: at which clips are read, in Hz; kinds of features with a rate of their own ignore it.
        channel: of multi-channel files, counted from 0.
        train_on: which training data: `"development"`, `"additional"`.
        ensemble: adds the mean of members' standardised scores as one more system, the run's result.
        training: for every member.
        denoiser: training of the denoisers, where a member has a `denoise_level`.
        member: the members.
    """

    name: str = Field(min_length=1)
    description: str = ""
    chosen_on: str = ""
    seed: int = Field(0, ge=0)
    repeats: int = Field(1, ge=1)
    sample_rate: int = Field(16000, ge=1)
    channel: int = Field(0, ge=0)
    train_on: TrainOn = ["development", "additional"]
    ensemble: Ensemble = Ensemble()
    training: TrainingTable = TrainingTable()
    denoiser: DenoiserTable = DenoiserTable()
    member: list[Member] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Recipe":
        seen: dict[str, list[set[str] | None]] = {}
        for member in self.member:
            if member.name == ENSEMBLE:
                raise ValueError(f"a member is named {ENSEMBLE!r}, as the members' combination is; rename it")
            types = None if member.machine_types is None else set(member.machine_types)
            for other in seen.setdefault(member.name, []):
                if other is None or types is None or other & types:
                    raise ValueError(f"two members are named {member.name!r} for the same machine type; rename one")
            seen[member.name].append(types)
        for name in self.ensemble.members or ():
            if name not in seen:
                raise ValueError(f"ensemble.members names {name!r}{nearest(name, seen)}; known: {', '.join(seen)}")
        return self

    def members_of(self, machine_type: str) -> list[Member]:
        """The members for one machine type, in order."""
        return [m for m in self.member if m.machine_types is None or machine_type in m.machine_types]

    def without(self, parts: Collection[Literal["openl3", "denoiser"]]) -> "Recipe":
        """The recipe without the members that need OpenL3's weights, or a denoiser.

        Raises:
            RecipeError: if none is left.
        """
        kept = [
            member
            for member in self.member
            if not ("openl3" in parts and member.features.get("kind") == "openl3")
            and not ("denoiser" in parts and member.level)
        ]
        if not kept:
            raise RecipeError(f"without {' and '.join(parts)} no member of the recipe {self.name!r} is left")
        return self.model_copy(update={"member": kept})

    def left_out(self, parts: Collection[Literal["openl3", "denoiser"]], machine_types: Sequence[str]) -> list[str]:
        """What `without` leaves out of each of the machine types, a sentence for each."""
        kept = self.without(parts)
        found = []
        for machine_type in machine_types:
            names = [member.name for member in self.members_of(machine_type)]
            gone = [name for name in names if name not in {member.name for member in kept.members_of(machine_type)}]
            if gone:
                found.append(f"{machine_type} without {' and '.join(parts)}: {', '.join(gone)} left out.")
        return found

    def in_ensemble(self, name: str) -> bool:
        """Whether the ensemble takes in the members of a name."""
        return self.ensemble.members is None or name in self.ensemble.members

    def training_of(self, member: Member) -> dict[str, Any]:
        """The recipe's training with the member's differences."""
        return self.training.settings() | member.training.settings()

    def to_toml(self) -> str:
        """The resolved recipe; `parse_recipe` gives the same one back."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(exclude_none=True))


def builtin_recipes() -> dict[str, Recipe]:
    """The recipes that come with auscult, by name."""
    folder = resources.files("auscult") / "recipes"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): parse_recipe(file.read_text(encoding="utf-8"), file.name) for file in files
    }


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a built-in recipe by its name, or a TOML file by its path.

    Args:
        name: for instance `"baseline"` or `"my/recipe.toml"`.
        overrides: `key=value`, for instance `training.epochs=3`, or `member.NAME.model.beta=2` for the members of a
            name, or `member.*.pooling="median"` for all; the value is TOML, or else taken as text.

    Raises:
        RecipeError: if there is no such recipe, or it is no valid one.
    """
    path = Path(name)
    if path.suffix == ".toml":
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"the recipe {path} cannot be read: {error}") from error
        return parse_recipe(text, str(path), overrides)
    folder = resources.files("auscult") / "recipes"
    names = sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
    if name not in names:
        raise RecipeError(
            f"there is no recipe {name!r}{nearest(name, names)}; "
            f"give a TOML file (its name ends in .toml) or one of {', '.join(names)}"
        )
    return parse_recipe((folder / f"{name}.toml").read_text(encoding="utf-8"), name, overrides)


def parse_recipe(text: str, source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe's TOML; `source` names it in messages."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe {source} is no valid TOML: {error}") from error
    for override in overrides:
        _override(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"the recipe {source}: " + "; ".join(_explain(item) for item in error.errors())) from error


def _override(content: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise RecipeError(f"the override {override!r} is not of the form key=value, for instance training.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    tables: list[dict[str, Any]] = [content]
    if parts[0] == "member" and len(parts) > 1:
        tables, parts = _members_meant(content, parts[1:], override)
    for start in tables:
        table = start
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise RecipeError(f"the override {override!r}: {part!r} is a value and has no keys")
        if not parts:
            raise RecipeError(f"the override {override!r} names a member but no key of it")
        table[parts[-1]] = value


def _members_meant(
    content: Mapping[str, Any], parts: list[str], override: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The tables of the members that an override names, and what stands behind the name, which may hold dots."""
    listed = content.get("member")
    members = [m for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
    names = {str(m.get("name")) for m in members}
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in ("*", *names):
            return [m for m in members if name in ("*", str(m.get("name")))], parts[length:]
    raise RecipeError(
        f"the override {override!r}: no member is named {parts[0]!r}{nearest(parts[0], names)}; "
        f"the members are {', '.join(sorted(names))}, and * means all"
    )


def _explain(item: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a sentence."""
    place: tuple[int | str, ...] = item["loc"]
    name = ".".join(str(part) for part in place) or "the whole"
    if item["type"] == "extra_forbidden":
        allowed = _fields_at(place[:-1])
        return f"the key {name!r} is unknown{nearest(str(place[-1]), allowed)}; allowed are {', '.join(allowed)}"
    if item["type"] == "missing":
        return f"the key {name!r} is missing"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    return f"{name} is {item['input']!r}: {item['msg'][0].lower() + item['msg'][1:]}"


def _fields_at(place: tuple[int | str, ...]) -> list[str]:
    """The keys that are allowed at a place of a recipe."""
    tables: dict[str, type[BaseModel]] = {
        "member": Member,
        "training": TrainingTable,
        "denoiser": DenoiserTable,
        "ensemble": Ensemble,
    }
    names = [part for part in place if isinstance(part, str)]
    return list(tables.get(names[-1], Recipe).model_fields if names else Recipe.model_fields)
