"""The plan: a recipe and clips become jobs with keys. What can be wrong is found here, before any training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from auscult.clips import Clip, Split, Subset
from auscult.errors import RecipeError
from auscult.features import Features
from auscult.members.entries import channel_entry
from auscult.members.making import make_features, model_arguments, training_of
from auscult.members.scaling import Scaling, scaling_of
from auscult.models import MODELS, Model
from auscult.recipe import Member, Recipe
from auscult.runs.denoisers import DenoiserJob, Supplemental, plan_denoisers
from auscult.runs.lacking import LeftOut, check_members_types, parts_of, planned_types, training_clips
from auscult.runs.store import Store, environment, key_of
from auscult.scores.pooling import lasting_name
from auscult.sound.audio import Channel, probe, require_channel
from auscult.sound.far import VERSION
from auscult.training import Training


@dataclass(frozen=True, slots=True)
class BankJob:
    """Compute the features of the clips of one machine type, split and subset."""

    machine_type: str
    split: Split
    subset: Subset
    clips: tuple[Clip, ...]
    features: dict[str, Any]
    channel: Channel
    denoiser: DenoiserJob | None
    level: int
    facts: dict[str, Any]
    key: str

    @property
    def label(self) -> str:
        """Name for progress bars; the key's first digits tell banks of the same clips apart."""
        return f"{self.machine_type} {self.subset} {self.split}: {self.features['kind']} {self.key[:4]}"


@dataclass(frozen=True)
class MemberJob:
    """Train one member for one machine type, then score its training and test clips.

    Attributes:
        scaling: by which of its training clips it is standardised, and which it does not learn from.
        others: training clips of other machine types from which it also learns.
        stack: all that train as one with it, itself included; none if it trains alone.
    """

    machine_type: str
    name: str
    family: str
    arguments: dict[str, Any]
    training: Training
    pooling: str | None
    train: tuple[BankJob, ...]
    test: tuple[BankJob, ...]
    facts: dict[str, Any]
    scaling: Scaling
    others: tuple[BankJob, ...] = ()
    stack: tuple["MemberJob", ...] = ()

    @cached_property
    def key(self) -> str:
        """Of the trained model."""
        return key_of("model", self.facts)

    @property
    def scores_facts(self) -> dict[str, Any]:
        """What its scores depend on."""
        banks = [job.key for job in (*self.train, *self.test)]
        scale = {"scale": self.scaling.facts} if self.scaling.facts else {}
        return {"model": self.key, "banks": banks, "pooling": lasting_name(self.pooling), **scale}

    @cached_property
    def scores_key(self) -> str:
        """Of its scores."""
        return key_of("scores", self.scores_facts)

    @property
    def label(self) -> str:
        """Name for progress bars and messages, with the seed behind the first: also part of the member's seeds."""
        return str(self.facts["member"])

    @property
    def seed(self) -> int:
        """Of everything random in the training."""
        return self.training.seed


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs of a run, in three waves; members that share a front end share its banks.

    Attributes:
        left_out: a sentence on each member of the recipe that has no job, for want of data.
    """

    denoisers: tuple[DenoiserJob, ...]
    banks: tuple[BankJob, ...]
    members: tuple[MemberJob, ...]
    left_out: tuple[str, ...] = ()

    @property
    def machine_types(self) -> list[str]:
        """In the order of the jobs."""
        return list(dict.fromkeys(job.machine_type for job in self.members))

    @property
    def seeds(self) -> list[int]:
        """Of the repeated trainings, the recipe's own first."""
        return list(dict.fromkeys(job.seed for job in self.members))

    def members_of(self, machine_type: str, seed: int | None = None) -> list[MemberJob]:
        """The jobs of one machine type and one seed, or all seeds one behind the other, in the recipe's order."""
        return [job for job in self.members if job.machine_type == machine_type and seed in (None, job.seed)]


def make_plan(
    recipe: Recipe,
    clips: Sequence[Clip],
    store: Store,
    *,
    device: str,
    weights: Path | None = None,
    clean: Path | None = None,
    all_clips: Sequence[Clip] | None = None,
    supplemental: Supplemental = ((), ()),
    missing: list[str] | None = None,
) -> Plan:
    """Plan a run.

    Args:
        recipe: what to train.
        clips: from one dataset; all machine types among them are planned for.
        store: remembers the files' content hashes.
        device: on which to train.
        weights: folder of published weights, for kinds of features that need them.
        clean: folder of clean sounds, for members that are denoised.
        all_clips: of all machine types of the data, also those that the run leaves out: the noise of the denoisers,
            from which members learn to tell a single machine, and the types that members may be for besides the
            challenge's. If none are given, these are not checked.
        supplemental: clean clips and noise beside the clips, for the denoisers.
        missing: a list that takes down what a run would stop at for want of it: weights, clean sounds, noise, machine
            types without a member. The plan then holds all jobs nevertheless, and is to be looked at, not run.

    Raises:
        DatasetError: if sounds that a denoiser needs are missing.
        RecipeError: if a family, kind of features, argument, pooling or machine type does not exist, or a machine type
            has no member, or the data do not suffice for a member that is not optional.
    """
    if all_clips is not None:
        check_members_types(recipe, all_clips)
    types = planned_types(recipe, clips, missing)
    every = all_clips or clips
    denoisers = plan_denoisers(
        recipe, types, clean=clean, clips=every, supplemental=supplemental, store=store, device=device, missing=missing
    )
    banks = _Banks(clips, every, store, channel=recipe.microphones, denoisers=denoisers)
    members, left_out = list[MemberJob](), LeftOut()
    for machine_type in types:
        for member in recipe.members_of(machine_type):
            features = make_features(
                member.features,
                sample_rate=recipe.sample_rate,
                weights=weights,
                device=device,
                where=f"member {member.name!r}",
                missing=missing,
            )
            arguments = model_arguments(member, features)
            train_on = member.train_on or recipe.train_on
            model = MODELS[member.family](**arguments)
            there = banks.clips_of(machine_type)
            others: tuple[BankJob, ...] = ()
            if model.wants_others([clip.known for clip in training_clips(train_on, there)]):
                others = banks.others(machine_type, member, train_on, features)
            if left_out.has(member, model, machine_type, train_on, there, others=bool(others)):
                continue
            jobs = banks.wanted(machine_type, member, train_on, features)
            members += _member_jobs(recipe, member, machine_type, model, jobs, others=others, device=device)
    if not members:
        raise RecipeError(f"the recipe {recipe.name!r} has nothing to train: {' '.join(left_out.sentences)}")
    members.sort(key=lambda job: job.seed)
    wanted = {job.key: job for job in banks.jobs}
    return Plan(tuple(denoisers.values()), tuple(wanted.values()), tuple(members), left_out.sentences)


