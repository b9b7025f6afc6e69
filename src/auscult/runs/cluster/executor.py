"""A Ray cluster as the executor: the same jobs on the processors and GPUs of many machines, through a shared store."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self

from auscult import __version__
from auscult.errors import RunError
from auscult.processes import TaskNews, require_workers
from auscult.runs.cluster.connection import connected, last_line, load_ray
from auscult.runs.cluster.node import Site, is_seen, site_of, work, work_once
from auscult.runs.executors import Failure, Schedule, urgency, work_off
from auscult.runs.jobs import Job, OnProgress, steps_of
from auscult.runs.plan import BankJob
from auscult.runs.store import Store

TRIES = 3
"""A job is begun at most so often if the process or the machine on which it runs dies."""

AHEAD = 2
"""Jobs given to the cluster for each processor: the next ones wait there, and a cluster that can grow sees them."""

LOOK_SECONDS = 2.0
"""Which nodes there are is asked this often."""

DIED = (
    f"the process or machine on which it ran died {TRIES} times, perhaps because memory ran out; "
    "ask for fewer jobs at the same time with --workers, or for machines with more memory"
)


class RayExecutor:
    """Runs jobs as tasks of a Ray cluster of which this machine is a part, one processor for each.

    A job whose process or machine dies is begun again, at most `TRIES` times in all. Tasks end with this process.

    Args:
        address: see `connected`.
        gpus_per_job: GPUs for each job that computes on one; 0.25 puts four on a GPU.
        workers: jobs at the same time; as many as the cluster has room for if no number is given.

    Raises:
        RunError: for numbers out of range.
    """

    def __init__(self, address: str = "auto", *, gpus_per_job: float = 1.0, workers: int | None = None) -> None:
        if not 0 < gpus_per_job <= 1:
            raise RunError(f"{gpus_per_job} GPUs for a job; give more than 0 and at most 1, for instance 0.25")
        if workers is not None:
            require_workers(workers)
        self.address, self.gpus_per_job, self.workers = address, gpus_per_job, workers

    def run(self, jobs: Sequence[Job], store: Store, on_progress: OnProgress) -> list[Failure]:
        """See `Executor`.

        Raises:
            RunError: if there is no such cluster, or the connection to it is lost.
        """
        schedule = Schedule(sorted(jobs, key=urgency), store, on_progress)
        if not schedule.left:
            return schedule.failures
        with connected(self.address), site_of(store) as site, _Tasks(self, store, site) as tasks:

            def give(job: Job) -> None:
                on_progress(job.label, 0, steps_of(job), "waits for a place")
                tasks.give(job)

            try:
                work_off(schedule, tasks, give, died=DIED)
            except load_ray().exceptions.RayError as error:
                raise RunError(
                    f"the Ray cluster is lost: {last_line(error)}. What was finished is kept; once the cluster is "
                    "there again, the same command goes on"
                ) from error
        return schedule.failures


def resources_of(job: Job, gpus_per_job: float) -> dict[str, float]:
    """What Ray must set aside for a job: a processor, and a GPU or a part of one if the job computes there."""
    if isinstance(job, BankJob):
        device = str(job.features.get("device", "cpu") if job.denoiser is None else job.denoiser.training.device)
    else:
        device = job.training.device
    return {"num_cpus": 1, "num_gpus": gpus_per_job} if device.startswith("cuda") else {"num_cpus": 1}


class _Tasks:
    """The jobs that the cluster has, each a task that tells how it goes."""

    def __init__(self, executor: RayExecutor, store: Store, site: Site) -> None:
        self._ray = load_ray()
        self._executor, self._store, self._site = executor, store, site
        remote = partial(self._ray.remote, num_returns="streaming", max_retries=0)
        self._work, self._work_on_gpu = remote()(work), remote(max_calls=1)(work_once)
        self._running: dict[Any, Job] = {}
        self._deaths: Counter[str] = Counter()
        self._home = self._ray.get_runtime_context().get_node_id()
        self._looked, self._known = -LOOK_SECONDS, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._running:  # Ctrl-C, or an error in what we were called with
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(task, force=True)

    @property
    def busy(self) -> bool:
        """Whether the cluster has a job."""
        return bool(self._running)

    @property
    def free(self) -> int:
        """How many jobs more the cluster should have."""
        return (self._executor.workers or AHEAD * max(1, self._processors())) - len(self._running)

    def _processors(self) -> int:
        """Of all nodes that are there, as known for at most `LOOK_SECONDS`.

        Raises:
            RunError: if this machine is no longer among them: no task would ever end.
        """
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            nodes = {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}
            if self._home not in nodes:
                raise RunError(
                    "this machine is no longer part of the Ray cluster: its Ray process has died. What was finished is "
                    "kept; start Ray again, and the same command goes on"
                )
            self._known = int(sum(resources.get("CPU", 0) for resources in nodes.values()))
            self._looked = time.monotonic()
        return self._known

    def give(self, job: Job) -> None:
        """Give the cluster a job."""
        resources = resources_of(job, self._executor.gpus_per_job)
        task = self._work_on_gpu if "num_gpus" in resources else self._work
        self._running[task.options(**resources, name=job.label).remote(job, self._site)] = job

    def listen(self, *, seconds: float) -> list[TaskNews[Job]]:
        """Wait for so long at most; what the tasks tell, and which jobs have ended."""
        tasks = list(self._running)
        ready, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=seconds, fetch_local=False)
        return [self._heard(task) for task in ready]

    def _heard(self, task: Any) -> TaskNews[Job]:
        job = self._running.pop(task)
        try:
            told = self._ray.get(next(task))
        except self._ray.exceptions.RayTaskError as error:
            return TaskNews(job, "done", _why_not_begun(error))
        except self._ray.exceptions.RayError:
            self._deaths[job.key] += 1
            if self._deaths[job.key] == TRIES:
                return TaskNews(job, "died")
            self.give(job)
            return TaskNews(job, "again")
        if isinstance(told, tuple):
            self._running[task] = job
            return TaskNews(job, "told", (job.label, *told))
        return TaskNews(job, "done", told or self._unseen(job))

    def _unseen(self, job: Job) -> str | None:
        """What is wrong if this machine does not see what another one has made."""
        if is_seen([job], self._store):
            return None
        return (
            f"it was done, but this machine does not see it in {self._store.folder}; share the folder among all nodes"
        )


def _why_not_begun(error: Exception) -> str:
    text = str(error)
    if "No module named" in text or "failed to import" in text:
        return f"a node lacks what the job needs; install auscult {__version__} there: {last_line(error)}"
    return f"its task failed: {last_line(error)}"
