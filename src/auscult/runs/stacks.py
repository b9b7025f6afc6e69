"""Stacks: members of a plan that train as one batched model, where somebody asks for it."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from auscult.errors import AuscultError, RunError
from auscult.features.bank import Bank
from auscult.models import MODELS, Model
from auscult.models.stacking import fit_stack, in_common
from auscult.runs.plan import MemberJob, Plan
from auscult.runs.store import Store, key_of

MODEL, CHECKPOINT = "model.safetensors", "checkpoint.safetensors"
"""Files of a member, or of a stack, in the store."""

Stacking = Literal["auto", "on", "off"]

MOST_MEMBERS = {"cuda": 32, "mps": 32, "cpu": 4}
"""Members of one stack, by the kind of device; on a processor, more of them leave its caches."""

PAYS: tuple[str, ...] = ()
"""Kinds of devices on which members are stacked unless somebody says otherwise: those that have shown to be three times
as fast so, none as yet."""


def with_stacks(plan: Plan, stacking: Stacking) -> Plan:
    """Join the members that are to train as one: it is part of their keys, as their last bits depend on it.

    Args:
        plan: of a run.
        stacking: `"auto"` stacks on the devices in `PAYS`.

    Raises:
        RunError: for another word.
    """
    if stacking not in ("auto", "on", "off"):
        raise RunError(f"stack is {stacking!r}; choose auto, on or off")
    if stacking == "off":
        return plan
    joined: dict[str, MemberJob] = {}
    for jobs in _alike(plan.members):
        if len(jobs) > 1 and (stacking == "on" or _kind(jobs[0]) in PAYS):
            most = MOST_MEMBERS[_kind(jobs[0])]
            for first in range(0, len(jobs), most):
                some = jobs[first : first + most]
                stack = tuple(replace(job, facts={**job.facts, "stack": True}) for job in some)
                joined |= {job.key: replace(own, stack=stack) for job, own in zip(some, stack, strict=True)}
    return replace(plan, members=tuple(joined.get(job.key, job) for job in plan.members))


def train_stack(
    job: MemberJob, store: Store, bank: Callable[[], Bank], on_epoch: Callable[[int, dict[str, float]], None]
) -> None:
    """Train the members of a job's stack that are not finished; the first of their jobs does it, others wait for it.

    If it fails, for instance for want of memory, that is noted, and each member's own job trains it alone.
    """
    left = [member for member in job.stack if not store.has("model", member.key)]
    key = key_of("stack", {"members": [member.key for member in job.stack]})
    with store.alone("stack", key):
        if store.has("model", job.key) or store.noted("stack", key):
            return
        models = [MODELS[member.family](**member.arguments) for member in left]
        working = store.working("stack", key_of("stack", {"members": [member.key for member in left]}))
        try:
            fit_stack(
                models,
                bank(),
                trainings=[member.training for member in left],
                members=[member.label for member in left],
                checkpoint=working / CHECKPOINT,
                on_epoch=on_epoch,
            )
        except (AuscultError, MemoryError, RuntimeError) as error:  # torch has errors of its own for its memory
            store.note("stack", key, {"failed": str(error)})
        else:
            for member, model in zip(left, models, strict=True):
                store.make("model", member.key, member.facts, partial(_save, model))
        shutil.rmtree(working)


def _save(model: Model, folder: Path) -> None:
    model.save(folder / MODEL)


def _alike(members: Iterable[MemberJob]) -> list[list[MemberJob]]:
    """Members that can train as one: of the same banks, shapes and settings."""
    groups: dict[tuple[str | None, ...], list[MemberJob]] = {}
    for job in members:
        shape = in_common(MODELS[job.family](**job.arguments), job.training)
        groups.setdefault((shape, *(bank.key for bank in job.train)), []).append(job)
    return [jobs for (shape, *_), jobs in groups.items() if shape is not None]


def _kind(job: MemberJob) -> str:
    return job.training.device.partition(":")[0]
