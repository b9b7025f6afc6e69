"""The tables of a recipe, with the types of their keys: training, denoiser, member, ensemble."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from auscult.recipe.limits import Number, Whole, within_limits

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


Name = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), AfterValidator(_without_ending)
]
"""Of a member or an ensemble: also a file's name, with endings."""


class RecipeTable(BaseModel):
    """Keys that are known, values that do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingTable(RecipeTable):
    """Differences from a family's default training (`auscult.training.Training`)."""

    epochs: Whole | None = Field(None, ge=1, le=1_000_000)
    batch_size: Whole | None = Field(None, ge=1, le=65_536)
    learning_rate: Number | None = Field(None, gt=0, le=1_000)
    betas: tuple[Number, Number] | None = None
    decay: Number | None = Field(None, gt=0, le=1_000)
    decay_every: Whole | None = Field(None, ge=1, le=1_000_000)
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
        supplemental: whether a machine type's supplemental clips of the machine alone, three or more, take the place of
            the folder of clean sounds, and those of noise alone join its noise; they do by default.
    """

    epochs: Whole | None = Field(None, ge=1, le=1_000_000)
    steps: Whole | None = Field(None, ge=1, le=1_000_000)
    batch_size: Whole | None = Field(None, ge=1, le=4_096)
    seconds: Number | None = Field(None, gt=0, le=30)
    sample_rate: Whole | None = Field(None, ge=1, le=96_000)
    learning_rate: Number | None = Field(None, gt=0, le=1_000)
    precision: Literal["fp32", "bf16"] | None = None
    fixed: Whole | None = Field(None, ge=1, le=1_000)
    supplemental: bool | None = None

    @model_validator(mode="after")
    def _fits(self) -> "DenoiserTable":
        samples = (self.batch_size or 1) * (self.seconds or 1) * (self.sample_rate or 1)
        if samples > 2**27:
            raise ValueError(
                f"batch_size x seconds x sample_rate are {samples:.0f} samples; at most {2**27} are allowed"
            )
        return self


Arguments = Annotated[dict[str, Any], AfterValidator(within_limits)]
"""Of a constructor, which checks their names and types."""


class Member(RecipeTable):
    """One model, trained once for each of its machine types.

    Attributes:
        name: unique within a machine type; the same name for several types is one system in the tables.
        family: a name in `auscult.models.MODELS`.
        machine_types: all if none are given.
        denoise_level: strength of the denoiser before the features, 1 to 10; 0 or `"-"` is none.
        pooling: of frame scores, for families that pool.
        train_on: which training data; the recipe's if none is given.
        optional: whether it is left out where the data do not suffice for it, instead of an error.
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
    optional: bool | None = None
    features: Arguments = Field(default_factory=dict)
    model: Arguments = Field(default_factory=dict)
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
        fusion: how they become one (`auscult.scores.fusion.fused`); all but the mean are of standardised
            members alone, without any choice, and part of no other ensemble.
    """

    name: Name
    members: list[str] = Field(min_length=1)
    select: Whole | None = Field(None, ge=1)
    weights: Literal["uniform", "search"] = "uniform"
    standardise: bool = True
    fusion: Literal["mean", "minimum", "tail"] = "mean"

    @model_validator(mode="after")
    def _takes_all_alike(self) -> "Ensemble":
        if self.fusion != "mean" and (self.select is not None or self.weights != "uniform" or not self.standardise):
            raise ValueError(
                f"the fusion {self.fusion!r} takes all members alike and on one scale; leave out select, weights and "
                "standardise, or take the fusion mean"
            )
        return self
