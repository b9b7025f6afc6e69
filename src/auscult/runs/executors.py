"""Executors: where jobs run, and what becomes of the others when one fails."""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Protocol

from auscult.errors import RunError
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.jobs import DONE, FAILED, NOT_RUN, Job, OnProgress, is_finished, needs, steps_of
from auscult.runs.plan import BankJob, MemberJob
from auscult.runs.store import Store
from auscult.runs.workers import Worker, attempt

LISTEN_SECONDS = 0.1
"""The display is at most this far behind the workers."""

DENOISING_FACTOR = 10
"""A guess at how much longer a bank of denoised clips takes; it only orders jobs."""

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


class SerialExecutor:
    """Runs jobs one behind the other in this process."""

    def run(self, jobs: Sequence[Job], store: Store, on_progress: OnProgress) -> list[Failure]:
        """See `Executor`."""
        schedule = Schedule(jobs, store, on_progress)
        while (job := schedule.start()) is not None:
            schedule.end(job, attempt(job, store, on_progress))
        return schedule.failures


class LocalExecutor:
    """Runs jobs in processes of this machine, as many at a time as there are workers.

    A worker that is killed, for instance because memory ran out, is replaced, and its job tried once more.

    Args:
        workers: at least 1; no more are started than there are jobs to do.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, jobs: Sequence[Job], store: Store, on_progress: OnProgress) -> list[Failure]:
        """See `Executor`."""
        schedule = Schedule(sorted(jobs, key=urgency), store, on_progress)
        with _Crew(min(self.workers, schedule.left)) as crew:
            while crew.give_out(schedule, store):
                crew.listen(schedule, on_progress)
        return schedule.failures


def executor_for(workers: int) -> Executor:
    """The executor for a number of jobs at a time.

    Raises:
        RunError: if it is below 1.
    """
    if workers < 1:
        raise RunError(f"{workers} workers can do nothing; give at least 1")
    return SerialExecutor() if workers == 1 else LocalExecutor(workers)


def default_workers(device: str) -> int:
    """Jobs at a time if nobody says: one for each processor that this process may use, or one on a GPU."""
    from joblib import cpu_count

    return int(cpu_count()) if device == "cpu" else 1


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
        self._on_progress = on_progress
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
                self._on_progress(job.label, 0, steps_of(job), "")
                return job
        return None

    def end(self, job: Job, reason: str | None) -> None:
        """Note that a job was done, or the reason why it was not; then those that need it cannot be."""
        if reason is None:
            self._finished.add(job.key)
            self._on_progress(job.label, steps_of(job), steps_of(job), DONE)
        else:
            self._fail(job, FAILED, reason)

    def _fail(self, job: Job, kind: str, reason: str) -> None:
        self.failures.append(Failure(kind, job.label, reason))
        self._on_progress(job.label, 0, steps_of(job), kind)
        for other in [other for other in self._waiting if job.key in {need.key for need in needs(other)}]:
            if other in self._waiting:
                self._waiting.remove(other)
                self._fail(other, NOT_RUN, f"needs {job.label}")


class _Crew:
    """Workers, and what each is at."""

    def __init__(self, size: int) -> None:
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._busy: dict[Future[str | None], tuple[Worker, Job]] = {}
        self._again: list[Job] = []
        self._died: set[str] = set()
        for _ in range(size):
            self._hire()

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *_: object) -> None:
        if self._busy:  # Ctrl-C, or an error in what we were called with
            for worker in self._workers:
                worker.hang_up()
        for worker in self._workers:
            worker.close()

    def give_out(self, schedule: Schedule, store: Store) -> bool:
        """Give the idle workers jobs; whether anybody is at work."""
        while self._idle and (job := self._again.pop() if self._again else schedule.start()):
            worker = self._idle.pop()
            self._busy[worker.submit(job, store)] = worker, job
        return bool(self._busy)

    def listen(self, schedule: Schedule, on_progress: OnProgress) -> None:
        """Wait a moment; pass on what the workers tell, and note which jobs have ended."""
        ended, _ = wait(self._busy, timeout=LISTEN_SECONDS, return_when=FIRST_COMPLETED)
        for worker, _ in self._busy.values():
            for news in worker.news():
                on_progress(*news)
        for future in ended:
            worker, job = self._busy.pop(future)
            error = future.exception()
            if error is None:
                self._idle.append(worker)
                schedule.end(job, future.result())
                continue
            self._replace(worker)
            if job.key in self._died:
                schedule.end(job, DIED)
            else:
                self._died.add(job.key)
                self._again.append(job)
                on_progress(job.label, 0, steps_of(job), "its process died; once more")

    def _hire(self) -> None:
        worker = Worker()
        self._workers.append(worker)
        self._idle.append(worker)

    def _replace(self, worker: Worker) -> None:
        worker.hang_up()
        worker.close()
        self._workers.remove(worker)
        self._hire()


def urgency(job: Job) -> tuple[int, int]:
    """What others need comes first, then what takes long, so that no worker is left alone with it at the end."""
    match job:
        case DenoiserJob():
            return 0, -job.training.epochs * job.training.batch_size * job.settings.steps
        case BankJob():
            return 1, -len(job.clips) * (1 if job.denoiser is None else DENOISING_FACTOR)
        case MemberJob():
            return 2, -job.training.epochs * sum(len(bank.clips) for bank in job.train)
