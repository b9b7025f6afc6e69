"""The tables of the page: systems by machine types, systems by machine ids, clips by score, numbers of clips."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from auscult.report.data import Cell, DataRow, ReportData, Section, System, Table
from auscult.report.drawing import true_minus
from auscult.runs.results import ResultRow
from auscult.scores.metrics import Figures, mean_figures, sort_machine_types
from auscult.scores.table import ScoreRow, ScoreTable

NONE = "\N{EN DASH}"
FEWER = "†"

UNITS = {"AUC": "%", "pAUC": "%"}
"""Of the columns that hold figures."""


def percent(fraction: float | None) -> str:
    """A fraction of 1 in percent with one decimal, or a dash.

    >>> percent(0.74999), percent(None)
    ('75.0', '–')
    """
    return NONE if fraction is None else f"{100 * fraction:.1f}"


def exact(fraction: float) -> float:
    """A fraction of 1 in percent, in full but for the noise of floating point.

    >>> exact(0.57)
    57.0
    """
    return round(100 * fraction, 10)


def by_system(results: Iterable[ResultRow]) -> dict[System, dict[str, dict[str, Figures]]]:
    """(system, protocol) -> machine type -> machine id -> figures."""
    found: dict[System, dict[str, dict[str, Figures]]] = {}
    for row in results:
        types = found.setdefault((row.system, row.protocol), {})
        types.setdefault(row.machine_type, {})[row.machine_id] = {"auc": row.auc, "pauc": row.pauc}
    return found


def type_means(types: dict[str, dict[str, Figures]]) -> dict[str, Figures]:
    """Machine type -> mean over its ids."""
    return {machine_type: mean_figures(ids.values()) for machine_type, ids in types.items()}


def headline_figures(data: ReportData) -> dict[str, dict[str, Figures]]:
    """Machine type -> machine id -> figures of the run's final system, under its first protocol."""
    found = by_system(data.results)
    return next((types for (system, _), types in found.items() if system == data.headline), {})


def summary_table(results: Sequence[ResultRow], headline: str) -> Table:
    """Every system's mean AUC and pAUC per machine type, and the mean over types; the row of `headline` is marked."""
    types = sort_machine_types(row.machine_type for row in results)
    values = {system: type_means(figures) for system, figures in by_system(results).items()}
    return _figure_table(
        headline, values, types, caption="AUC and pAUC in percent, mean over the machines of each type"
    )


def machine_table(
    results: Sequence[ResultRow], headline: str, machine_type: str, *, clips: Sequence[DataRow] = ()
) -> Table:
    """Every system's AUC and pAUC per machine id of one type, their mean, and, if given, the numbers of test clips."""
    results = [row for row in results if row.machine_type == machine_type]
    ids = sorted({row.machine_id for row in results})
    values = {system: types[machine_type] for system, types in by_system(results).items()}
    counts = {row.machine_id: (row.normal, row.anomaly) for row in clips if row.machine_type == machine_type}
    foot = []
    if counts:
        known = [counts.get(id_, (0, 0)) for id_ in ids]
        totals = (sum(normal for normal, _ in known), sum(anomaly for _, anomaly in known))
        foot = [Cell("test clips: normal + anomalous", span=2)]
        foot += [Cell(f"{normal} + {anomaly}", span=2) for normal, anomaly in [*known, totals]]
    caption = f"{machine_type}: AUC and pAUC in percent, per machine"
    table = _figure_table(headline, values, ids, caption=caption, foot=foot)
    return replace(table, name=f"machines_{machine_type}")


def results_section(
    title: str, results: Sequence[ResultRow], systems: Sequence[str], *, prefix: str = "evaluation"
) -> Section:
    """A part of the page with further results: the summary, then a table per machine type.

    Args:
        title: of the part.
        results: not empty.
        systems: in order, the run's final one last.
        prefix: of the names of the exported tables.
    """
    order = {name: place for place, name in enumerate(systems)}
    rows = sorted(results, key=lambda row: order[row.system])
    types = sort_machine_types(row.machine_type for row in rows)
    tables = [summary_table(rows, systems[-1]), *(machine_table(rows, systems[-1], name) for name in types)]
    return Section(title, tables=[replace(table, name=f"{prefix}_{table.name}") for table in tables])


def ranking(table: ScoreTable, machine_type: str) -> list[ScoreRow]:
    """The clips of a machine type, the highest score first; ties in the order of the table."""
    return sorted((row for row in table if row.machine_type == machine_type), key=lambda row: -row.score)


