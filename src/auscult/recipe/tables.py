"""The tables of a recipe, with the types of their keys: training, denoiser, member, ensemble."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

TrainOn = Annotated[list[Literal["development", "additional"]], Field(min_length=1)]
"""Parts of the training data."""

ENSEMBLE = "ensemble"
"""Name of the ensemble of all members, where a recipe lists none; no member can have it."""

ENDINGS = re.compile(r"\.(uniform|leave-one-id-out|paper|seed-\d+)$")
"""What a run puts behind a name in the names of its files."""


def _without_ending(name: str) -> str:
    if ending := ENDINGS.search(name):
        raise ValueError(
            f"the name {name!r} ends in {ending[0]!r}, which a run puts behind names of its own files; rename it"
        )
    return name


Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), AfterValidator(_without_ending)]
"""Of a member or an ensemble: also a file's name."""


class RecipeTable(BaseModel):
    """Keys that are known, values that do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingTable(RecipeTable):
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


class DenoiserTable(RecipeTable):
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


class Member(RecipeTable):
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

    name: Name
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


class Ensemble(RecipeTable):
    """Members and other ensembles whose scores are combined, for each machine type those that it has.

    Attributes:
        name: unique among members and ensembles.
        members: names, or shell-style patterns of names, of members and of other ensembles.
        select: how many to choose: those that are best on their own. All if none is given.
        weights: `"uniform"`, or `"search"` for the best ones on the simplex in steps of 0.01.
        standardise: each member's scores before they are combined.
    """

    name: Name
    members: list[str] = Field(min_length=1)
    select: int | None = Field(None, ge=1)
    weights: Literal["uniform", "search"] = "uniform"
    standardise: bool = True
