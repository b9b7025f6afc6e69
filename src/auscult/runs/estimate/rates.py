"""Rates: each kind of work of a plan is measured once; the estimate is work times rate over workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auscult.errors import RunError
from auscult.processes import single_thread
from auscult.runs.estimate.sizes import sizes_of
from auscult.runs.estimate.work import Rates, Work, work_of
from auscult.runs.jobs import Job, is_finished
from auscult.runs.plan import BankJob, Plan
from auscult.runs.store import Store


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to do, in seconds.

    Attributes:
        jobs: of each job by its key, in one process with one thread; 0 for finished ones.
        denoisers: all denoisers with the workers at hand.
        features: likewise all banks.
        members: likewise all members.
        workers: processes that share the work.
    """

    jobs: dict[str, float]
    denoisers: float
    features: float
    members: float
    workers: int

    @property
    def seconds(self) -> float:
        """From start to end: the three one behind the other."""
        return self.denoisers + self.features + self.members


def measure_rates(
    plan: Plan, store: Store, *, known: Rates | None = None, on_kind: Callable[[int, int], None] | None = None
) -> dict[str, tuple[float, ...]]:
    """Measure each kind of work that a plan has left, for a fraction of a second on noise, with the real code.

    Networks have random weights, also where the plan lacks the real ones. The device is that of the plan.

    Args:
        plan: of a run.
        store: what it holds needs no measuring.
        known: rates of some kinds, which are taken as they are.
        on_kind: called with the number of kinds measured and all of them.

    Returns:
        Kind -> seconds per unit of each of its parts (`Work`).

    Raises:
        AudioError: if the header of a clip cannot be read.
        RunError: if a known kind has not a rate for each of its parts.
    """
    kinds = {work.kind: work for work in _left(plan, store).values()}
    rates = dict[str, tuple[float, ...]]()
    with single_thread():
        for done, (kind, work) in enumerate(kinds.items(), start=1):
            rates[kind] = known[kind] if known and kind in known else work.measure()
            if len(rates[kind]) != len(work.units):
                raise RunError(
                    f"there are {len(rates[kind])} rates, and not {len(work.units)}, of {kind}; write them with "
                    "`auscult bench --json`"
                )
            if on_kind is not None:
                on_kind(done, len(kinds))
    return rates


def estimate(plan: Plan, rates: Rates, store: Store, *, workers: int = 1) -> Estimate:
    """How long the jobs take that a store does not hold.

    Workers share the jobs of a kind as well as their lengths allow. A GPU is one, however many workers use it.

    Args:
        plan: of a run.
        rates: from `measure_rates` of the same plan and store.
        store: what it holds needs no time.
        workers: processes with one thread each.
    """
    left = _left(plan, store)
    jobs: dict[str, float] = {}
    for job in all_jobs(plan):
        jobs[job.key] = left[job.key].seconds(rates) if job.key in left else 0.0

    devices = {job.training.device for job in all_jobs(plan) if not isinstance(job, BankJob)}
    at_once = workers if devices <= {"cpu"} else 1

    def together(some: Sequence[Job]) -> float:
        seconds = [jobs[job.key] for job in some]
        return max(max(seconds, default=0.0), sum(seconds) / at_once)

    return Estimate(
        jobs=jobs,
        denoisers=together(plan.denoisers),
        features=together(plan.banks),
        members=together(plan.members),
        workers=workers,
    )


def _left(plan: Plan, store: Store) -> dict[str, Work]:
    """The work of each job that is not finished, by the job's key."""
    sizes = sizes_of(plan.banks)
    return {job.key: work_of(job, sizes) for job in all_jobs(plan) if not is_finished(job, store)}


def all_jobs(plan: Plan) -> list[Job]:
    """Denoisers, banks, members."""
    return [*plan.denoisers, *plan.banks, *plan.members]
