"""The overview of a plan: what there is to make for each machine type, and how much of it is there."""

from collections.abc import Sequence
from dataclasses import dataclass

from auscult.runs.denoisers import DenoiserJob
from auscult.runs.estimate.rates import Estimate, all_jobs
from auscult.runs.estimate.sizes import BankSize, denoiser_parameters, n_parameters, sizes_of
from auscult.runs.jobs import Job, is_finished
from auscult.runs.plan import BankJob, MemberJob, Plan
from auscult.runs.store import Store


@dataclass(frozen=True, slots=True)
class Row:
    """Jobs of one machine type that are alike.

    Attributes:
        machine_type: for instance `"fan"`.
        what: `"denoiser"`, a kind of features, `" denoised"` behind it, or a family.
        jobs: how many, all seeds together.
        done: how many of them are finished.
        parameters: least and most of one job; none for features.
        total_parameters: of all jobs.
        clips: clips that one member trains on, or that all banks hold.
        epochs: least and most; none for features.
        n_bytes: of all banks on disk; 0 for the others.
        seconds: what is left to do, in one process; none if it was not estimated.
    """

    machine_type: str
    what: str
    jobs: int
    done: int
    parameters: tuple[int, int] | None
    total_parameters: int
    clips: int
    epochs: tuple[int, int] | None
    n_bytes: int
    seconds: float | None


def overview(plan: Plan, store: Store, estimate: Estimate | None = None) -> list[Row]:
    """The rows of a plan's table: machine types in order; denoiser, features and families of each.

    Args:
        plan: of a run.
        store: where its artefacts lie, or `NoStore`.
        estimate: of the same plan.

    Raises:
        AudioError: if the header of a clip cannot be read.
    """
    sizes = sizes_of(plan.banks)
    alike: dict[str, dict[str, list[Job]]] = {machine_type: {} for machine_type in plan.machine_types}
    for job in all_jobs(plan):
        alike[job.machine_type].setdefault(_what(job), []).append(job)
    return [_row(what, jobs, sizes, store, estimate) for groups in alike.values() for what, jobs in groups.items()]


def _what(job: Job) -> str:
    if isinstance(job, DenoiserJob):
        return "denoiser"
    if isinstance(job, BankJob):
        return f"{job.features['kind']}{' denoised' if job.denoiser else ''}"
    return job.family


def _row(what: str, jobs: Sequence[Job], sizes: dict[str, BankSize], store: Store, estimate: Estimate | None) -> Row:
    members = [job for job in jobs if isinstance(job, MemberJob)]
    banks = [job for job in jobs if isinstance(job, BankJob)]
    denoisers = [job for job in jobs if isinstance(job, DenoiserJob)]
    parameters = [n_parameters(job) for job in members] + [denoiser_parameters() for _ in denoisers]
    epochs = [job.training.epochs for job in members] + [job.training.epochs for job in denoisers]
    clips = [sum(len(bank.clips) for bank in job.train) for job in members]
    clips += [len(job.clean) + len(job.noise) for job in denoisers]
    return Row(
        machine_type=jobs[0].machine_type,
        what=what,
        jobs=len(jobs),
        done=sum(is_finished(job, store) for job in jobs),
        parameters=(min(parameters), max(parameters)) if parameters else None,
        total_parameters=sum(parameters),
        clips=sum(len(job.clips) for job in banks) if banks else max(clips),
        epochs=(min(epochs), max(epochs)) if epochs else None,
        n_bytes=sum(sizes[job.key].n_bytes for job in banks),
        seconds=sum(estimate.jobs[job.key] for job in jobs) if estimate else None,
    )
