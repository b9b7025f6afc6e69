"""The plan: a recipe and clips become jobs with keys. What can be wrong is found here, before any training."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from auscult.clips import MACHINE_TYPES, Clip, Split, Subset
from auscult.constructors import make_features, model_arguments
from auscult.denoiser_jobs import DenoiserJob, plan_denoisers
from auscult.errors import RecipeError, nearest
from auscult.features import Features
from auscult.models import MODELS
from auscult.recipe import Member, Recipe
from auscult.store import Store, environment, key_of
from auscult.training import Training


@dataclass(frozen=True, slots=True)
class BankJob:
    """Compute the features of the clips of one machine type, split and subset."""

    machine_type: str
    split: Split
    subset: Subset
    clips: tuple[Clip, ...]
    features: dict[str, Any]
    channel: int
    denoiser: DenoiserJob | None
    level: int
    facts: dict[str, Any]
    key: str

    @property
    def label(self) -> str:
        """Name for progress bars; the key's first digits tell banks of the same clips apart."""
        return f"{self.machine_type} {self.subset} {self.split}: {self.features['kind']} {self.key[:4]}"


@dataclass(frozen=True, slots=True)
class MemberJob:
    """Train one member for one machine type, then score its training and test clips."""

    machine_type: str
    name: str
    family: str
    arguments: dict[str, Any]
    training: Training
    pooling: str | None
    train: tuple[BankJob, ...]
    test: tuple[BankJob, ...]
    facts: dict[str, Any]
    key: str
    scores_facts: dict[str, Any]
    scores_key: str

    @property
    def label(self) -> str:
        """Name for progress bars and messages: also part of the member's seeds."""
        return f"{self.machine_type} {self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs of a run, in three waves; members that share a front end share its banks."""

    denoisers: tuple[DenoiserJob, ...]
    banks: tuple[BankJob, ...]
    members: tuple[MemberJob, ...]

    @property
    def machine_types(self) -> list[str]:
        """In the order of the jobs."""
        return list(dict.fromkeys(job.machine_type for job in self.members))

    def members_of(self, machine_type: str) -> list[MemberJob]:
        """The jobs of one machine type, in the recipe's order."""
        return [job for job in self.members if job.machine_type == machine_type]


def make_plan(
    recipe: Recipe,
    clips: Sequence[Clip],
    store: Store,
    *,
    device: str,
    weights: Path | None = None,
    clean: Path | None = None,
    all_clips: Sequence[Clip] | None = None,
) -> Plan:
    """Plan a run.

    Args:
        recipe: what to train.
        clips: from one dataset; all machine types among them are planned for.
        store: remembers the files' content hashes.
        device: on which to train.
        weights: folder of published weights, for kinds of features that need them.
        clean: folder of clean sounds, for members that are denoised.
        all_clips: of all machine types of the data, also those that the run leaves out: the noise of the denoisers, and
            the types that members may be for besides the challenge's. If none are given, these are not checked.

    Raises:
        DatasetError: if sounds that a denoiser needs are missing.
        RecipeError: if a family, kind of features, argument, pooling or machine type does not exist, or a machine type
            has no member or a member no training clips.
    """
    types = list(dict.fromkeys(clip.machine_type for clip in clips))
    if all_clips is not None:
        _check_members_types(recipe, all_clips)
    _check_types(recipe, types)
    hashes = dict(zip(clips, store.content_hashes([clip.path for clip in clips]), strict=True))
    versions = environment()
    denoisers = plan_denoisers(recipe, types, clean=clean, clips=all_clips or clips, store=store, device=device)
    banks: dict[str, BankJob] = {}
    members: list[MemberJob] = []
    for machine_type in types:
        for member in recipe.members_of(machine_type):
            features = make_features(
                member.features, sample_rate=recipe.sample_rate, weights=weights, where=f"member {member.name!r}"
            )
            arguments = model_arguments(member, features)
            train_on = member.train_on or recipe.train_on
            jobs = _bank_jobs(
                machine_type,
                clips,
                train_on,
                features,
                channel=recipe.channel,
                denoiser=denoisers[machine_type] if member.level else None,
                level=member.level,
                hashes=hashes,
                versions=versions,
            )
            train = tuple(job for job in jobs if job.split == "train")
            if not train:
                raise RecipeError(
                    f"member {member.name!r} trains on {' and '.join(train_on)} data; {machine_type} has none. "
                    "Give the data or change train_on"
                )
            _check_ids(member, jobs)
            banks |= {job.key: job for job in jobs}
            members.append(_member_job(recipe, member, machine_type, arguments, jobs, device=device, versions=versions))
    return Plan(tuple(denoisers.values()), tuple(banks.values()), tuple(members))