def ranking_table(data: ReportData, machine_type: str, *, limit: int = 10) -> Table:
    """The clips of a machine type that the run's final system finds most anomalous."""
    rows = ranking(data.tables[data.headline], machine_type)
    return Table(
        caption=f"{machine_type}: highest scores of {data.headline}",
        columns=["clip", "machine", "label", "rank", "score"],
        rows=[
            [
                Cell(row.file),
                Cell(row.machine_id),
                Cell(row.label or "unknown", label=True),
                Cell(str(place)),
                Cell(number(row.score)),
            ]
            for place, row in enumerate(rows[:limit], start=1)
        ],
        texts=3,
        note=f"{len(rows)} test clips in all." if len(rows) > limit else "",
    )


def data_table(rows: Sequence[DataRow]) -> Table:
    """Numbers of clips per machine."""
    order = sort_machine_types(row.machine_type for row in rows)
    ordered = sorted(rows, key=lambda row: (order.index(row.machine_type), row.machine_id))
    unknown = any(row.unlabelled for row in rows)

    def cells(heading: Sequence[str], counted: Sequence[DataRow]) -> list[Cell]:
        names = ["train", "normal", "anomaly", *(["unlabelled"] if unknown else [])]
        sums = [sum(getattr(row, name) for row in counted) for name in names]
        return [Cell(text) for text in heading] + [Cell(f"{count:,}" if count else NONE) for count in sums]

    return Table(
        caption="Numbers of clips",
        columns=["machine type", "machine", "training", "normal", "anomalous", *(["unlabelled"] if unknown else [])],
        groups=[("", 3), ("test", 3 if unknown else 2)],
        rows=[cells([row.machine_type, row.machine_id], [row]) for row in ordered],
        foot=[cells(["all", ""], ordered)],
        texts=2,
    )


def number(value: float) -> str:
    """A score in four significant digits, with a true minus sign.

    >>> number(-12.34567), number(0.0000123), number(123456.0)
    ('−12.35', '1.23e−05', '1.235e+05')
    """
    return true_minus(f"{value:.4g}")


def _figure_table(
    headline: str,
    values: dict[System, dict[str, Figures]],
    names: Sequence[str],
    *,
    caption: str,
    foot: Sequence[Cell] = (),
) -> Table:
    """A row per system; two columns, AUC and pAUC, per name and for the mean; the best of each column is bold."""
    systems = list(values)
    most = max((len(figures) for figures in values.values()), default=0)
    partial = [system for system in systems if len(values[system]) < most]
    out = [systems.index(system) for system in partial]
    columns = []
    for name in names:
        figures = [values[system].get(name) for system in systems]
        columns += [_bold_best(figures, "auc"), _bold_best(figures, "pauc")]
    means = [mean_figures(values[system].values()) for system in systems]
    columns += [_bold_best(means, "auc", without=out), _bold_best(means, "pauc", without=out)]
    marked = next((place for place, (system, _) in enumerate(systems) if system == headline), None)
    return Table(
        caption=caption,
        columns=["system", "protocol", *["AUC", "pAUC"] * (len(names) + 1)],
        groups=[("", 2), *((name, 2) for name in names), ("mean", 2)],
        rows=[
            [Cell(system), Cell(protocol), *(column[place] for column in columns)]
            for place, (system, protocol) in enumerate(systems)
        ],
        texts=2,
        foot=[foot] if foot else [],
        marked=marked if len(systems) > 1 else None,
        note=f"{FEWER} A mean over fewer columns than the others; not comparable." if partial else "",
        name="machine_types",
        units=UNITS,
    )


def _bold_best(
    figures: Sequence[Figures | None], metric: Literal["auc", "pauc"], *, without: Sequence[int] = ()
) -> list[Cell]:
    """Cells of a column; the highest are bold if there is a choice. Those at the places `without` are out of it."""
    texts = [percent(None if row is None else row[metric]) for row in figures]
    rivals = [text for place, text in enumerate(texts) if place not in without and text != NONE]
    best = max(rivals, key=float) if len(rivals) > 1 else None
    return [
        Cell(
            text + FEWER if place in without else text,
            best=place not in without and text == best,
            value=None if row is None else exact(row[metric]),
        )
        for place, (text, row) in enumerate(zip(texts, figures, strict=True))
    ]
