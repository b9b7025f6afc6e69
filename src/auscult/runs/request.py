"""What a run is asked for: a recipe without what is left out, and the clips of the machine types that are left."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from auscult.clips import MACHINE_TYPES, Clip
from auscult.datasets import load_dataset, require_training_clips
from auscult.models import MODELS
from auscult.recipe import Part, Recipe, leave_out, types_left, what_is_left_out
from auscult.runs.denoisers import Supplemental, needs_denoiser
from auscult.runs.plan import Plan, make_plan
from auscult.runs.stacks import Stacking, with_stacks
from auscult.runs.store import Store


@dataclass(frozen=True, slots=True)
class Request:
    """What to plan for.

    Attributes:
        recipe: without the parts that are left out.
        clips: of the machine types that have a member.
        all_clips: also those of other types, where they count: as the noise of denoisers, as what a machine is told
            from, or as members are for them.
        supplemental: clean clips and noise beside the clips, of all machine types.
        denoised: whether a member has a denoiser.
        left_out: a sentence on each member or machine type that is left out.
        years: of DCASE Task 2 that the data may be of.
    """

    recipe: Recipe
    clips: list[Clip]
    all_clips: list[Clip]
    supplemental: Supplemental
    denoised: bool
    left_out: list[str]
    years: tuple[int, ...] = ()


def request_of(
    recipe: Recipe,
    data: Path,
    *,
    without: Collection[Part] = (),
    dataset: str | None = None,
    machine_types: Sequence[str] | None = None,
    truth: Path | None = None,
) -> Request:
    """Read which clips there are; the arguments are those of `auscult.runs.run.run`.

    Raises:
        DatasetError: if there is none to train on.
        RecipeError: if no member is left.
    """
    found = load_dataset(data, dataset=dataset, machine_types=machine_types, truth=truth)
    clips = found.clips
    require_training_clips(clips, data)
    types = list(dict.fromkeys(clip.machine_type for clip in clips))
    left_out = what_is_left_out(recipe, without, types)
    rest = leave_out(recipe, without) if without else recipe
    left = types_left(recipe, rest, types)
    denoised = needs_denoiser(rest, left)
    others = {name for member in rest.member for name in member.machine_types or ()} - {*left, *MACHINE_TYPES}
    told = any(MODELS[member.family].may_want_others() for member in rest.member if member.family in MODELS)
    more = machine_types and (denoised or others or told)
    every = load_dataset(data, dataset=dataset, truth=truth).clips if more else clips
    kept = [clip for clip in clips if clip.machine_type in left]
    return Request(rest, kept, every, (found.clean, found.noise), denoised, left_out, found.years)


def plan_for(
    asked: Request,
    store: Store,
    *,
    device: str,
    weights: Path | None,
    clean: Path | None,
    stack: Stacking,
    missing: list[str] | None = None,
) -> Plan:
    """The plan of what is asked for; the arguments are those of `make_plan` and `with_stacks`.

    Raises:
        AuscultError: see there.
    """
    plan = make_plan(
        asked.recipe,
        asked.clips,
        store,
        device=device,
        weights=weights,
        clean=clean,
        all_clips=asked.all_clips,
        supplemental=asked.supplemental,
        missing=missing,
    )
    return with_stacks(plan, stack)
