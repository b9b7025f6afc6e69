"""What the terminal shows: progress of jobs, tables of results."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from auscult.denoising.levels import Levels
    from auscult.executors import Failure
    from auscult.jobs import OnProgress
    from auscult.plan import Plan
    from auscult.recipe import Recipe
    from auscult.results import ResultRow, Run


@dataclass
class _Wave:
    """Jobs of one kind.

    Attributes:
        name: of the kind.
        bar: of all of them.
        total: number of jobs.
        ended: number of those that ended.
        lost: number of those among them that failed, or were not run.
    """

    name: str
    bar: Any
    total: int
    ended: int = 0
    lost: int = 0


class Display:
    """Progress on standard error: a bar for each wave and each job at work; in a log, a line for each job that ends."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<44}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._jobs: dict[str, Any] = {}
        self._waves: dict[str, _Wave] = {}

    def plan(self, plan: "Plan") -> None:
        """Show the waves; until then the screen is left to messages, and to the reading of files."""
        self._progress.start()
        for bar in self._jobs.values():
            self._progress.remove_task(bar)
        self._jobs.clear()
        kinds: dict[str, Sequence[Any]] = {"denoisers": plan.denoisers, "features": plan.banks, "members": plan.members}
        for name, jobs in kinds.items():
            if jobs:
                wave = _Wave(name, self._progress.add_task(name, total=len(jobs), text=""), len(jobs))
                self._waves |= {job.label: wave for job in jobs}

    def advance(self, label: str, done: int, total: int, text: str) -> None:
        """Show how far a job is; one that ends leaves the screen, and is counted."""
        from auscult.jobs import ENDS

        if text in ENDS:
            self._end(label, text)
            return
        self._progress.start()
        if label not in self._jobs:
            self._jobs[label] = self._progress.add_task(f"  {label}", total=total, text=text)
        self._progress.update(self._jobs[label], completed=done, total=total, text=text)

    def _end(self, label: str, text: str) -> None:
        from auscult.jobs import DONE

        wave = self._waves[label]
        wave.ended += 1
        wave.lost += text != DONE
        self._progress.update(wave.bar, completed=wave.ended, text=f"{wave.lost} failed" if wave.lost else "")
        begun = label in self._jobs
        if begun:
            self._progress.remove_task(self._jobs.pop(label))
        if self._progress.disable and (begun or text != DONE):
            self._progress.console.print(
                f"{wave.name} {wave.ended}/{wave.total}: {label}: {text}", markup=False, highlight=False, soft_wrap=True
            )

    @contextmanager
    def shown(self) -> "Iterator[tuple[Any, OnProgress]]":
        """While it lasts the bars are on the screen; gives the callbacks for the plan and for progress."""
        try:
            yield self.plan, self.advance
        finally:
            if self._progress.live.is_started:
                self._progress.stop()