class _Banks:
    """The banks of a plan, each made once however many members read it."""

    def __init__(
        self,
        clips: Sequence[Clip],
        all_clips: Sequence[Clip],
        store: Store,
        *,
        channel: Channel,
        denoisers: Mapping[str, DenoiserJob],
    ) -> None:
        self._channel, self._denoisers = channel, denoisers
        self._all_clips, self._store = all_clips, store
        self._parts: dict[tuple[str, Split, Subset], list[tuple[Clip, str]]] = {}
        self._take(clips)
        self._made: dict[tuple[str, ...], BankJob] = {}

    @property
    def jobs(self) -> list[BankJob]:
        """All that were wanted, in that order."""
        return list(self._made.values())

    def wanted(
        self, machine_type: str, member: Member, train_on: Sequence[Subset], features: Features
    ) -> list[BankJob]:
        """The banks that one member needs, training first."""
        parts = parts_of(train_on, self.clips_of(machine_type))
        return [self._bank(machine_type, *part, features, member.level) for part in parts]

    def others(
        self, machine_type: str, member: Member, train_on: Sequence[Subset], features: Features
    ) -> tuple[BankJob, ...]:
        """The training banks of all other machine types, in their order; none for sound that is denoised by type."""
        if member.level:
            return ()
        there = [clip for clip in self._all_clips if clip.split == "train" and clip.subset in train_on]
        places = dict.fromkeys((clip.machine_type, clip.split, clip.subset) for clip in there)
        self._take([clip for clip in there if (clip.machine_type, clip.split, clip.subset) not in self._parts])
        return tuple(self._bank(*place, features, 0) for place in places if place[0] != machine_type)

    def _take(self, clips: Sequence[Clip]) -> None:
        """Remember clips by their part, with the hashes of their contents."""
        for clip, content in zip(clips, self._store.content_hashes([clip.path for clip in clips]), strict=True):
            self._parts.setdefault((clip.machine_type, clip.split, clip.subset), []).append((clip, content))

    def clips_of(self, machine_type: str) -> dict[tuple[Split, Subset], list[Clip]]:
        """All clips of a machine type."""
        return {
            (split, subset): [clip for clip, _ in pairs]
            for (kind, split, subset), pairs in self._parts.items()
            if kind == machine_type
        }

    def _bank(self, machine_type: str, split: Split, subset: Subset, features: Features, level: int) -> BankJob:
        config, denoiser = features.config(), self._denoisers[machine_type] if level else None
        place = (machine_type, split, subset, json.dumps(config, sort_keys=True), str(level))
        if place not in self._made:
            clips, hashes = zip(*self._parts[machine_type, split, subset], strict=True)
            facts: dict[str, Any] = {
                "split": split,
                "subset": subset,
                "features": config,
                **channel_entry(self._channel),
                "clips": [[content, *clip.facts] for clip, content in zip(clips, hashes, strict=True)],
                "libraries": environment(),
            }
            if isinstance(self._channel, tuple):
                facts["far"] = VERSION
                require_channel(clips[0].path, probe(clips[0].path).channels, self._channel)
            if denoiser is not None:
                facts["denoiser"] = [denoiser.key, level]
            named = (machine_type, split, subset, clips, features.arguments(), self._channel, denoiser, level)
            self._made[place] = BankJob(*named, facts, key_of("bank", facts))
        return self._made[place]


def _member_jobs(
    recipe: Recipe,
    member: Member,
    machine_type: str,
    model: Model,
    banks: Sequence[BankJob],
    *,
    others: tuple[BankJob, ...],
    device: str,
) -> list[MemberJob]:
    """One job for each seed."""
    train, test = (tuple(job for job in banks if job.split == split) for split in ("train", "test"))
    clips = [clip.known for bank in train for clip in bank.clips]
    combined = member.name in recipe.standardised
    scaling = scaling_of(model, clips, unseen=recipe.scale == "unseen", combined=combined)
    jobs = []
    for repeat in range(recipe.repeats):
        training = training_of(member, recipe, device=device, seed=recipe.seed + repeat)
        facts = {
            "member": f"{machine_type} {member.name}" + (f" seed {training.seed}" if repeat else ""),
            "family": member.family,
            "arguments": model.key_arguments(model.arguments),
            "training": asdict(training),
            "banks": [job.key for job in train],
            "threads": 1,
            "libraries": environment(),
        }
        if scaling.held_out:
            facts["held_out"] = scaling.facts
        facts |= {"others": [job.key for job in others]} if others else {}
        named = (machine_type, member.name, member.family)
        jobs.append(MemberJob(*named, model.arguments, training, member.pooling, train, test, facts, scaling, others))
    return jobs
