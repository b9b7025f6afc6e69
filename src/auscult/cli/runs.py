"""Commands on runs and their results: run, recipes, evaluate."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from auscult.cli.display.messages import print_lines, print_notes
from auscult.cli.options import Output, RunOptions

if TYPE_CHECKING:
    from auscult.recipe import Recipe
    from auscult.runs.executors import Executor
    from auscult.runs.results import Results


def run(
    recipe: str,
    *,
    out: Output,
    options: RunOptions,
    truth: Path | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    gpus_per_job: float | None = None,
) -> int:
    """Train a recipe's models on normal clips, score the test clips, evaluate, write a report.

    Args:
        recipe: Name of a built-in recipe (see `auscult recipes`) or a TOML file.
        out: Run folder. The same folder and recipe continues a run that was stopped.
        options: See there.
        truth: Ground-truth list of the evaluation clips.
        workers: Jobs at the same time, each a process with one thread; by default as many as processors, 1 on a GPU,
            and none for what takes less time than their start.
        cluster: Do the jobs on a Ray cluster: auto for the one of this machine, or HOST:PORT of its head.
        gpus_per_job: On a cluster, the part of a GPU that each job gets, for instance 0.25; 1 by default.
    """
    from auscult.cli.display.messages import print_failures
    from auscult.cli.display.progress import Display
    from auscult.recipe import load_recipe
    from auscult.report.run import write_pages
    from auscult.runs.run import run as run_recipe

    chosen = load_recipe(recipe, options.override or ())
    _note_what_is_unused(chosen, options.clean)
    with (
        _place(options.device, workers, cluster, gpus_per_job) as (chosen_device, executor),
        Display().shown() as (on_plan, on_progress),
    ):
        finished = run_recipe(
            chosen,
            data=options.data,
            out=out,
            without=options.without or (),
            dataset=options.dataset,
            machine_types=options.machine_type,
            truth=truth,
            clean=options.clean,
            device=chosen_device,
            store=options.store,
            weights=options.weights,
            executor=executor,
            stack=options.stack,
            pages=write_pages,
            on_plan=on_plan,
            on_progress=on_progress,
        )
    if finished.results is not None:
        _print_results(chosen, finished.results, out / "report.html")
    if finished.failures:
        print_failures(finished.failures)
        return 3
    return 0


@contextmanager
def _place(
    device: str, workers: int | None, cluster: str | None, gpus_per_job: float | None
) -> "Iterator[tuple[str, Executor]]":
    """The device of a run and what runs its jobs there."""
    from auscult.errors import RunError
    from auscult.runs.cluster import RayExecutor, cluster_device, connected
    from auscult.runs.executors import LocalExecutor
    from auscult.training import choose_device

    if cluster is not None:
        executor = RayExecutor(cluster, gpus_per_job=1.0 if gpus_per_job is None else gpus_per_job, workers=workers)
        with redirect_stdout(sys.stderr), connected(cluster):  # Ray tells on standard output what becomes of nodes
            yield cluster_device(device), executor
        return
    if gpus_per_job is not None:
        raise RunError("--gpus-per-job is for jobs on a cluster: give --cluster, or --workers instead")
    device = choose_device(device)
    yield device, LocalExecutor(workers, device=device)


def _note_what_is_unused(recipe: "Recipe", clean: Path | None) -> None:
    if clean is not None and not any(member.level for member in recipe.member):
        print_notes([f"no member of {recipe.name} has a denoiser; --clean is not used"])


def _print_results(recipe: "Recipe", results: "Results", page: Path) -> None:
    from rich.console import Console

    from auscult.cli.display.tables import results_tables
    from auscult.runs.results import averaged, official_scores
    from auscult.scores.metrics import shown_metrics

    nodes = recipe.ensembles()
    inside = {name for node in nodes for name in node.members} - {node.name for node in nodes}
    sets = {"development": (results.development, ""), "evaluation": (results.evaluation, ", evaluation machines")}
    for subset, (rows, what) in sets.items():
        if rows:
            titles = " / ".join(metric.title for metric in shown_metrics(row.figures for row in rows).values())
            title = f"{recipe.name}{what}: {titles} in percent"
            official = official_scores(results.official, subset)
            for table in results_tables(averaged(rows), results.headline, title, inside=inside, official=official):
                Console().print(table)
    print_lines(*(f"note: {note}" for note in results.notes), f"report: {page}")


def recipes() -> None:
    """List the built-in recipes."""
    from rich.console import Console

    from auscult.cli.display.tables import recipes_table
    from auscult.recipe import builtin_recipes

    Console().print(recipes_table(builtin_recipes()))


def evaluate(
    folder: Path,
    *,
    truth: Path | None = None,
    year: int | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Print every metric of a folder of challenge score files, anomaly_score_TYPE_..., and the official score.

    Args:
        folder: Folder of score files, and of decisions where there are any; others are named and ignored.
        truth: The challenge's ground-truth list, for clips whose names do not tell their label.
        year: Of the challenge, whose official score is wanted; found from machines and domains by default.
        as_json: Print JSON, fractions of 1.
    """
    from rich.console import Console

    from auscult.cli.display.tables import decisions_table, figures_table, official_line
    from auscult.datasets.truth import read_list
    from auscult.scores.metrics import evaluate as figures_of
    from auscult.scores.official import decision_figures, official, official_facts, why_none, years_of
    from auscult.submission import read_decisions, read_submission

    listed = read_list(truth) if truth else None
    table, ignored = read_submission(folder, truth=listed.clips if listed else None)
    decided = decision_figures(read_decisions(folder, truth=listed.clips if listed else None))
    for path in ignored:
        Console(stderr=True, soft_wrap=True).print(f"ignored: {path}", markup=False)
    figures, years = figures_of(table), [year] if year else sorted(listed.years) if listed else years_of(table)
    found = official(table, years=years, replicates=1000)
    if not found:
        print_notes([f"there is no official score: {why_none(table, years)}"])
    if as_json:
        if found:
            figures["official"] = official_facts(found)
        if decided:
            figures["decisions"] = decided
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
        return
    Console().print(figures_table(figures, str(folder)))
    if decided:
        Console().print(decisions_table(decided))
    if found:
        print_lines(official_line(found), highlight=False)
