"""The tables of the page: systems by machine types, systems by machine ids, clips by score, numbers of clips."""

from collections.abc import Iterable, Sequence

from auscult.metrics import Figures, mean_figures, sort_machine_types
from auscult.report.axes import true_minus
from auscult.report.data import Cell, DataRow, ReportData, ResultRow, Table
from auscult.scores import ScoreRow, ScoreTable

NONE = "\N{EN DASH}"
FEWER = "†"

System = tuple[str, str]
"""A system and its protocol."""


def percent(fraction: float | None) -> str:
    """A fraction of 1 in percent with one decimal, or a dash.

    >>> percent(0.74999), percent(None)
    ('75.0', '–')
    """
    return NONE if fraction is None else f"{100 * fraction:.1f}"


def by_system(results: Iterable[ResultRow]) -> dict[System, dict[str, dict[str, Figures]]]:
    """(system, protocol) -> machine type -> machine id -> figures, without the machines that have none."""
    found: dict[System, dict[str, dict[str, Figures]]] = {}
    for row in results:
        types = found.setdefault((row.system, row.protocol), {})
        if row.auc is not None and row.pauc is not None:
            types.setdefault(row.machine_type, {})[row.machine_id] = {"auc": row.auc, "pauc": row.pauc}
    return found


def type_means(types: dict[str, dict[str, Figures]]) -> dict[str, Figures]:
    """Machine type -> mean over its ids."""
    return {machine_type: mean_figures(ids.values()) for machine_type, ids in types.items()}


def headline_figures(data: ReportData) -> dict[str, dict[str, Figures]]:
    """Machine type -> machine id -> figures of the run's final system, under its first protocol."""
    found = by_system(data.results)
    return next((types for (system, _), types in found.items() if system == data.headline), {})


def summary_table(data: ReportData) -> Table:
    """Every system's mean AUC and pAUC per machine type, and the mean over types."""
    found = by_system(data.results)
    types = sort_machine_types(row.machine_type for row in data.results)
    values = {system: type_means(figures) for system, figures in found.items()}
    return _figure_table(data, values, types, caption="AUC and pAUC in percent, mean over the machines of each type")


def machine_table(data: ReportData, machine_type: str) -> Table:
    """Every system's AUC and pAUC per machine id of one type, their mean, and the numbers of test clips."""
    results = [row for row in data.results if row.machine_type == machine_type]
    ids = sorted({row.machine_id for row in results})
    values = {system: types.get(machine_type, {}) for system, types in by_system(results).items()}
    counts = {row.machine_id: row for row in data.data_summary if row.machine_type == machine_type}
    foot = [Cell("test clips: normal + anomalous", span=2)]
    for id_ in ids:
        row = counts.get(id_)
        foot.append(Cell(f"{row.normal} + {row.anomaly}" if row else NONE, span=2))
    foot.append(Cell(f"{_total(counts, ids, 'normal')} + {_total(counts, ids, 'anomaly')}" if counts else NONE, span=2))
    caption = f"{machine_type}: AUC and pAUC in percent, per machine"
    return _figure_table(data, values, ids, caption=caption, foot=foot)


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
    data: ReportData,
    values: dict[System, dict[str, Figures]],
    names: Sequence[str],
    *,
    caption: str,
    foot: Sequence[Cell] = (),
) -> Table:
    """A table of two columns, AUC and pAUC, per name and for the mean; the best of each column is bold."""
    most = max((len(figures) for figures in values.values()), default=0)
    complete = {system for system, figures in values.items() if figures and len(figures) == most}
    columns: list[list[Cell]] = []
    for name in [*names, None]:
        for metric in ("auc", "pauc"):
            texts = {system: percent(_value(figures, name, metric)) for system, figures in values.items()}
            rivals = [text for system, text in texts.items() if text != NONE and (name or system in complete)]
            best = max(rivals, key=float) if len(rivals) > 1 else None
            columns.append(
                [
                    Cell(text + (FEWER if fewer and text != NONE else ""), best=text == best and not fewer)
                    for system, text in texts.items()
                    for fewer in [name is None and system not in complete]
                ]
            )
    systems = list(values)
    marked = next((place for place, (system, _) in enumerate(systems) if system == data.headline), None)
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
        note=f"{FEWER} mean over fewer columns than the others; not comparable." if len(complete) < len(values) else "",
    )


def _value(figures: dict[str, Figures], name: str | None, metric: str) -> float | None:
    chosen = figures.get(name) if name is not None else mean_figures(figures.values()) if figures else None
    return None if chosen is None else chosen["auc"] if metric == "auc" else chosen["pauc"]


def _total(counts: dict[str, DataRow], ids: Sequence[str], name: str) -> int:
    return sum(int(getattr(counts[id_], name)) for id_ in ids if id_ in counts)
