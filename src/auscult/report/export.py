"""Tables and figures of a report as files of their own, for spreadsheets, programs and papers."""

import re
from collections.abc import Iterable
from pathlib import Path

from auscult.files import replacing, saving
from auscult.report.data import Table
from auscult.report.drawing import Plot, write_figure
from auscult.report.formats import table_csv, table_latex, table_markdown


def export_tables(folder: Path, tables: Iterable[Table]) -> list[Path]:
    """Write each table that has a name as `<name>.csv`, `<name>.md` and `<name>.tex`.

    Args:
        folder: made if it is not there.
        tables: those without a name are left out.

    Returns:
        The files, in the order of the tables.

    Raises:
        RunError: if a file cannot be written.
    """
    named = [table for table in tables if table.name]
    files = []
    for table, name in zip(named, file_names(table.name for table in named), strict=True):
        files += [
            _write(folder / f"{name}.csv", table_csv(table)),
            _write(folder / f"{name}.md", table_markdown(table)),
            _write(folder / f"{name}.tex", table_latex(table)),
        ]
    return files


def export_figures(folder: Path, plots: Iterable[Plot]) -> list[Path]:
    """Write each plot that has a name as the stand-alone figure `<name>.svg`.

    Args:
        folder: made if it is not there.
        plots: those without a name are left out.

    Returns:
        The files, in the order of the plots.

    Raises:
        RunError: if a file cannot be written.
    """
    named = [plot for plot in plots if plot.name]
    names = file_names(plot.name for plot in named)
    paths = [folder / f"{name}.svg" for name in names]
    for plot, path in zip(named, paths, strict=True):
        write_figure(plot, _placed(path))
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


def _write(path: Path, text: str) -> Path:
    with replacing(_placed(path)) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def _placed(path: Path) -> Path:
    with saving(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path
