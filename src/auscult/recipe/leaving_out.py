"""A recipe without the members that need published weights, or a denoiser; and the words that say what is missing."""

from collections.abc import Collection, Sequence
from typing import Any, Literal, get_args

from auscult.errors import RecipeError, nearest
from auscult.recipe.resolved import Recipe
from auscult.recipe.tables import Ensemble, Member

Part = Literal["openl3", "yamnet", "denoiser"]
"""What a recipe can do without."""


def needs(member: Member, part: Part) -> bool:
    """Whether a member cannot be trained without a part."""
    return member.level > 0 if part == "denoiser" else part in _kinds(member.features)


def _kinds(features: dict[str, Any]) -> list[Any]:
    """The kind of a member's features, and that of those that they are made of."""
    return [
        features.get("kind"),
        *(kind for value in features.values() if isinstance(value, dict) for kind in _kinds(value)),
    ]


def leave_out(recipe: Recipe, parts: Collection[Part]) -> Recipe:
    """A recipe without the members that need the weights of an encoder, or a denoiser.

    An ensemble that is left empty drops out of those that it is part of, and out of the comparison.

    Raises:
        RecipeError: for an unknown part, or if no member is left.
    """
    for part in parts:
        if part not in get_args(Part):
            allowed = get_args(Part)
            raise RecipeError(
                f"a recipe cannot leave out {part!r}{nearest(part, allowed)}; choose {' or '.join(allowed)}"
            )
    kept = _kept(recipe.member, parts)
    if len(kept) == len(recipe.member):
        return recipe
    if not kept:
        raise RecipeError(
            f"every member of the recipe {recipe.name!r} needs {' or '.join(parts)}; nothing is left to train. "
            "Take another recipe, or provide what it needs"
        )
    systems = {member.name for member in kept}
    ensembles = None if recipe.ensemble is None else _kept_ensembles(recipe.ensembles(), systems)
    changed = recipe.model_copy(update={"member": kept, "ensemble": ensembles})
    systems |= {ensemble.name for ensemble in changed.ensembles()}
    compare = {
        table: {column: system for column, system in cells.items() if system in systems}
        for table, cells in recipe.compare.items()
    }
    return changed.model_copy(update={"compare": compare})


def types_left(whole: Recipe, recipe: Recipe, machine_types: Sequence[str]) -> list[str]:
    """The machine types that are not left out with the last of their members.

    Args:
        whole: the recipe.
        recipe: what `leave_out` made of it.
        machine_types: of the data; those without a member in the whole recipe are not left out by it.

    Raises:
        RecipeError: if nothing is left.
    """
    left = [name for name in machine_types if recipe.members_of(name) or not whole.members_of(name)]
    if machine_types and not left:
        raise RecipeError(
            f"every member of the recipe {whole.name!r} for {', '.join(machine_types)} is left out; nothing is left to "
            "train. Take another recipe or other machine types, or provide what the members need"
        )
    return left


def _kept(members: Sequence[Member], parts: Collection[Part]) -> list[Member]:
    return [member for member in members if not any(needs(member, part) for part in parts)]


def _kept_ensembles(ensembles: Sequence[Ensemble], systems: set[str]) -> list[Ensemble]:
    """Those of which a part is among the systems, children before parents, with the parts that are left."""
    kept: dict[str, Ensemble] = {}
    for ensemble in ensembles:
        left = [name for name in ensemble.members if name in systems or name in kept]
        if left:
            kept[ensemble.name] = ensemble.model_copy(update={"members": left})
    return list(kept.values())


def what_is_left_out(recipe: Recipe, parts: Collection[Part], machine_types: Sequence[str]) -> list[str]:
    """What `leave_out` leaves out of each of the machine types, a sentence for each family of models."""
    sentences = []
    for machine_type in machine_types:
        members = recipe.members_of(machine_type)
        for family in dict.fromkeys(member.family for member in members):
            mine = [member for member in members if member.family == family]
            n_out = len(mine) - len(_kept(mine, parts))
            if n_out == len(mine):
                what = f"no {family} member is left{_dropped(recipe, members, mine, parts)}"
            else:
                what = f"{n_out} of {len(mine)} {family} members left out"
            if n_out:
                sentences.append(f"{machine_type} without {' and '.join(parts)}: {what}.")
    return sentences


def _dropped(recipe: Recipe, members: Sequence[Member], mine: Sequence[Member], parts: Collection[Part]) -> str:
    """The ensembles that drop out for one machine type, of those that combine members of one family."""
    before, after = (
        [one.name for one in _kept_ensembles(recipe.ensembles(), {member.name for member in some})]
        for some in (mine, _kept(members, parts))
    )
    dropped = [name for name in before if name not in after]
    if not dropped:
        return ""
    named = " and ".join(repr(name) for name in dropped)
    return f", ensemble {named} drops out" if len(dropped) == 1 else f", ensembles {named} drop out"