def _check_types(recipe: Recipe, types: Sequence[str]) -> None:
    without = [machine_type for machine_type in types if not recipe.members_of(machine_type)]
    if without:
        known = sorted({name for member in recipe.member for name in member.machine_types or ()})
        raise RecipeError(
            f"the recipe {recipe.name!r} has no member for the machine type {', '.join(without)}; "
            f"its members are for {', '.join(known)}. Choose among these with --machine-type, or add a member"
        )


def _check_members_types(recipe: Recipe, clips: Sequence[Clip]) -> None:
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


def _check_ids(member: Member, jobs: Sequence[BankJob]) -> None:
    """Refuse test clips of machines that the member would not know."""
    if not MODELS[member.family].knows_ids:
        return
    trained = {clip.machine_id for job in jobs if job.split == "train" for clip in job.clips}
    if len(trained) < 2:
        raise RecipeError(
            f"member {member.name!r}: {jobs[0].machine_type} has training clips of {', '.join(trained)} alone, and "
            f"{member.family} learns from the differences of at least two machine ids. Give clips of another machine "
            "of the type, or take a recipe without this family"
        )
    for job in jobs:
        unknown = sorted({clip.machine_id for clip in job.clips} - trained)
        if unknown:
            raise RecipeError(
                f"member {member.name!r}: {job.machine_type} has {job.subset} test clips of {', '.join(unknown)} and "
                f"no training clips of them, and {member.family} scores only ids that it was trained on. Give training "
                "clips of every id, leave out these test clips, or choose another family"
            )


def _bank_jobs(
    machine_type: str,
    clips: Sequence[Clip],
    train_on: Sequence[Subset],
    features: Features,
    *,
    channel: int,
    denoiser: DenoiserJob | None,
    level: int,
    hashes: dict[Clip, str],
    versions: dict[str, str],
) -> list[BankJob]:
    """The banks that one member needs, training first.

    Evaluation clips are machines of their own, known from the additional training data alone: only members that train
    on it score them, and none where it is missing.
    """

    def part(clip: Clip) -> tuple[str, str]:
        return clip.split, clip.subset

    there = {part(clip) for clip in clips if clip.machine_type == machine_type}
    wanted = {("train", subset) for subset in train_on}
    if "development" in train_on:
        wanted.add(("test", "development"))
    if "additional" in train_on and ("train", "additional") in there:
        wanted.add(("test", "evaluation"))
    chosen = [clip for clip in clips if clip.machine_type == machine_type and part(clip) in wanted]
    jobs = []
    for _, group in groupby(sorted(chosen, key=lambda clip: (clip.split == "test", clip.subset)), key=part):
        some = tuple(group)
        config = features.config()
        facts = {
            "features": config,
            "channel": channel,
            "clips": [[hashes[clip], clip.machine_id] for clip in some],
            "libraries": versions,
        }
        if denoiser is not None:
            facts["denoiser"] = [denoiser.key, level]
        first, made_of, key = some[0], features.arguments(), key_of("bank", facts)
        jobs.append(
            BankJob(machine_type, first.split, first.subset, some, made_of, channel, denoiser, level, facts, key)
        )
    return jobs


def _member_job(
    recipe: Recipe,
    member: Member,
    machine_type: str,
    arguments: dict[str, Any],
    banks: Sequence[BankJob],
    *,
    device: str,
    versions: dict[str, str],
) -> MemberJob:
    family = MODELS[member.family]
    defaults = asdict(family.default_training)
    training = Training(**{**defaults, **recipe.training_of(member), "seed": recipe.seed, "device": device})
    train = tuple(job for job in banks if job.split == "train")
    test = tuple(job for job in banks if job.split == "test")
    facts = {
        "member": f"{machine_type} {member.name}",
        "family": member.family,
        "arguments": arguments,
        "training": asdict(training),
        "banks": [job.key for job in train],
        "threads": 1,
        "libraries": versions,
    }
    key = key_of("model", facts)
    scores_facts = {"model": key, "banks": [job.key for job in (*train, *test)], "pooling": member.pooling}
    return MemberJob(
        machine_type=machine_type,
        name=member.name,
        family=member.family,
        arguments=arguments,
        training=training,
        pooling=member.pooling,
        train=train,
        test=test,
        facts=facts,
        key=key,
        scores_facts=scores_facts,
        scores_key=key_of("scores", scores_facts),
    )
