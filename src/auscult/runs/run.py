"""The main job: from a recipe and a data folder to trained members, score tables, results and a report."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auscult import __version__
from auscult.errors import RunError
from auscult.processes import single_thread
from auscult.recipe import Part, Recipe
from auscult.runs.analysis import Analysis, analyse
from auscult.runs.executors import Executor, Failure, LocalExecutor
from auscult.runs.folder import publish, write_results
from auscult.runs.identity import sign, taken
from auscult.runs.jobs import Job, OnProgress, is_finished, needs
from auscult.runs.plan import Plan
from auscult.runs.request import plan_for, request_of
from auscult.runs.results import Results, read_results
from auscult.runs.stacks import Stacking
from auscult.runs.store import Store, environment, key_of
from auscult.scores.metrics import METRICS

READING = "reading files"
"""Label of the progress before there is a plan."""

Pages = Callable[[Analysis, Path], None]
"""Writes what people read of an analysis into a folder: see `auscult.report.run.write_pages`."""

RESULTS_AND_REPORT = "results and report"
"""Label of the progress when all jobs have ended."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that came to its end.

    Attributes:
        folder: of the run.
        recipe: as it was resolved.
        data: the data folder.
        plan: the jobs that are finished.
        store: of their artefacts.
        results: what `results.json` says; none if no member was finished.
        failures: the jobs that are not finished.
    """

    folder: Path
    recipe: Recipe
    data: Path
    plan: Plan
    store: Store
    results: Results | None
    failures: list[Failure]


def run(
    recipe: Recipe,
    *,
    data: Path,
    out: Path,
    without: Collection[Part] = (),
    dataset: str | None = None,
    machine_types: Sequence[str] | None = None,
    truth: Path | None = None,
    clean: Path | None = None,
    device: str = "cpu",
    store: Path | None = None,
    weights: Path | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    stack: Stacking = "auto",
    pages: Pages | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Run:
    """Train every member of a recipe, score every test clip, evaluate, and write the run folder.

    The same folder and recipe continues where a killed run stopped, with the same result. A job that fails takes only
    those with it that need it: the others are done, and the result is of the members that were finished.

    Args:
        recipe: what to train.
        data: the data folder.
        out: the run folder.
        without: parts that members must not need; machine types that have no member left are left out.
        dataset: layout of the data; detected if none is given.
        machine_types: only these; all if none are given.
        truth: ground-truth list of the evaluation clips.
        clean: folder of clean mechanical sounds, for recipes with a denoiser.
        device: on which to train and score.
        store: folder of the artefacts, which runs may share; `out/store` if none is given.
        weights: folder of published weights, for features that need them.
        workers: jobs at the same time, each in a process with one thread; 1 is this process.
        executor: where jobs run instead, for instance on a cluster; it decides how many at the same time.
        stack: whether members of the same shapes train as one: `"auto"` (as yet nowhere), `"on"` or `"off"`.
        pages: writes report, tables and figures beside the results; none are written if it is not given.
        on_plan: called with the plan before the first job.
        on_progress: called as files are read for the plan, and as jobs advance.

    Returns:
        The run, with the jobs that failed as its `failures`; without results and report if no member was finished.

    Raises:
        AuscultError: for anything wrong in recipe, data or folders that is found before the first job.
    """
    executor, advance = executor or LocalExecutor(workers), on_progress or _silent
    asked = request_of(recipe, data, without=without, dataset=dataset, machine_types=machine_types, truth=truth)
    identity = {"data": str(data.resolve()), "machine_types": sorted(set(machine_types)) if machine_types else "all"}
    if asked.denoised and clean is not None:
        identity["clean"] = str(clean.resolve())
    with taken(out, asked.recipe, identity):
        artefacts = Store(store or out / "store", on_read=lambda done, total: advance(READING, done, total, ""))
        plan = plan_for(asked, artefacts, device=device, weights=weights, clean=clean, stack=stack)
        read_as = {"dataset": dataset, "truth": str(truth.resolve()) if truth else None}  # may change: new labels
        sign(out, asked.recipe, {**identity, **read_as})
        if on_plan is not None:
            on_plan(plan)
        jobs: list[Job] = [*plan.denoisers, *plan.banks, *plan.members]
        failures = executor.run(jobs, artefacts, advance)
        labels = [job.label for job in jobs]
        failures.sort(key=lambda failure: labels.index(failure.label))
        done = Run(out, asked.recipe, data, _finished(plan, artefacts), artefacts, None, failures)
        if not done.plan.members:
            return done
        artefact = _analysis(done, asked.years, [*asked.left_out, *plan.left_out], pages, advance)
        results = _readable(artefact)
        publish(artefact, done.plan.members, artefacts, out)
        return replace(done, results=results)


def _analysis(
    done: Run, years: tuple[int, ...], notes: Sequence[str], pages: Pages | None, advance: OnProgress
) -> Path:
    """The artefact of all that follows from the members' scores: results, score tables, report, tables, figures."""
    facts: dict[str, Any] = {
        "recipe": done.recipe.model_dump(),
        "data": str(done.data),
        "years": list(years),
        "scores": [job.scores_key for job in done.plan.members],
        "clips": [
            [clip.machine_type, clip.machine_id, clip.file, clip.label]
            for job in done.plan.members
            for bank in (*job.train, *job.test)
            for clip in bank.clips
        ],
        "failures": [str(failure) for failure in done.failures],
        "notes": list(notes),
        "metrics": list(METRICS),
        "pages": pages is not None,
        "auscult": __version__,
        "libraries": environment(),
    }
    key = key_of("analysis", facts)

    def build(folder: Path) -> None:
        advance(RESULTS_AND_REPORT, 0, 2, "choices")
        analysis = analyse(
            done.recipe, done.data, done.plan, done.store, years=years, failures=done.failures, notes=notes
        )
        write_results(analysis, folder)
        advance(RESULTS_AND_REPORT, 1, 2, "report")
        if pages is not None:
            pages(analysis, folder)
        advance(RESULTS_AND_REPORT, 2, 2, "")

    with single_thread():  # the tables' bits repeat, too
        return done.store.make("analysis", key, {**facts, "clips": len(facts["clips"])}, build)


def _readable(artefact: Path) -> Results:
    """The results of a finished analysis."""
    try:
        return read_results(artefact)
    except RunError as error:
        raise RunError(f"the artefact {artefact} is damaged; remove it, and the same command makes it again") from error


def _finished(plan: Plan, store: Store) -> Plan:
    """What was done of a plan, with all that it needs."""

    def done(job: Job) -> bool:
        return is_finished(job, store) and all(done(other) for other in needs(job))

    return Plan(tuple(filter(done, plan.denoisers)), tuple(filter(done, plan.banks)), tuple(filter(done, plan.members)))


def _silent(label: str, done: int, total: int, text: str) -> None:
    """Show no progress."""
