"""From a recipe's tables to features and models: names, types and values are checked against the constructors."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from auscult.errors import FeatureError, ModelError, RecipeError, WeightsError, nearest, noting
from auscult.features import FEATURES, Features, features_of
from auscult.models import MODELS, Model
from auscult.scores.pooling import POOLINGS
from auscult.training import Training

if TYPE_CHECKING:
    from auscult.recipe import Member, Recipe

V = TypeVar("V")


def make_features(
    table: dict[str, Any],
    *,
    sample_rate: int,
    weights: Path | None = None,
    device: str = "cpu",
    where: str,
    missing: list[str] | None = None,
) -> Features:
    """Make features from a recipe's table: `kind` and arguments; sample rate and weights where the table has none.

    Args:
        table: of a recipe.
        sample_rate: of the recipe, in Hz.
        weights: folder of published weights.
        device: of the run; a CUDA one is also that of kinds that can compute there.
        where: names the place in messages.
        missing: takes down which weights are missing; the features are then an outline, which cannot be used.

    Raises:
        RecipeError: for a kind or an argument that does not exist, or a value that is refused; and for weights that are
            missing, unless they are taken down.
    """
    config: dict[str, Any] = {"kind": "log_mel", **table}
    kind = known(config["kind"], FEATURES, f"{where}: features of kind {config['kind']!r}")
    allowed = inspect.signature(kind).parameters
    if "sample_rate" in allowed:
        config.setdefault("sample_rate", sample_rate)
    if "weights" in allowed and weights is not None:
        config.setdefault("weights", str(weights))
    if "device" in allowed and device.startswith("cuda"):
        config.setdefault("device", device)
    arguments = {name: value for name, value in config.items() if name != "kind"}
    check_arguments(arguments, kind, f"{where}: features of kind {kind.kind!r}")
    _require_few_values(arguments, where)
    try:
        with noting(missing, WeightsError):
            try:
                return features_of(config)
            except WeightsError as error:
                raise WeightsError(f"{error}; or leave such members out with --without {kind.kind}") from error
        return features_of(config, outline=True)
    except (FeatureError, TypeError, ValueError) as error:
        raise RecipeError(f"{where}: {error}") from error


def _require_few_values(arguments: Mapping[str, Any], where: str) -> None:
    """Refuse features of more values in a second than any machine has room for."""
    from auscult.recipe.limits import MOST_VALUES

    rate, hop = arguments.get("sample_rate"), arguments.get("hop_length")
    if rate and hop and (count := rate / hop * arguments.get("n_mels", 128)) > MOST_VALUES:
        raise RecipeError(
            f"{where}: hop_length {hop} and n_mels at {rate} Hz give {count:.0f} values in a second; at most "
            f"{MOST_VALUES} are allowed, so choose a longer hop_length"
        )


def known(name: object, registry: Mapping[str, V], what: str) -> V:
    """What goes by a name.

    Raises:
        RecipeError: if nothing does.
    """
    if not isinstance(name, str) or name not in registry:
        raise RecipeError(f"{what}{nearest(str(name), registry)}; known: {', '.join(registry)}")
    return registry[name]


def model_arguments(member: "Member", features: Features) -> dict[str, Any]:
    """The constructor's arguments, checked by making the model."""
    from auscult.recipe.limits import MOST_NUMBERS

    where = f"member {member.name!r}"
    family = known(member.family, MODELS, f"{where}: the family {member.family!r} is unknown")
    check_arguments(member.model, family, f"{where}: the model {member.family!r}", besides=("n_bins",))
    _check_pooling(member, family, where)
    arguments: dict[str, Any] = {"n_bins": features.n_bins, **member.model}
    try:
        model = family.outlined(arguments, ("id_00", "id_01"))  # before it takes memory
        model.check_features(features.config())
    except (ModelError, TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(f"{where}: {error}") from error
    if features.one_frame and model.frame_context > 1:
        raise RecipeError(
            f"{where}: {member.family} needs {model.frame_context} frames at once, and features of kind "
            f"{features.kind!r} give one for a clip; take another family, or features of many frames"
        )
    if (count := sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))) > MOST_NUMBERS:
        raise RecipeError(
            f"{where}: a model {member.family} of {features.n_bins} bins and {member.model or 'its own sizes'} has "
            f"{count} numbers; at most {MOST_NUMBERS} are allowed, so make it smaller"
        )
    return model.arguments


def training_of(member: "Member", recipe: "Recipe", *, device: str, seed: int) -> Training:
    """The settings of a member's training: its family's, and what the recipe says else."""
    settings = {**asdict(MODELS[member.family].default_training), **recipe.training_of(member)}
    return Training(**{**settings, "device": device, "seed": seed})


def _check_pooling(member: "Member", family: type[Model], where: str) -> None:
    if member.pooling is None:
        return
    if family.default_pooling is None:
        raise RecipeError(
            f"{where}: {member.family} defines its score on the clip and takes no pooling; remove the key"
        )
    if member.pooling not in POOLINGS:
        raise RecipeError(
            f"{where}: pooling is {member.pooling!r}{nearest(member.pooling, POOLINGS)}; "
            f"choose one of {', '.join(POOLINGS)}"
        )


def check_arguments(given: Mapping[str, Any], constructor: type, where: str, *, besides: Sequence[str] = ()) -> None:
    """Check names, and types by the hints; what values are in range the constructor knows.

    Args:
        given: arguments of a constructor.
        constructor: whose signature is asked.
        where: names the place in messages.
        besides: arguments that are not to be given.

    Raises:
        RecipeError: for a name that the constructor does not have, or a value of another type.
    """
    allowed = [name for name in inspect.signature(constructor).parameters if name not in besides]
    for name, value in given.items():
        if name not in allowed:
            raise RecipeError(f"{where} has no argument {name!r}{nearest(name, allowed)}; it has {', '.join(allowed)}")
        try:
            _adapter(constructor, name).validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise RecipeError(f"{where}: {name} is {value!r}: {problem[0].lower() + problem[1:]}") from error


@lru_cache(maxsize=256)
def _adapter(constructor: type, name: str) -> TypeAdapter[Any]:
    """Checks the values of one argument; remembered, as a recipe has hundreds of members of few families."""
    hint = inspect.signature(constructor, eval_str=True).parameters[name].annotation
    return TypeAdapter(hint, config=ConfigDict(strict=True))
