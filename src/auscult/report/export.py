"""Tables and figures of a report as files of their own, for spreadsheets, programs and papers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from auscult.files import replacing, saving
from auscult.report.data import Key, Plot, ReportData, Table
from auscult.report.figures import overview_plot, roc_plot, system_styles
from auscult.report.formats import table_csv, table_latex, table_markdown
from auscult.report.standalone import standalone_svg
from auscult.report.tables import headline_figures, in_words, machine_table, summary_table
from auscult.runs.results import ResultRow
from auscult.scores.metrics import sort_machine_types
from auscult.scores.table import ScoreTable


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
    return [_write(folder / f"{name}.svg", standalone_svg(plot)) for plot, name in zip(named, names, strict=True)]


def report_tables(data: ReportData) -> list[Table]:
    """The tables of a page that are worth a file: overview, machines of each type, further parts."""
    types = sort_machine_types(row.machine_type for row in data.results)
    summary = data.summary or ([summary_table(data.results, data.headline)] if data.results else [])
    machines = [machine_table(data.results, data.headline, name, clips=data.data_summary) for name in types]
    return [*summary, *machines, *(table for section in data.sections for table in section.tables)]


def report_figures(data: ReportData) -> list[Plot]:
    """The plots of a page that are worth a file: overview, ROC curves, those of further parts that have a name."""
    styles = system_styles(data)
    figures = []
    if headline_figures(data):
        keys = [Key(f"curve {style}", system) for system, style in styles.items()]
        figures.append(replace(overview_plot(data), keys=keys, name="overview"))
    figures += roc_figures(data.tables, styles, data.results, data.headline)
    return figures + [plot for section in data.sections for plot in section.plots if plot.name]


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
    figures = {(row.machine_type, row.machine_id): row.figures for row in reversed(results) if row.system == headline}
    machines = dict.fromkeys((kind, id_) for types in groups.values() for kind, ids in types.items() for id_ in ids)
    plots = []
    for kind, id_ in machines:
        own = {system: types[kind][id_] for system, types in groups.items() if id_ in types.get(kind, {})}
        found = figures.get((kind, id_))
        note = f"{headline}: {in_words(found)}" if found else ""
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
