"""Executors: where jobs run, and what becomes of the others when one fails."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from auscult.errors import AuscultError
from auscult.features import FEATURES
from auscult.models import MODELS
from auscult.processes import Crew, TaskNews, default_workers, require_workers, tell
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.jobs import DONE, FAILED, NOT_RUN, Job, OnProgress, is_finished, needs, run_job, steps_of
from auscult.runs.plan import BankJob, MemberJob
from auscult.runs.store import Store

LISTEN_SECONDS = 0.1
"""The display is at most this far behind the workers."""

REPORT_SECONDS = 0.25
"""A worker tells how a job goes at most this often."""

DENOISING_FACTOR = 10
"""A guess at how much longer a bank of denoised clips takes; it only orders jobs."""

FEW_CLIPS = 400
"""Clips whose features are computed before a worker has started."""

DIED = "its process died twice, perhaps because memory ran out; start fewer workers"


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that was not done.

    Attributes:
        kind: `"failed"`, or `"not run"` because another one failed.
        label: of the job.
        reason: what went wrong, or which job was needed.
    """

    kind: str
    label: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.label}: {self.reason}"


class Executor(Protocol):
    """Runs jobs."""

    def run(self, jobs: Sequence[Job], store: Store, on_progress: OnProgress) -> list[Failure]:
        """Do all jobs that are not finished, each after those that it needs.

        A job that fails takes with it only those that need it.

        Args:
            jobs: with all that they need.
            store: of the artefacts.
            on_progress: called in this process.

        Returns:
            The jobs that were not done, in the order in which that was known.
        """


class LocalExecutor:
    """Runs jobs on this machine: in this process, or in as many processes at a time as there are workers.

    A worker that is killed, for instance because memory ran out, is replaced, and its job tried once more.

    Args:
        workers: 1 is this process; no more are started than there are jobs to do. If none are given, there is one for
            each processor, or one on a GPU; what is done before a worker has started is done in this process.
        device: on which the jobs compute.

    Raises:
        RunError: if there is no worker.
    """

    def __init__(self, workers: int | None = 1, *, device: str = "cpu") -> None:
        self.workers = default_workers(device) if workers is None else workers
        self._spares = workers is None
        require_workers(self.workers)

    def run(self, jobs: Sequence[Job], store: Store, on_progress: OnProgress) -> list[Failure]:
        """See `Executor`."""
        if self.workers == 1 or (self._spares and is_little([job for job in jobs if not is_finished(job, store)])):
            schedule = Schedule(jobs, store, on_progress)
            while (job := schedule.start()) is not None:
                schedule.end(job, attempt(job, store, on_progress))
            return schedule.failures
        schedule = Schedule(sorted(jobs, key=urgency), store, on_progress)
        with Crew[Job](min(self.workers, schedule.left)) as crew:
            work_off(schedule, crew, lambda job: crew.give(job, _attempt_and_tell, job, store.folder), died=DIED)
        return schedule.failures


class Hands(Protocol):
    """Whoever does several jobs at a time: processes of this machine, or a cluster."""

    @property
    def free(self) -> int:
        """How many jobs more can be given."""

    @property
    def busy(self) -> bool:
        """Whether anybody is at work."""

    def listen(self, *, seconds: float) -> Sequence[TaskNews[Job]]:
        """Wait for so long at most; what was told, and what became of jobs."""


def work_off(schedule: "Schedule", hands: Hands, give: Callable[[Job], None], *, died: str) -> None:
    """Do all jobs of a schedule.

    Args:
        schedule: of the jobs.
        hands: that do them.
        give: gives them one.
        died: the reason of a job whose process died too often.
    """
    while True:
        while hands.free > 0 and (job := schedule.start()) is not None:
            give(job)
        if not hands.busy:
            return
        for news in hands.listen(seconds=LISTEN_SECONDS):
            if news.kind == "told":
                schedule.on_progress(*news.content)
            elif news.kind == "again":
                schedule.on_progress(news.task.label, 0, steps_of(news.task), "its process died; once more")
            else:
                schedule.end(news.task, died if news.kind == "died" else news.content)


