"""What data lack for a member: without it the member is an error, or is left out with a sentence where it may be."""

from collections.abc import Collection, Mapping, Sequence

from auscult.clips import Clip, Split, Subset
from auscult.errors import RecipeError
from auscult.models import Model
from auscult.recipe import Member

Parts = Mapping[tuple[Split, Subset], Sequence[Clip]]
"""The clips of one machine type, by what they are for."""


def parts_of(train_on: Collection[Subset], there: Collection[tuple[Split, Subset]]) -> list[tuple[Split, Subset]]:
    """The parts of the data that a member reads, training first.

    Evaluation clips are machines of their own, known from the additional training data alone: only members that
    train on it score them, and none where it is missing.
    """
    parts: list[tuple[Split, Subset]] = [("train", subset) for subset in sorted(set(train_on))]
    if "development" in train_on:
        parts.append(("test", "development"))
    if "additional" in train_on and ("train", "additional") in there:
        parts.append(("test", "evaluation"))
    return [part for part in parts if part in there]


def lacking(
    member: Member, model: Model, machine_type: str, train_on: Sequence[Subset], clips: Parts
) -> tuple[str, str] | None:
    """What the clips of a machine type lack for a member, and the same as an error; none if they suffice."""
    name = f"member {member.name!r}"
    parts = parts_of(train_on, clips)
    if "train" not in {split for split, _ in parts}:
        error = (
            f"{name} trains on {' and '.join(train_on)} data; {machine_type} has none. Give the data or change train_on"
        )
        return f"no {' or '.join(train_on)} training clips", error
    train = [clip for part in parts if part[0] == "train" for clip in clips[part]]
    if (what := model.lacks([clip.known for clip in train])) is not None:
        advice = "Give clips of another machine of the type, or take a recipe without this family"
        return what, f"{name}: {machine_type} has {what}. {advice}"
    if not model.knows_ids:
        return None
    trained = {clip.machine_id for clip in train}
    for part in parts:
        if unknown := sorted({clip.machine_id for clip in clips[part]} - trained):
            what = (
                f"{part[1]} test clips of {', '.join(unknown)} and no training clips of them, and {member.family} "
                "scores only ids that it was trained on"
            )
            advice = "Give training clips of every id, leave out these test clips, or choose another family"
            return what, f"{name}: {machine_type} has {what}. {advice}"
    return None


class LeftOut:
    """What of a recipe a plan is without, as its data lack something."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str], list[str]] = {}

    def has(self, member: Member, model: Model, machine_type: str, train_on: Sequence[Subset], clips: Parts) -> bool:
        """Whether a member is left out for a machine type.

        Raises:
            RecipeError: if the data do not suffice, and the member may not be left out.
        """
        if (found := lacking(member, model, machine_type, train_on, clips)) is None:
            return False
        what, error = found
        if not member.optional:
            raise RecipeError(error)
        self._types.setdefault((member.name, what), []).append(machine_type)
        return True

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each member and reason, with the machine types."""
        return tuple(
            f"{name} is left out for {', '.join(types)}: {'each has' if len(types) > 1 else 'it has'} {what}."
            for (name, what), types in self._types.items()
        )
