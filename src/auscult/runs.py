"""The main job: from a recipe and a data folder to trained members, score tables, results and a report."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from auscult.datasets import load_clips, require_training_clips
from auscult.denoiser_jobs import needs_denoiser
from auscult.errors import RunError
from auscult.executors import executor_for
from auscult.files import replacing, saving
from auscult.jobs import Job, OnProgress, is_finished, model_file, needs
from auscult.plan import Plan, make_plan
from auscult.recipe import Recipe
from auscult.report.collect import report_data
from auscult.report.html import write_report
from auscult.results import Run, System, notes_on, only, result_rows, systems_of
from auscult.store import Store

RECIPE, IDENTITY, LOCK = "recipe.toml", "run.json", "run.lock"

READING = "reading files"
"""Label of the progress before there is a plan."""


def run(
    recipe: Recipe,
    *,
    data: Path,
    out: Path,
    dataset: str | None = None,
    machine_types: Sequence[str] | None = None,
    truth: Path | None = None,
    clean: Path | None = None,
    device: str = "cpu",
    store: Path | None = None,
    weights: Path | None = None,
    workers: int = 1,
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
        dataset: layout of the data; detected if none is given.
        machine_types: only these; all if none are given.
        truth: ground-truth list of the evaluation clips.
        clean: folder of clean mechanical sounds, for recipes with a denoiser.
        device: on which to train and score.
        store: folder of the artefacts, which runs may share; `out/store` if none is given.
        weights: folder of published weights, for features that need them.
        workers: jobs at the same time, each in a process with one thread; 1 is this process.
        on_plan: called with the plan before the first job.
        on_progress: called as files are read for the plan, and as jobs advance.

    Returns:
        The run, with the jobs that failed as its `failures`; with no system and no report if no member was finished.

    Raises:
        AuscultError: for anything wrong in recipe, data or folders that is found before the first job.
    """
    if workers < 1:
        raise RunError(f"{workers} workers can do nothing; give at least 1")
    clips = load_clips(data, dataset=dataset, machine_types=machine_types, truth=truth)
    require_training_clips(clips, data)
    identity = {"data": str(data.resolve()), "machine_types": sorted(set(machine_types)) if machine_types else "all"}
    denoised = needs_denoiser(recipe, [clip.machine_type for clip in clips])
    if denoised and clean is not None:
        identity["clean"] = str(clean.resolve())
    heard = clips
    if machine_types and denoised:  # the other types are the noise
        heard = load_clips(data, dataset=dataset, truth=truth)
    advance = on_progress or _silent
    with _taken(out, recipe, identity):
        artefacts = Store(store or out / "store", on_read=lambda done, total: advance(READING, done, total, ""))
        plan = make_plan(recipe, clips, artefacts, device=device, weights=weights, clean=clean, all_clips=heard)
        _write_text(out / RECIPE, recipe.to_toml())
        _write_text(out / IDENTITY, json.dumps(identity, indent=1))
        if on_plan is not None:
            on_plan(plan)
        failures = executor_for(workers).run((*plan.denoisers, *plan.banks, *plan.members), artefacts, advance)
        done = _finished(plan, artefacts)
        if not done.members:
            return Run(out, recipe, data, done, artefacts, [], [], [], [], failures)
        systems = systems_of(recipe, done, artefacts)
        results = [row for system in systems for row in result_rows(system, system.development)]
        evaluation = [row for system in systems for row in result_rows(system, system.evaluation)]
        notes = notes_on(recipe, done, systems)
        finished = Run(out, recipe, data, done, artefacts, systems, results, evaluation, notes, failures)
        _write(finished)
        write_report(report_data(finished), out / "report.html")
        return finished


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


def _write(finished: Run) -> None:
    """Weights, score tables and results, each by way of a temporary name."""
    folder = finished.folder
    with saving(folder):
        for job in finished.plan.members:
            target = folder / "weights" / job.machine_type / f"{job.name}.safetensors"
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary:
                shutil.copyfile(model_file(finished.store, job), temporary)
        for system in finished.systems:
            _write_tables(folder / "scores", system)
    rows = [{**asdict(row), "subset": "development"} for row in finished.results]
    rows += [{**asdict(row), "subset": "evaluation"} for row in finished.evaluation_results]
    _write_text(folder / "results.json", json.dumps(rows, indent=1))


def _write_tables(folder: Path, system: System) -> None:
    for part, table in (
        ("train", system.train),
        ("test", system.development),
        ("evaluation", system.evaluation),
    ):
        for machine_type in table.groups():
            (folder / machine_type).mkdir(parents=True, exist_ok=True)
            only(table, machine_type).write(folder / machine_type / f"{system.name}.{part}.csv")


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
