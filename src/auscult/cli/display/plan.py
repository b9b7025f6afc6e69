"""What the terminal shows of a plan: its table and what stands below it; and the table of speeds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auscult.cli.display.tables import grid

if TYPE_CHECKING:
    from rich.table import Table

    from auscult.runs.bench import StepSpeed
    from auscult.runs.estimate import Estimate, Row


def plan_table(rows: "Sequence[Row]", title: str) -> "Table":
    """What there is to make: a row for each machine type and denoiser, kind of features or family; the sum below."""
    from rich.text import Text

    timed = any(row.seconds is not None for row in rows)
    numbers = ("done", "params each", "in all", "clips", "epochs", "disk", *(["time"] if timed else []))
    table = grid(title, "machine", "what", numbers=numbers)
    for index, row in enumerate(rows):
        first = index == 0 or rows[index - 1].machine_type != row.machine_type
        last = index + 1 == len(rows) or rows[index + 1].machine_type != row.machine_type
        table.add_row(
            Text(row.machine_type if first else ""),
            Text(row.what),
            f"{row.done}/{row.jobs}",
            _counts(row.parameters) if row.total_parameters else "",
            count(row.total_parameters) if row.total_parameters else "",
            f"{row.clips:,}",
            "-".join(f"{bound:,}" for bound in dict.fromkeys(row.epochs or ())),
            size(row.n_bytes) if row.n_bytes else "",
            *([duration(row.seconds or 0.0)] if timed else []),
            end_section=last,
        )
    table.add_row(
        "all",
        "",
        f"{sum(row.done for row in rows)}/{sum(row.jobs for row in rows)}",
        "",
        count(sum(row.total_parameters for row in rows)),
        "",
        "",
        size(sum(row.n_bytes for row in rows)),
        *([duration(sum(row.seconds or 0.0 for row in rows))] if timed else []),
        style="bold",
    )
    return table


def estimate_text(estimate: "Estimate", device: str, *, kinds: int, given: int = 0) -> str:
    """The time from start to end, and what it rests on: of so many kinds of work the rates of some were given."""
    workers = "1 worker" if estimate.workers == 1 else f"{estimate.workers} workers"
    parts = {"denoisers": estimate.denoisers, "features": estimate.features, "members": estimate.members}
    shares = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items() if seconds)
    measured = "rates measured just now on this machine, on noise, a fraction of a second for each kind of work"
    source = f"From {measured}"
    if given:
        rest = f", the other {kinds - given} from {measured}" if given < kinds else ""
        source = f"Rates of {given} of {kinds} kinds of work as given{rest}"
    return (
        f"estimate: about {duration(estimate.seconds)} with {workers} on {device} ({shares or 'nothing is left'}), "
        f"without tables and report. {source}; other programs, slow disks and workers that share the memory "
        "make it longer"
    )


def steps_table(steps: "Sequence[StepSpeed]", title: str) -> "Table":
    """The speed of each step: clips of 10 s in a second, seconds of sound in a second, and its inverse."""
    table = grid(title, "step", numbers=("clips/s", "x real time", "real-time factor"))
    for step in steps:
        table.add_row(
            step.name,
            f"{step.clips_per_second:,.3g}" if step.clips_per_second < 100 else f"{step.clips_per_second:,.0f}",
            f"{1 / step.seconds:,.3g}" if step.seconds > 0.01 else f"{1 / step.seconds:,.0f}",
            f"{step.seconds:.2g}",
        )
    return table


def duration(seconds: float) -> str:
    """A time, to two digits or so.

    >>> [duration(s) for s in (0.0, 0.2, 42.4, 150, 5000, 200000, 2_860_000)]
    ['0 s', '1 s', '42 s', '2 min', '1.4 h', '56 h', '33 d']
    """
    if seconds < 90:
        return f"{max(1, round(seconds)) if seconds else 0} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3600
    if hours >= 99.5:
        return f"{hours / 24:,.0f} d"
    return f"{hours:.1f} h" if hours < 9.95 else f"{hours:.0f} h"


def size(n_bytes: int) -> str:
    """A size on disk, in decimal units.

    >>> [size(n) for n in (0, 1234, 5_600_000, 78_000_000_000)]
    ['0 B', '1.2 kB', '5.6 MB', '78 GB']
    """
    return f"{_short(n_bytes)}B"


def count(number: int) -> str:
    """A number of parameters.

    >>> [count(n) for n in (0, 640, 184704, 2622402, 31_400_000)]
    ['0', '640', '185 k', '2.6 M', '31 M']
    """
    return _short(number).strip()


def _counts(bounds: tuple[int, int] | None) -> str:
    """Least and most, once where they look the same."""
    return "-".join(dict.fromkeys(count(bound) for bound in bounds or ()))


def _short(number: float) -> str:
    """Two digits or more, and the unit's prefix."""
    prefixes = iter(("", "k", "M", "G"))
    prefix = next(prefixes)
    while number >= 999.5 and prefix != "G":
        number, prefix = number / 1000, next(prefixes)
    return f"{number:.1f} {prefix}" if prefix and number < 9.95 else f"{number:,.0f} {prefix}"
