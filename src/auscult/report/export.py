"""Tables and figures as files: CSV for spreadsheets and programs, Markdown and LaTeX for papers, SVG for figures."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from auscult.files import replacing, saving
from auscult.report.data import Cell, Key, Plot, Table
from auscult.report.figures import roc_plot
from auscult.report.standalone import standalone_svg
from auscult.report.tables import NONE, percent
from auscult.results import ResultRow
from auscult.scores import ScoreTable

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""


def export_tables(folder: Path, tables: Iterable[Table]) -> list[Path]:
    """Write each table that has a name as `<name>.csv` and `<name>.md`.

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
    return [_write(folder / f"{name}.svg", standalone_svg(plot)) for plot, name in zip(named, names, strict=True)]


def table_csv(table: Table) -> str:
    """A table's values in full: one line of headings, then a line per row; nothing where a value is missing.

    A heading is the name of the column's group, of the column, and its unit. Further numbers of a column's cells, such
    as the ends of an interval, have columns of their own beside it. Rows at the foot are left out.
    """
    details = [_detail_names(table, place) for place in range(len(table.columns))]
    headings: list[str] = []
    for group, column, names in zip(_groups(table), table.columns, details, strict=True):
        words = f"{group} {column}".strip()
        unit = f" ({table.units[column]})" if column in table.units else ""
        headings += [f"{words}{unit}", *(f"{words} {name}{unit}" for name in names)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_plain(heading) for heading in headings])
    for row in table.rows:
        values: list[str] = []
        for cell, names in zip(row, details, strict=True):
            values += [_value(cell), *(repr(cell.details[name]) if name in cell.details else "" for name in names)]
        writer.writerow(values)
    return file.getvalue()


def table_markdown(table: Table) -> str:
    """A table as Markdown: caption, rows as they are shown with the small type in brackets, and the note."""
    groups = _groups(table)
    headings = [f"{group} {column}".strip() for group, column in zip(groups, table.columns, strict=True)]
    rule = [":--" if place < table.texts else "--:" for place in range(len(headings))]
    lines = [_line(_in_markdown(heading) for heading in headings), _line(rule)]
    for row in (*table.rows, *table.foot):
        cells: list[str] = []
        for cell in row:
            text = _in_markdown(cell.text)
            text = f"**{text}**" if cell.best else text
            cells += [_with_small(text, cell), *[""] * (cell.span - 1)]
        lines.append(_line(cells))
    parts = [_in_markdown(table.caption), "\n".join(lines), _in_markdown(table.note)]
    return "\n\n".join(part for part in parts if part) + "\n"


def roc_figures(
    tables: Mapping[str, ScoreTable], styles: Mapping[str, str], results: Sequence[ResultRow], headline: str
) -> list[Plot]:
    """The ROC curves of each machine as figures of their own, named `roc_<machine type>_<machine id>`.

    Args:
        tables: system -> scores of the clips.
        styles: system -> line style, as `figures.system_styles` gives them.
        results: the figures of `headline` are named beside the title.
        headline: the run's final system.
    """
    groups = {system: table.groups() for system, table in tables.items()}
    figures = {(row.machine_type, row.machine_id): row for row in reversed(results) if row.system == headline}
    machines = dict.fromkeys((kind, id_) for types in groups.values() for kind, ids in types.items() for id_ in ids)
    plots = []
    for kind, id_ in machines:
        own = {system: types[kind][id_] for system, types in groups.items() if id_ in types.get(kind, {})}
        row = figures.get((kind, id_))
        note = f"{headline}: AUC {percent(row.auc)}, pAUC {percent(row.pauc)}" if row else ""
        plot = roc_plot(own, styles, title=f"{kind} {id_}", note=note)
        if plot is not None:
            keys = [Key(f"curve {styles[system]}", system) for system in own]
            plots.append(replace(plot, keys=keys, name=f"roc_{kind}_{id_}"))
    return plots


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
    with saving(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def _groups(table: Table) -> list[str]:
    """The group's name above each column."""
    names = [name for name, span in table.groups for _ in range(span)]
    return names or [""] * len(table.columns)


def _detail_names(table: Table, column: int) -> list[str]:
    return list(dict.fromkeys(name for row in table.rows for name in row[column].details))


def _value(cell: Cell) -> str:
    if isinstance(cell.value, float | int):
        return repr(cell.value)
    text = cell.text if cell.value is None else cell.value
    return "" if text == NONE else _plain(text)


def _plain(text: str) -> str:
    """Text that a spreadsheet takes for text: one that looks like a formula gets an apostrophe in front."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _with_small(text: str, cell: Cell) -> str:
    return f"{text} ({', '.join(_in_markdown(line) for line in cell.small.splitlines())})" if cell.small else text


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_markdown(text: str) -> str:
    """Text without power over the table or the page."""
    escaped = re.sub(r"([\\`*_\[\]|])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
