"""Progress of jobs on the terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auscult.runs.jobs import OnProgress
    from auscult.runs.plan import Plan


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
        kinds: dict[str, Sequence[Any]] = {
            "denoisers": plan.denoisers,
            "features": plan.banks,
            "members": plan.members,
        }
        for name, jobs in kinds.items():
            if jobs:
                wave = _Wave(name, self._progress.add_task(name, total=len(jobs), text=""), len(jobs))
                self._waves |= {job.label: wave for job in jobs}

    def advance(self, label: str, done: int, total: int, text: str) -> None:
        """Show how far a job is; one that ends leaves the screen, and is counted."""
        from auscult.runs.jobs import ENDS

        if text in ENDS:
            self._end(label, text)
            return
        self._progress.start()
        if label not in self._jobs:
            self._jobs[label] = self._progress.add_task(f"  {label}", total=total, text=text)
        self._progress.update(self._jobs[label], completed=done, total=total, text=text)

    def _end(self, label: str, text: str) -> None:
        from auscult.runs.jobs import DONE

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
def counting(label: str, *, shown: bool = True) -> "Iterator[Callable[..., None]]":
    """One progress bar on standard error, from the first step on; gives `show(done, total, text="")`.

    The time left is that of the stage that the text names. What is no terminal gets the end alone.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    progress = Progress(console=console, disable=not shown)
    task = progress.add_task(escape(label), total=None)
    stage: str | None = None

    def show(done: int, total: int, text: str = "") -> None:
        nonlocal stage
        if console.is_terminal:
            progress.start()
        if text != stage:
            stage = text
            progress.reset(task, total=total, description=escape(f"{label} {text}".rstrip()))
        progress.update(task, completed=done, total=total)

    try:
        yield show
        if stage is not None:
            progress.start()
    finally:
        if progress.live.is_started:
            progress.stop()
