"""Stacks: members of a plan that train as one batched model, where that pays."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from auscult.errors import RunError
from auscult.models import MODELS
from auscult.models.stacking import in_common
from auscult.runs.plan import MemberJob, Plan
from auscult.runs.store import key_of

Stacking = Literal["auto", "on", "off"]

MOST_MEMBERS = {"cuda": 32, "mps": 32, "cpu": 4}
"""Members of one stack, by the kind of device; on a processor, more of them leave its caches."""

PAYS = ("cuda",)
"""Kinds of devices on which members are stacked unless somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class StackJob:
    """Train some members as one; each is then scored by a job of its own, which also trains it if this one failed."""

    members: tuple[MemberJob, ...]

    @property
    def key(self) -> str:
        """Of the members together."""
        return key_of("stack", {"members": [job.key for job in self.members]})

    @property
    def machine_type(self) -> str:
        """Of all members."""
        return self.members[0].machine_type

    @property
    def label(self) -> str:
        """Name for progress bars; the key's first digits tell stacks of one family apart."""
        return f"{self.machine_type} {len(self.members)} x {self.members[0].family} {self.key[:4]}"


def with_stacks(plan: Plan, stacking: Stacking) -> Plan:
    """Mark the members that are to train in a stack: it is part of their keys, as their last bits depend on it.

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
    stacked = {
        job.key
        for jobs in _alike(plan.members)
        if len(jobs) > 1 and (stacking == "on" or _kind(jobs[0]) in PAYS)
        for job in jobs
    }
    return replace(plan, members=tuple(_marked(job) if job.key in stacked else job for job in plan.members))


def stacks_of(plan: Plan) -> list[StackJob]:
    """The stacks of the members that `with_stacks` marked."""
    marked = [job for job in plan.members if job.facts.get("stack")]
    stacks = []
    for jobs in _alike(marked):
        most = MOST_MEMBERS[_kind(jobs[0])]
        stacks += [StackJob(tuple(jobs[first : first + most])) for first in range(0, len(jobs), most)]
    return stacks


def _alike(members: Iterable[MemberJob]) -> list[list[MemberJob]]:
    """Members that can train as one: of the same banks, shapes and batches."""
    groups: dict[tuple[str | None, ...], list[MemberJob]] = {}
    for job in members:
        shape = in_common(MODELS[job.family](**job.arguments), job.training)
        groups.setdefault((shape, *(bank.key for bank in job.train)), []).append(job)
    return [jobs for (shape, *_), jobs in groups.items() if shape is not None]


def _marked(job: MemberJob) -> MemberJob:
    facts = {**job.facts, "stack": True}
    key = key_of("model", facts)
    scores_facts = {**job.scores_facts, "model": key}
    return replace(job, facts=facts, key=key, scores_facts=scores_facts, scores_key=key_of("scores", scores_facts))


def _kind(job: MemberJob) -> str:
    return job.training.device.partition(":")[0]
