"""The report's Tables 3 and 4 with the run's figures beneath its own, cell by cell."""

from collections.abc import Mapping, Sequence
from typing import Any

from auscult.clips import MACHINE_TYPES
from auscult.recipe import COLUMNS
from auscult.report.data import Cell, Intervals, Table
from auscult.report.drawing import true_minus
from auscult.report.reference import TITLES, printed_table
from auscult.report.summary import of_mean, sort_protocols
from auscult.report.tables import FEWER, NONE, by_system, exact, named, titles, type_means, units
from auscult.runs.results import ResultRow
from auscult.scores.intervals import Interval
from auscult.scores.metrics import MEAN, METRICS, Figures, mean_figures

REPORT = "the report"

ROUNDING = 1e-4
"""Printed numbers have two decimals of a percent."""

_KINDS = (*MACHINE_TYPES, MEAN)

PRINTED = {name: METRICS[name] for name in ("auc", "pauc")}
"""The metrics that the report's tables have."""

THEIR_CHOICES = (
    "The report's numbers rest on its authors' choices on the labels of these development test clips; the row to hold "
    "against them is ours under the paper protocol, and members, pooling and denoising levels of copied recipes are "
    "such choices too."
)
OTHER_CLIPS = (
    "Ours are of other clips than DCASE 2020's development set: the differences show where a number belongs, and "
    "nothing about the system."
)


def comparison_tables(
    results: Sequence[ResultRow],
    mapping: Mapping[str, Mapping[str, str]],
    *,
    dcase: bool,
    intervals: Intervals | None = None,
) -> list[Table]:
    """The report's tables with rows of ours beneath each of its own, one per protocol, and the differences.

    Args:
        results: one row per machine, system and protocol.
        mapping: table -> column of the report -> our system, with tables and columns of `recipe.COLUMNS`; a column
            that is not named, or whose system has no results, stands without ours.
        dcase: whether the clips are DCASE 2020's development set; if not, the tables say that nothing is comparable.
        intervals: of the means over ids.

    Returns:
        The tables `"table3"` and `"table4"`, as far as the mapping names them and results are of the challenge's types.
    """
    ours = {system: type_means(types) for system, types in by_system(results).items()}
    ours = {
        system: {kind: figures for kind, figures in means.items() if kind in MACHINE_TYPES}
        for system, means in ours.items()
        if any(kind in MACHINE_TYPES for kind in means)
    }
    tables = []
    for name, columns in mapping.items():
        if any(system in columns.values() for system, _ in ours):
            tables.append(_table(name, columns, ours, dcase=dcase, intervals=intervals or {}))
    return tables


def _table(
    name: str,
    columns: Mapping[str, str],
    ours: Mapping[tuple[str, str], Mapping[str, Figures]],
    *,
    dcase: bool,
    intervals: Intervals,
) -> Table:
    rows: list[list[Cell]] = []
    starts, missing = [], []
    for column, title in COLUMNS[name].items():
        system, printed = columns.get(column, ""), printed_table(name)[column]
        protocols = sort_protocols(of for found, of in ours if found == system)
        starts.append(len(rows))
        rows.append([Cell(title), Cell(REPORT), *(cell for kind in _KINDS for cell in _printed(printed[kind]))])
        for protocol in protocols:
            interval = intervals.get((system, protocol), {})
            cells = [cell for kind in _KINDS for cell in _ours(ours[system, protocol], kind, printed[kind], interval)]
            words = "ours" if protocol == "none" else f"ours, {protocol}"
            rows.append([Cell("", value=title), Cell(words), *cells])
        missing += [] if protocols else [title]
    beside = "and ours beneath, in percent" if dcase else "and ours of other clips beneath, not comparable, in percent"
    return Table(
        caption=f"{TITLES[name]}: the report's {named(PRINTED)} {beside}",
        columns=["system", "source", *titles(PRINTED) * len(_KINDS)],
        groups=[("", 2), *((kind, len(PRINTED)) for kind in _KINDS)],
        rows=rows,
        texts=2,
        note=" ".join(_notes(name, rows, missing, dcase=dcase)),
        name=name,
        units=units(PRINTED),
        starts=starts[1:],
    )


def _notes(name: str, rows: Sequence[Sequence[Cell]], missing: Sequence[str], *, dcase: bool) -> list[str]:
    """What the reader of a table must know."""
    notes = [] if dcase else [OTHER_CLIPS]
    notes += ["Small: ours less the report's, in points.", THEIR_CHOICES]
    notes += [f"Not in this run: {', '.join(missing)}."] if missing else []
    if any(FEWER in cell.text for row in rows for cell in row):
        notes.append(f"{FEWER} A mean over fewer machine types than the report's; not comparable.")
    for column, title in COLUMNS[name].items():
        printed = printed_table(name)[column]
        said, real = printed[MEAN], mean_figures(printed[kind] for kind in MACHINE_TYPES)
        notes += [
            f"The printed mean {metric.title} of {title}, {_two(said[key])}, is not the mean of its column, "
            f"{_two(real[key])}."
            for key, metric in PRINTED.items()
            if abs(said[key] - real[key]) > ROUNDING
        ]
    return notes


def _printed(figures: Figures) -> list[Cell]:
    return [Cell(_two(figures[name]), value=exact(figures[name])) for name in PRINTED]


def _ours(means: Mapping[str, Figures], kind: str, printed: Figures, intervals: Mapping[str, Any]) -> list[Cell]:
    """Our figures with their differences; a mean over fewer types than the report's has none."""
    whole = kind != MEAN or len(means) == len(MACHINE_TYPES)
    figures = means.get(kind) if kind != MEAN else (mean_figures(means.values()) if means else None)
    if figures is None:
        return [Cell(NONE)] * len(PRINTED)
    interval: Interval = of_mean(intervals, kind) or {}
    return [_our(figures[name], printed[name] if whole else None, interval.get(name)) for name in PRINTED]


def _our(value: float, theirs: float | None, interval: tuple[float, float] | None) -> Cell:
    details: dict[str, float] = {}
    if theirs is not None:
        details["difference"] = round(exact(value) - exact(theirs), 10)
    if interval is not None:
        details |= {"low": exact(interval[0]), "high": exact(interval[1])}
    small = true_minus(f"{details['difference']:+.2f}") if theirs is not None else ""
    return Cell(_two(value) + ("" if theirs is not None else FEWER), small=small, value=exact(value), details=details)


def _two(fraction: float) -> str:
    return f"{100 * fraction:.2f}"
