"""The main job: from a recipe and a data folder to trained members, score tables, results and a report."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult import __version__
from auscult.clips import MACHINE_TYPES
from auscult.datasets import load_clips, require_training_clips
from auscult.errors import RunError
from auscult.files import replacing, saving
from auscult.processes import single_thread
from auscult.recipe import Part, Recipe, leave_out, types_left, what_is_left_out
from auscult.runs.analysis import Analysis, analyse
from auscult.runs.denoisers import needs_denoiser
from auscult.runs.executors import Executor, Failure, LocalExecutor
from auscult.runs.folder import publish, write_results
from auscult.runs.jobs import Job, OnProgress, is_finished, needs
from auscult.runs.plan import Plan, make_plan
from auscult.runs.results import Results, read_results
from auscult.runs.stacks import Stacking, with_stacks
from auscult.runs.store import Store, environment, key_of
from auscult.scores.metrics import METRICS

RECIPE, IDENTITY, LOCK = "recipe.toml", "run.json", "run.lock"

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
    executor = executor or LocalExecutor(workers)
    clips = load_clips(data, dataset=dataset, machine_types=machine_types, truth=truth)
    require_training_clips(clips, data)
    types = list(dict.fromkeys(clip.machine_type for clip in clips))
    left_out = what_is_left_out(recipe, without, types)
    recipe, whole = leave_out(recipe, without) if without else recipe, recipe
    heard, types = clips, types_left(whole, recipe, types)
    clips = [clip for clip in clips if clip.machine_type in types]
    identity = {"data": str(data.resolve()), "machine_types": sorted(set(machine_types)) if machine_types else "all"}
    denoised = needs_denoiser(recipe, types)
    if denoised and clean is not None:
        identity["clean"] = str(clean.resolve())
    others = {name for member in recipe.member for name in member.machine_types or ()} - {*types, *MACHINE_TYPES}
    if machine_types and (denoised or others):  # the other types are the noise, or members are for them
        heard = load_clips(data, dataset=dataset, truth=truth)
    advance = on_progress or _silent
    with _taken(out, recipe, identity):
        artefacts = Store(store or out / "store", on_read=lambda done, total: advance(READING, done, total, ""))
        plan = make_plan(recipe, clips, artefacts, device=device, weights=weights, clean=clean, all_clips=heard)
        plan = with_stacks(plan, stack)
        _write_text(out / RECIPE, recipe.to_toml())
        read_as = {"dataset": dataset, "truth": str(truth.resolve()) if truth else None}  # may change: new labels
        _write_text(out / IDENTITY, json.dumps({**identity, **read_as}, indent=1))
        if on_plan is not None:
            on_plan(plan)
        jobs: list[Job] = [*plan.denoisers, *plan.banks, *plan.members]
        failures = executor.run(jobs, artefacts, advance)
        labels = [job.label for jobs in (plan.denoisers, plan.banks, plan.members) for job in jobs]
        failures.sort(key=lambda failure: labels.index(failure.label))
        done = _finished(plan, artefacts)
        results = None
        if done.members:
            artefact = _analysis(
                recipe, data, done, artefacts, failures=failures, notes=left_out, pages=pages, advance=advance
            )
            results = _readable(artefact)
            publish(artefact, done.members, artefacts, out)
        return Run(out, recipe, data, done, artefacts, results, failures)


def _analysis(
    recipe: Recipe,
    data: Path,
    done: Plan,
    store: Store,
    *,
    failures: Sequence[Failure],
    notes: Sequence[str],
    pages: Pages | None,
    advance: OnProgress,
) -> Path:
    """The artefact of all that follows from the members' scores: results, score tables, report, tables, figures."""
    facts: dict[str, Any] = {
        "recipe": recipe.model_dump(),
        "data": str(data),
        "scores": [job.scores_key for job in done.members],
        "clips": [
            [clip.machine_type, clip.machine_id, clip.file, clip.label]
            for job in done.members
            for bank in (*job.train, *job.test)
            for clip in bank.clips
        ],
        "failures": [str(failure) for failure in failures],
        "notes": list(notes),
        "metrics": list(METRICS),
        "pages": pages is not None,
        "auscult": __version__,
        "libraries": environment(),
    }
    key = key_of("analysis", facts)

    def build(folder: Path) -> None:
        advance(RESULTS_AND_REPORT, 0, 2, "choices")
        analysis = analyse(recipe, data, done, store, failures=failures, notes=notes)
        write_results(analysis, folder)
        advance(RESULTS_AND_REPORT, 1, 2, "report")
        if pages is not None:
            pages(analysis, folder)
        advance(RESULTS_AND_REPORT, 2, 2, "")

    with single_thread():  # the tables' bits repeat, too
        return store.make("analysis", key, {**facts, "clips": len(facts["clips"])}, build)


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


@contextmanager
def _taken(out: Path, recipe: Recipe, identity: dict[str, Any]) -> Iterator[None]:
    """Make the run folder, or check that it belongs to the same run; while it lasts, no other run may work there.

    Raises:
        RunError: see `_require_free`; or if another run is at work there.
    """
    from filelock import FileLock, Timeout

    _require_free(out, recipe, identity)
    lock = FileLock(out / LOCK, timeout=0)
    with saving(out):
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(f"another run is at work in {out}; wait for its end, or give another --out") from error
    try:
        _require_free(out, recipe, identity)  # another one may have come and gone
        yield
    finally:
        lock.release()


def _require_free(out: Path, recipe: Recipe, identity: dict[str, Any]) -> None:
    """Make the run folder, or check that it belongs to the same run.

    Raises:
        RunError: if another recipe, other data or other machine types ran there, or other files lie there.
    """
    with saving(out):
        if out.exists() and not out.is_dir():
            raise RunError(f"{out} is a file; give a folder for the run")
        out.mkdir(parents=True, exist_ok=True)
        entries = {entry.name for entry in out.iterdir() if entry.suffix != ".tmp"}
    if not {RECIPE, IDENTITY} <= entries:
        if entries - {"store", RECIPE, IDENTITY, LOCK}:
            raise RunError(f"{out} holds files that are not of a run; give another --out, or an empty folder")
        return
    try:
        text = (out / RECIPE).read_text(encoding="utf-8")
        there = dict(json.loads((out / IDENTITY).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"the run {out} cannot be continued: {error}; give another --out") from error
    if text != recipe.to_toml():
        raise RunError(f"{out} belongs to another recipe (see {out / RECIPE}); give another --out, or remove it")
    for key, value in identity.items():
        if there.get(key) != value:
            name = key.replace("_", " ")
            raise RunError(f"{out} was made with the {name} {there.get(key)}, not {value}; give another --out")


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