@contextmanager
def counting(label: str) -> "Iterator[Callable[..., None]]":
    """One progress bar on standard error, from the first step on; gives `show(done, total, text="")`."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    progress = Progress(console=Console(stderr=True))
    task = progress.add_task(escape(label), total=None)

    def show(done: int, total: int, text: str = "") -> None:
        progress.start()
        progress.update(task, completed=done, total=total, description=escape(f"{label} {text}".rstrip()))

    try:
        yield show
    finally:
        if progress.live.is_started:
            progress.stop()


def results_table(run: "Run", rows: "Sequence[ResultRow]", title: str) -> "Table":
    """AUC and pAUC in percent: a row per machine, a column per system, means over ids and over types."""
    from rich.text import Text

    from auscult.metrics import MEAN, mean_figures, sort_machine_types

    systems = [system.name for system in run.systems]
    cells = {(row.machine_type, row.machine_id, row.system): row for row in rows}
    table = _grid(title, systems)
    types = sort_machine_types(row.machine_type for row in rows)
    means: dict[tuple[str, str], Any] = {}
    for machine_type in types:
        name = Text(machine_type)
        for machine_id in sorted({row.machine_id for row in rows if row.machine_type == machine_type}):
            found = [cells.get((machine_type, machine_id, system)) for system in systems]
            table.add_row(name, Text(machine_id), *(_cell(row.auc, row.pauc) if row else "-" for row in found))
            name = Text()
        for system in systems:
            mine = [row for row in rows if (row.machine_type, row.system) == (machine_type, system)]
            if mine:
                means[machine_type, system] = mean_figures({"auc": row.auc, "pauc": row.pauc} for row in mine)
        table.add_row("", MEAN, *_mean_cells(means, machine_type, systems), style="bold", end_section=True)
    if len(types) > 1:
        for system in systems:
            if all((kind, system) in means for kind in types):
                means[MEAN, system] = mean_figures(means[kind, system] for kind in types)
        table.add_row(MEAN, "", *_mean_cells(means, MEAN, systems), style="bold")
    return table


def levels_table(levels: "Levels") -> "Table":
    """What each level of a denoiser gains."""
    from rich.table import Table

    title = f"{levels.machine_type}: gain in dB on mixtures that neither trained nor chose the levels"
    table = Table("level", "epoch", "SNR", "SI-SDR", title=title)
    for one in levels.levels:
        figures = (f"{one.gain.snr_db:+.2f}", f"{one.gain.si_sdr_db:+.2f}")
        table.add_row(str(one.level), str(one.epoch), *figures)
    return table


def figures_table(figures: dict[str, Any], title: str) -> "Table":
    """What `auscult.metrics.evaluate` gives, as a table in percent."""
    from rich.text import Text

    from auscult.metrics import MEAN

    table = _grid(title, ["AUC / pAUC"])
    for machine_type, ids in figures.items():
        if machine_type == MEAN:
            table.add_row(MEAN, "", _exact(**ids), style="bold")
            continue
        for machine_id, values in ids.items():
            last = machine_id == MEAN
            names = Text(machine_type), Text(machine_id)
            table.add_row(*names, _exact(**values), style="bold" if last else None, end_section=last)
    return table


def recipes_table(recipes: "dict[str, Recipe]") -> "Table":
    """The built-in recipes."""
    from rich.table import Table

    table = Table(box=None)
    for column in ("recipe", "members", "description"):
        table.add_column(column)
    for name, recipe in recipes.items():
        table.add_row(name, str(len(recipe.member)), recipe.description)
    return table


def print_error(message: str) -> None:
    """One line on standard error."""
    _complain("error: ", message)


def print_failures(failures: "Sequence[Failure]") -> None:
    """A line on standard error for each job that was not done, and one on what to do."""
    for failure in failures:
        _complain(f"{failure.kind}: ", f"{failure.label}: {failure.reason}")
    which = "1 job was" if len(failures) == 1 else f"{len(failures)} jobs were"
    _complain("", f"{which} not done; what was finished is kept, and the same command tries the rest again")


def _complain(kind: str, message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(kind, style="bold red") + Text(message))


def _grid(title: str, columns: Sequence[str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    # Nothing but one space between columns: six systems fit 80 characters.
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("machine", no_wrap=True)
    table.add_column("id", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cell(auc: float, pauc: float) -> str:
    return f"{_percent(auc)} {_percent(pauc):>4}"


def _exact(auc: float, pauc: float) -> str:
    return f"{100 * auc:.2f} / {100 * pauc:.2f}"


def _percent(fraction: float) -> str:
    """At most four characters, as a table of six systems demands."""
    return "100" if fraction >= 0.9995 else f"{100 * fraction:.1f}"


def _mean_cells(means: dict[tuple[str, str], Any], kind: str, systems: Sequence[str]) -> list[str]:
    return [_cell(**means[kind, system]) if (kind, system) in means else "-" for system in systems]
