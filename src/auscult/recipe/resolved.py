"""The recipe as a run uses it: no inheritance, no grids, names that exist."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from auscult.errors import nearest
from auscult.recipe.ensembles import resolve_ensembles
from auscult.recipe.limits import LIMITS, MOST_MEMBERS, Whole
from auscult.recipe.tables import ENSEMBLE, DenoiserTable, Ensemble, Member, RecipeTable, TrainingTable, TrainOn

if TYPE_CHECKING:
    from auscult.sound.audio import Channel

COLUMNS = {
    "table3": {"baseline": "Baseline", "dev": "Dev", "dev+add": "Dev + Add"},
    "table4": {"baseline": "Baseline", "hvae": "HVAE", "idcae": "IDCAE", "freak": "Freak", "ensemble": "Ensemble"},
}
"""The report's tables of results, beside which a run's own figures can stand: column -> its name in print."""


class Recipe(RecipeTable):
    """What to train.

    Attributes:
        name: of the recipe.
        description: one line for `auscult recipes`.
        chosen_on: which data the recipe's settings were chosen on, a sentence; runs and reports repeat it.
        seed: of everything random.
        repeats: how often each member is trained: with the seeds `seed`, `seed + 1`, ...
        sample_rate: at which clips are read, in Hz; kinds of features with a rate of their own ignore it.
        channel: of multi-channel files, counted from 0.
        reference_channel: of a far microphone; what it predicts of the channel is subtracted (`auscult.sound.far`).
        train_on: which training data: `"development"`, `"additional"`.
        scale: by which normal clips members are standardised: `"unseen"` ones (`auscult.members.scaling`), or those of
            the `"training"`, as in the report.
        ensemble: what is combined; the last one is the run's result. All members alike if none is given.
        training: for every member.
        denoiser: training of the denoisers, where a member has a `denoise_level`.
        compare: for a table of the report, a key of `COLUMNS`, the system that stands in each of its columns.
        member: the members.
    """

    name: str = Field(min_length=1, max_length=200)
    description: str = ""
    chosen_on: str = ""
    seed: Whole = Field(0, ge=0, le=2**32 - 2**10)
    repeats: Whole = Field(1, ge=1, le=1_000)
    sample_rate: Whole = Field(16000, ge=1, le=LIMITS["sample_rate"])
    channel: Whole = Field(0, ge=0, le=1_023)
    reference_channel: Whole | None = Field(None, ge=0, le=1_023)
    train_on: TrainOn = Field(["development", "additional"])
    scale: Literal["unseen", "training"] = "unseen"
    training: TrainingTable = TrainingTable()
    denoiser: DenoiserTable = DenoiserTable()
    compare: dict[Literal["table3", "table4"], dict[str, str]] = Field(default_factory=dict)
    member: list[Member] = Field(min_length=1, max_length=MOST_MEMBERS)
    ensemble: list[Ensemble] | None = Field(None, max_length=MOST_MEMBERS)

    @property
    def microphones(self) -> "Channel":
        """What is read of recordings: the channel, or it and the far microphone's."""
        return self.channel if self.reference_channel is None else (self.channel, self.reference_channel)

    @model_validator(mode="after")
    def _names_are_right(self) -> "Recipe":
        if self.reference_channel == self.channel:
            raise ValueError(
                f"reference_channel and channel are both {self.channel}; the far microphone has a channel of its own"
            )
        self._check_members()
        self._check_compared([*self.names, *(ensemble.name for ensemble in self.ensembles())])
        return self

    def _check_members(self) -> None:
        seen: dict[str, list[set[str] | None]] = {}
        for member in self.member:
            if member.name == ENSEMBLE:
                raise ValueError(f"a member is named {ENSEMBLE!r}, as the members' combination is; rename it")
            types = None if member.machine_types is None else set(member.machine_types)
            for other in seen.setdefault(member.name, []):
                if other is None or types is None or other & types:
                    raise ValueError(f"two members are named {member.name!r} for the same machine type; rename one")
            seen[member.name].append(types)

    def _check_compared(self, systems: Sequence[str]) -> None:
        for table, cells in self.compare.items():
            for column, system in cells.items():
                place = f"compare.{table}"
                if column not in COLUMNS[table]:
                    raise ValueError(
                        f"{place}: the report's table has no column {column!r}{nearest(column, COLUMNS[table])}; "
                        f"it has {', '.join(COLUMNS[table])}"
                    )
                if system not in systems:
                    raise ValueError(
                        f"{place}: {column} is to be {system!r}, which is no member or ensemble"
                        f"{nearest(system, systems)}; known: {', '.join(systems)}"
                    )

    @property
    def names(self) -> list[str]:
        """The members' names, each once; one name for several machine types is one system."""
        return list(dict.fromkeys(member.name for member in self.member))

    def members_of(self, machine_type: str) -> list[Member]:
        """The members for one machine type, in order."""
        return [m for m in self.member if m.machine_types is None or machine_type in m.machine_types]

    def training_of(self, member: Member) -> dict[str, Any]:
        """The recipe's training with the member's differences."""
        return self.training.settings() | member.training.settings()

    def ensembles(self) -> list[Ensemble]:
        """The ensembles with names in place of patterns, children before parents, the run's result last.

        Where the recipe says nothing of ensembles, it is one of all members with equal weights, if there are two.
        """
        if self.ensemble is None:
            return [Ensemble(name=ENSEMBLE, members=self.names)] if len(self.names) > 1 else []
        return resolve_ensembles(self.ensemble, self.names)

    @property
    def standardised(self) -> frozenset[str]:
        """What ensembles bring on one scale."""
        return frozenset(name for ensemble in self.ensembles() if ensemble.standardise for name in ensemble.members)

    @property
    def chooses(self) -> bool:
        """Whether an ensemble selects members or searches for weights, for which a protocol needs labels."""
        return any(ensemble.select is not None or ensemble.weights == "search" for ensemble in self.ensembles())

    def to_toml(self) -> str:
        """The resolved recipe; `parse_recipe` gives the same one back."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(exclude_none=True))
