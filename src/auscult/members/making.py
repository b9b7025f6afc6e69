"""From a recipe's tables to features and models: names, types and values are checked against the constructors."""

import inspect
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError

from auscult.errors import FeatureError, ModelError, RecipeError, WeightsError, nearest, noting
from auscult.features import FEATURES, OUTLINES, Features
from auscult.models import MODELS, Model
from auscult.recipe import Member
from auscult.recipe.limits import MOST_NUMBERS, MOST_VALUES
from auscult.scores.pooling import POOLINGS


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
    arguments = {key: value for key, value in table.items() if key != "kind"}
    kind = table.get("kind", "log_mel")
    if not isinstance(kind, str) or kind not in FEATURES:
        raise RecipeError(
            f"{where}: features of kind {kind!r}{nearest(str(kind), FEATURES)}; known: {', '.join(FEATURES)}"
        )
    allowed = inspect.signature(FEATURES[kind]).parameters
    if "sample_rate" in allowed:
        arguments.setdefault("sample_rate", sample_rate)
    if "weights" in allowed and weights is not None:
        arguments.setdefault("weights", str(weights))
    if "device" in allowed and device.startswith("cuda"):
        arguments.setdefault("device", device)
    check_arguments(arguments, FEATURES[kind], f"{where}: features of kind {kind!r}")
    rate, hop = arguments.get("sample_rate"), arguments.get("hop_length")
    if rate and hop and (count := rate / hop * arguments.get("n_mels", 128)) > MOST_VALUES:
        raise RecipeError(
            f"{where}: hop_length {hop} and n_mels at {rate} Hz give {count:.0f} values in a second; at most "
            f"{MOST_VALUES} are allowed, so choose a longer hop_length"
        )
    try:
        with noting(missing, WeightsError):
            return _made(kind, arguments)
        return OUTLINES[kind](**arguments)
    except (FeatureError, TypeError, ValueError) as error:
        raise RecipeError(f"{where}: {error}") from error


def _made(kind: str, arguments: dict[str, Any]) -> Features:
    try:
        return FEATURES[kind](**arguments)
    except WeightsError as error:
        raise WeightsError(f"{error}; or leave such members out with --without {kind}") from error


def model_arguments(member: Member, features: Features) -> dict[str, Any]:
    """The constructor's arguments, checked by making the model."""
    where = f"member {member.name!r}"
    if member.family not in MODELS:
        raise RecipeError(
            f"{where}: the family {member.family!r} is unknown{nearest(member.family, MODELS)}; "
            f"known: {', '.join(MODELS)}"
        )
    family = MODELS[member.family]
    check_arguments(member.model, family, f"{where}: the model {member.family!r}", besides=("n_bins",))
    _check_pooling(member, family, where)
    if member.model.get("domain") == "amplitude" and features.config().get("scale") != "log":
        raise RecipeError(
            f"{where}: the domain 'amplitude' is defined on log-mels; choose scale = \"log\", or leave it out"
        )
    arguments = {"n_bins": features.n_bins, **member.model}
    try:
        with torch.device("meta"):  # its numbers are counted, not made
            model = family(**arguments)
            model.ids = ("id_00", "id_01")
            model.build()
    except (ModelError, TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(f"{where}: {error}") from error
    if (count := sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))) > MOST_NUMBERS:
        raise RecipeError(
            f"{where}: a model {member.family} of {features.n_bins} bins and {member.model or 'its own sizes'} has "
            f"{count} numbers; at most {MOST_NUMBERS} are allowed, so make it smaller"
        )
    return model.arguments


def _check_pooling(member: Member, family: type[Model], where: str) -> None:
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


def check_arguments(given: dict[str, Any], constructor: type, where: str, *, besides: Sequence[str] = ()) -> None:
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
