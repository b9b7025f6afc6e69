"""From normal windows to the parts of a detector: the recipe's members, trained and put on one scale."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from auscult.errors import RecipeError
from auscult.features.bank import Bank
from auscult.features.front_end import FrontEnd
from auscult.members.ensembles import in_result, nodes_of
from auscult.members.making import make_features, model_arguments, training_of
from auscult.members.part import Part
from auscult.members.scaling import normal_scores, scaling_of
from auscult.models import MODELS, Model
from auscult.recipe import Member, Recipe
from auscult.scores.ensemble import Scores
from auscult.scores.ensemble.scales import member_scales
from auscult.scores.table import ScoreRow, ScoreTable

LEARNED = "machine"
"""Machine type where nobody names one."""


def members_for(recipe: Recipe, machine_type: str | None) -> list[Member]:
    """The members of the recipe's result, without those that stand beside it, that can learn from recordings.

    Raises:
        RecipeError: if there is none for the machine type, or one that is not optional needs a denoiser.
    """
    members = recipe.members_of(machine_type or LEARNED)
    inside = in_result(recipe, members)
    members = [member for member in members if member.name in inside and not (member.level and member.optional)]
    if not members:
        known = sorted({name for member in recipe.member for name in member.machine_types or ()})
        raise RecipeError(
            f"the recipe {recipe.name!r} has members for {', '.join(known)} alone; say which these recordings are with "
            "--machine-type"
        )
    for member in members:
        if member.level:
            raise RecipeError(
                f"member {member.name!r} of {recipe.name!r} needs a denoiser, which learns from clean sounds and other "
                "machine types: train it by `auscult run` and make the detector by `auscult pack`, or take another "
                "recipe"
            )
    return members


def front_ends_of(members: Sequence[Member], recipe: Recipe, *, weights: Path | None) -> dict[str, FrontEnd]:
    """Member -> front end.

    Raises:
        RecipeError: for features that cannot be made.
    """
    return {
        member.name: FrontEnd(
            make_features(
                member.features,
                sample_rate=recipe.sample_rate,
                weights=weights,
                where=f"member {member.name!r}",
            ),
            channel=recipe.microphones,
        )
        for member in members
    }


def learnable(
    members: Sequence[Member],
    recipe: Recipe,
    front_ends: Mapping[str, FrontEnd],
    *,
    ids: Sequence[str],
    seconds: float,
    device: str,
) -> tuple[list[Member], list[str]]:
    """The members that can learn, known before anything is trained, and a sentence on each optional one that cannot.

    Args:
        members: of the recipe.
        recipe: with the training.
        front_ends: of the members.
        ids: of the machines.
        seconds: length of a window.
        device: on which to train.

    Raises:
        AuscultError: for a member whose arguments do not fit, and for one that is not optional, or the last one, that
            learns from the differences of several machines where there is one, or that needs longer windows.
    """
    kept, left_out = list[Member](), list[str]()
    for member in members:
        features = front_ends[member.name].features
        training_of(member, recipe, device=device, seed=recipe.seed)
        model = MODELS[member.family](**model_arguments(member, features))
        frames, reason = features.n_frames(round(seconds * features.sample_rate)), ""
        if model.lacks([(id_, None, ()) for id_ in ids]) is not None:
            reason = (
                f"member {member.name!r} of {recipe.name!r}: {member.family} learns from the differences of at least "
                f"two machines, and these recordings are of one, {ids[0]}. Give recordings of another machine, in a "
                "folder for each, or take a recipe without this family, for instance practical"
            )
        elif seconds * features.sample_rate < (least := features.least_samples):
            reason = (
                f"member {member.name!r} of {recipe.name!r}: {features.kind} needs windows of "
                f"{least / features.sample_rate:g} s, and these have {seconds:g} s; give longer recordings, or longer "
                "windows with --window"
            )
        elif frames < model.frame_context:
            reason = (
                f"member {member.name!r} of {recipe.name!r} needs {model.frame_context} frames, and windows of "
                f"{seconds:g} s have {frames}; give longer recordings, or longer windows with --window"
            )
        if reason and not (member.optional and (kept or member is not members[-1])):
            raise RecipeError(reason)
        if reason:
            left_out.append(f"Left out: {reason.split('. Give ')[0].split('; give ')[0]}.")
        else:
            kept.append(member)
    return kept, left_out


def fit_parts(
    members: Sequence[Member],
    recipe: Recipe,
    front_ends: Mapping[str, FrontEnd],
    banks: Mapping[str, Bank],
    *,
    device: str,
    on_epoch: Callable[[str, int, int], None],
) -> list[Part]:
    """Train every member and combine all with equal weights in their ensembles: no label is there to choose by.

    Args:
        members: of the recipe.
        recipe: with the training and the ensembles.
        front_ends: of the members.
        banks: of the members.
        device: on which to train.
        on_epoch: called with a member's name, its epochs done and in all.

    Raises:
        AuscultError: for arguments that do not fit, or a training that fails.
    """
    models: dict[str, Model] = {}
    leaves: dict[str, Scores] = {}
    empty = ScoreTable(())
    for member in members:
        bank, training = banks[member.name], training_of(member, recipe, device=device, seed=recipe.seed)
        model = MODELS[member.family](**model_arguments(member, front_ends[member.name].features))
        told = partial(_told, on_epoch, member.name, training.epochs)
        combined, unseen = member.name in recipe.standardised, recipe.scale == "unseen"
        scaling = scaling_of(model, bank.known, unseen=unseen, combined=combined)
        model.fit(scaling.kept(bank), training=training, member=member.name, on_epoch=told)
        models[member.name] = model
        scores = normal_scores(model, bank, scaling, pooling=member.pooling)
        table = ScoreTable(
            ScoreRow(LEARNED, bank.ids[place], f"{place:06d}", "normal", float(scores[place]))
            for place in np.flatnonzero(~np.isnan(scores)).tolist()
        )
        leaves[member.name] = Scores(table, empty, empty, scaling.curve)
    nodes = nodes_of(recipe)
    system = nodes[-1].name if nodes else members[-1].name
    scales, _ = member_scales(nodes, leaves, "uniform", system=system)
    by_name = {member.name: member for member in members}
    return [
        Part(
            name,
            by_name[name].family,
            front_ends[name],
            models[name],
            by_name[name].pooling,
            scale.mean,
            scale.sd,
            scale.weight,
            scale.curve,
        )
        for name, scale in scales.items()
    ]


def _told(on_epoch: Callable[[str, int, int], None], name: str, total: int, done: int, _: dict[str, float]) -> None:
    on_epoch(name, done, total)
