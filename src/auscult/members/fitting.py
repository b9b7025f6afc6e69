"""From normal windows to the parts of a detector: the recipe's members, trained and put on one scale."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.errors import RecipeError
from auscult.features.bank import Bank
from auscult.features.front_end import FrontEnd
from auscult.members.ensembles import nodes_of
from auscult.members.making import make_features, model_arguments, training_of
from auscult.members.part import Part
from auscult.models import MODELS, Model
from auscult.recipe import Member, Recipe
from auscult.scores.ensemble import Scores
from auscult.scores.ensemble.scales import member_scales
from auscult.scores.table import ScoreRow, ScoreTable

LEARNED = "machine"
"""Machine type where nobody names one."""

FOLDS = 5
"""Parts of the training windows of which `normal_scores` holds out one at a time."""


def members_for(recipe: Recipe, machine_type: str | None) -> list[Member]:
    """The members that can learn from a folder of recordings.

    Raises:
        RecipeError: if there is none for the machine type, or one needs a denoiser.
    """
    members = recipe.members_of(machine_type or LEARNED)
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
            channel=recipe.channel,
        )
        for member in members
    }


def require_members(
    members: Sequence[Member],
    recipe: Recipe,
    front_ends: Mapping[str, FrontEnd],
    *,
    ids: Sequence[str],
    seconds: float,
    device: str,
) -> None:
    """Refuse, before anything is trained, members that could not learn.

    Args:
        members: of the recipe.
        recipe: with the training.
        front_ends: of the members.
        ids: of the machines.
        seconds: length of a window.
        device: on which to train.

    Raises:
        AuscultError: for a member whose arguments do not fit, that learns from the differences of several machines
            where there is one, or that needs longer windows.
    """
    for member in members:
        features = front_ends[member.name].features
        training_of(member, recipe, device=device, seed=recipe.seed)
        model = MODELS[member.family](**model_arguments(member, features))
        if model.lacks([(id_, None, ()) for id_ in ids]) is not None:
            raise RecipeError(
                f"member {member.name!r} of {recipe.name!r}: {member.family} learns from the differences of at least "
                f"two machines, and these recordings are of one, {ids[0]}. Give recordings of another machine, in a "
                "folder for each, or take a recipe without this family, for instance practical"
            )
        frames = features.n_frames(round(seconds * features.sample_rate))
        if frames < model.frame_context:
            raise RecipeError(
                f"member {member.name!r} of {recipe.name!r} needs {model.frame_context} frames, and windows of "
                f"{seconds:g} s have {frames}; give longer recordings, or longer windows with --window"
            )


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
        model.fit(bank, training=training, member=member.name, on_epoch=told)
        models[member.name] = model
        scores = normal_scores(model, bank, pooling=member.pooling)
        rows = zip(bank.ids, scores.tolist(), strict=True)
        table = ScoreTable(
            ScoreRow(LEARNED, id_, f"{place:06d}", "normal", score) for place, (id_, score) in enumerate(rows)
        )
        leaves[member.name] = Scores(table, empty, empty)
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
        )
        for name, scale in scales.items()
    ]


def normal_scores(model: Model, bank: Bank, *, pooling: str | None) -> NDArray[np.float64]:
    """Scores of a model's training windows `[C]`, by which all its scores are standardised.

    A density of hundreds of values follows its training windows so closely that they score far below any others, and
    to its own bank a window is its nearest neighbour: where a model learns in one pass, each contiguous fifth of each
    machine's windows is scored by another one, which learned from the rest. `run` takes the scores of the training
    clips themselves.
    """
    scores = model.score_clips(bank, pooling=pooling)
    of_each = [np.flatnonzero(np.array(bank.ids) == id_) for id_ in model.ids]
    if model.learns_in_epochs() or min(map(len, of_each)) < FOLDS * model.least_clips:
        return scores
    for fold in range(FOLDS):
        held_out = np.concatenate([np.array_split(places, FOLDS)[fold] for places in of_each])
        rest = np.setdiff1d(np.arange(bank.n_clips), held_out)
        other = type(model)(**model.arguments).fit(bank.select(rest.tolist()))
        scores[held_out] = other.score_clips(bank.select(held_out.tolist()), pooling=pooling)
    return scores


def _told(on_epoch: Callable[[str, int, int], None], name: str, total: int, done: int, _: dict[str, float]) -> None:
    on_epoch(name, done, total)
