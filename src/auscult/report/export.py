"""Tables and figures of a report as files of their own, for spreadsheets, programs and papers."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from auscult.files import saving, write_text
from auscult.report.data import Table
from auscult.report.drawing import Plot, figure_file
from auscult.report.formats import table_csv, table_latex, table_markdown


def export_tables(folder: Path, tables: Iterable[Table]) -> list[Path]:
    """Write each table that has a name as `<name>.csv`, `<name>.md` and `<name>.tex`, and return these files.

    Raises:
        RunError: if a file cannot be written.
    """
    kinds = {"csv": table_csv, "md": table_markdown, "tex": table_latex}
    named = [table for table in tables if table.name]
    names = file_names(table.name for table in named)
    paths = _made(folder, [f"{name}.{kind}" for name in names for kind in kinds])
    texts = [write(table) for table in named for write in kinds.values()]
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text)
    return paths


def export_figures(folder: Path, plots: Iterable[Plot]) -> list[Path]:
    """Write each plot that has a name as the figure `<name>.svg`, and return these files.

    Raises:
        RunError: if a file cannot be written.
    """
    named = [plot for plot in plots if plot.name]
    paths = _made(folder, [f"{name}.svg" for name in file_names(plot.name for plot in named)])
    for path, plot in zip(paths, named, strict=True):
        write_text(path, figure_file(plot))
    return paths


def file_names(names: Iterable[str]) -> list[str]:
    """File names of letters, digits, dots, hyphens and underscores, each different whatever the disk's view of case.

    >>> file_names(["table4", "members_<b>", "members_?b?", "../x"])
    ['table4', 'members_b', 'members_b-2', 'x']
    """
    found: dict[str, str] = {}
    for name in names:
        safe = re.sub(r"_+", "_", re.sub(r"[^\w.-]+", "_", name)).strip("._-") or "unnamed"
        number, unique = 1, safe
        while unique.casefold() in found:
            number += 1
            unique = f"{safe}-{number}"
        found[unique.casefold()] = unique
    return list(found.values())


def _made(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files of a folder, which is made if it is not there and has any."""
    if names:
        with saving(folder):
            folder.mkdir(parents=True, exist_ok=True)
    return [folder / name for name in names]