def attempt(job: Job, store: Store, on_progress: OnProgress) -> str | None:
    """Do a job; the reason if it fails, for whatever reason: one job must not take the others with it."""
    try:
        run_job(job, store, on_progress)
    except (AuscultError, OSError) as error:
        return str(error)
    except MemoryError:
        return "there is not enough memory; start fewer workers"
    except Exception as error:  # noqa: BLE001  # a mistake of ours in one job must not lose the work of the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{traceback.format_exception_only(error)[-1].strip()} ({where.filename}, line {where.lineno})"
    return None


def _attempt_and_tell(job: Job, folder: Path) -> str | None:
    """In a worker: as `attempt`, and the run is told how it goes."""
    told = -REPORT_SECONDS

    def on_progress(*news: str | int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= REPORT_SECONDS:
            told = now
            tell(news)

    return attempt(job, Store(folder), on_progress)


class Schedule:
    """Which job is next: the first one that lacks nothing.

    Args:
        jobs: with all that they need, the most urgent first.
        store: of the artefacts; what is finished there is not done again.
        on_progress: told of each beginning and end.

    Attributes:
        failures: the jobs that were not done, in the order in which that was known.
    """

    def __init__(self, jobs: Sequence[Job], store: Store, on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self._waiting: list[Job] = []
        self._finished: set[str] = set()
        self.failures: list[Failure] = []
        for job in jobs:
            if is_finished(job, store):
                self.end(job, None)
            else:
                self._waiting.append(job)

    @property
    def left(self) -> int:
        """The number of jobs that nobody has started."""
        return len(self._waiting)

    def start(self) -> Job | None:
        """The next job; none if there is none, or not before another one has ended."""
        for job in self._waiting:
            if self._finished.issuperset(other.key for other in needs(job)):
                self._waiting.remove(job)
                self.on_progress(job.label, 0, steps_of(job), "")
                return job
        return None

    def end(self, job: Job, reason: str | None) -> None:
        """Note that a job was done, or the reason why it was not; then those that need it cannot be."""
        if reason is None:
            self._finished.add(job.key)
            self.on_progress(job.label, steps_of(job), steps_of(job), DONE)
        else:
            self._fail(job, FAILED, reason)

    def _fail(self, job: Job, kind: str, reason: str) -> None:
        self.failures.append(Failure(kind, job.label, reason))
        self.on_progress(job.label, 0, steps_of(job), kind)
        for other in [other for other in self._waiting if job.key in {need.key for need in needs(other)}]:
            if other in self._waiting:
                self._waiting.remove(other)
                self._fail(other, NOT_RUN, f"needs {job.label}")


def is_little(jobs: Sequence[Job]) -> bool:
    """Whether jobs take less time than a worker's start: plain features of few clips, and nothing learned in epochs."""
    banks = [job for job in jobs if isinstance(job, BankJob)]
    plain = all(bank.denoiser is None and not FEATURES[bank.features["kind"]].places for bank in banks)
    quick = all(isinstance(job, BankJob) or is_fitted_at_once(job) for job in jobs)
    return plain and quick and sum(len(bank.clips) for bank in banks) <= FEW_CLIPS


def is_fitted_at_once(job: Job) -> bool:
    """Whether a job fits a member that learns all it can in one pass."""
    return isinstance(job, MemberJob) and not MODELS[job.family].learns_in_epochs()


def urgency(job: Job) -> tuple[int, int]:
    """What others need comes first, then what takes long, so that no worker is left alone with it at the end."""
    match job:
        case DenoiserJob():
            return 0, -job.training.epochs * job.training.batch_size * job.settings.steps
        case BankJob():
            return 1, -len(job.clips) * (1 if job.denoiser is None else DENOISING_FACTOR)
        case MemberJob():
            return 2, -job.training.epochs * sum(len(bank.clips) for bank in job.train)
