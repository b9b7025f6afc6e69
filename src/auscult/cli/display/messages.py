"""Messages on the terminal's standard error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auscult.errors import plain

if TYPE_CHECKING:
    from auscult.runs.executors import Failure


def print_error(message: str) -> None:
    """One line on standard error."""
    _complain("error: ", message)


def print_warning(message: str) -> None:
    """One line on standard error; the command goes on."""
    _complain("warning: ", message)


def print_notes(sentences: Sequence[str]) -> None:
    """A line on standard error for each thing that is worth knowing."""
    from rich.console import Console

    for sentence in sentences:
        Console(stderr=True, soft_wrap=True).print(plain(f"note: {sentence}"), markup=False)


def print_lines(*lines: str, highlight: bool = True) -> None:
    """Lines on standard output; on a terminal, numbers and paths in them are coloured if they are to be highlighted."""
    from rich.console import Console

    for line in lines:
        Console().print(plain(line), markup=False, highlight=highlight, soft_wrap=True)


def print_failures(failures: "Sequence[Failure]") -> None:
    """A line on standard error for each job that was not done, and one on what to do."""
    for failure in failures:
        _complain(f"{failure.kind}: ", f"{failure.label}: {failure.reason}")
    which = "1 job was" if len(failures) == 1 else f"{len(failures)} jobs were"
    _complain("", f"{which} not done; what was finished is kept, and the same command tries the rest again")


def _complain(kind: str, message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(kind, style="bold red") + Text(plain(message)))
