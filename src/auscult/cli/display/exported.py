"""What the terminal shows of an export."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auscult.export import ExportedMember

if TYPE_CHECKING:
    from rich.table import Table


def exported_table(members: Sequence[ExportedMember]) -> "Table":
    """A row for each member: its file, size, difference from torch, time."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("member", "graphs", "MB", "differs from torch by", "ms a window"):
        table.add_column(column, no_wrap=True)
    for member in members:
        numbers = (f"{member.megabytes:.2f}", f"{member.difference:.1g}", f"{member.milliseconds:.1f}")
        table.add_row(Text(member.name), Text(", ".join(step["file"] for step in member.steps)), *numbers)
    return table
