"""What data lack for a member: without it the member is an error, or is left out with a sentence where it may be."""

from collections.abc import Collection, Mapping, Sequence

from auscult.clips import MACHINE_TYPES, Clip, Split, Subset
from auscult.errors import RecipeError, nearest, noting
from auscult.members.ensembles import in_result
from auscult.models import Model
from auscult.recipe import Member, Recipe, builtin_recipes

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


def training_clips(train_on: Collection[Subset], clips: Parts) -> list[Clip]:
    """Those that a member trains on."""
    return [clip for part in parts_of(train_on, clips) if part[0] == "train" for clip in clips[part]]


def lacking(
    member: Member, model: Model, machine_type: str, train_on: Sequence[Subset], clips: Parts, *, others: bool
) -> tuple[str, str] | None:
    """What the clips of a machine type lack for a member, and the same as an error; none if they suffice.

    Args:
        member: of a recipe.
        model: that it would train.
        machine_type: for which.
        train_on: the subsets.
        clips: of the machine type.
        others: whether there are training clips of other machine types for it.
    """
    name = f"member {member.name!r}"
    parts = parts_of(train_on, clips)
    if "train" not in {split for split, _ in parts}:
        error = (
            f"{name} trains on {' and '.join(train_on)} data; {machine_type} has none. Give the data or change train_on"
        )
        return f"no {' or '.join(train_on)} training clips", error
    train = training_clips(train_on, clips)
    if (what := model.lacks([clip.known for clip in train], others=others)) is not None:
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


def planned_types(recipe: Recipe, clips: Sequence[Clip], missing: list[str] | None) -> list[str]:
    """The machine types of the clips; those without a member are an error, or are taken down if any has one.

    Members for every type that stand beside the result of a recipe for certain types are none by themselves.
    """
    types = list(dict.fromkeys(clip.machine_type for clip in clips))
    there = [machine_type for machine_type in types if _has_part_in_result(recipe, machine_type)]
    with noting(missing if there else None):
        if len(there) < len(types):
            raise RecipeError(_no_member(recipe, [machine_type for machine_type in types if machine_type not in there]))
    return there


def _has_part_in_result(recipe: Recipe, machine_type: str) -> bool:
    members = recipe.members_of(machine_type)
    for_all = not any(member.machine_types for member in recipe.member)
    if for_all or recipe.ensemble is None or any(member.machine_types for member in members):
        return bool(members)
    return not in_result(recipe, recipe.member).isdisjoint(member.name for member in members)


def _no_member(recipe: Recipe, types: Sequence[str]) -> str:
    known = sorted({name for member in recipe.member for name in member.machine_types or ()})
    recipes = builtin_recipes().items()
    for_all = [name for name, other in recipes if all(member.machine_types is None for member in other.member)]
    return (
        f"the recipe {recipe.name!r} has no member for the machine type {', '.join(types)}; its members are for "
        f"{', '.join(known)}. Choose among these with --machine-type, or take a recipe that is for every machine type "
        f"({', '.join(for_all)}), or copy this one and add a member"
    )


def check_members_types(recipe: Recipe, clips: Sequence[Clip]) -> None:
    """Refuse members for machine types that are neither in the data nor the challenge's: slips of the pen."""
    there = dict.fromkeys(clip.machine_type for clip in clips)
    known = [*there, *(name for name in MACHINE_TYPES if name not in there)]
    for member in recipe.member:
        for name in member.machine_types or ():
            if name not in known:
                raise RecipeError(
                    f"member {member.name!r} is for the machine type {name!r}{nearest(name, known)}, which is neither "
                    f"in the data ({', '.join(there)}) nor one of the challenge's ({', '.join(MACHINE_TYPES)})"
                )


class LeftOut:
    """What of a recipe a plan is without, as its data lack something."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str], list[str]] = {}

    def has(
        self, member: Member, model: Model, machine_type: str, train_on: Sequence[Subset], clips: Parts, *, others: bool
    ) -> bool:
        """Whether a member is left out for a machine type; the arguments are those of `lacking`.

        Raises:
            RecipeError: if the data do not suffice, and the member may not be left out.
        """
        if (found := lacking(member, model, machine_type, train_on, clips, others=others)) is None:
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
