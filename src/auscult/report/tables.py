"""The tables of the page: systems by machine types, systems by machine ids, clips by score, numbers of clips."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from auscult.report.data import Cell, DataRow, ReportData, Section, System, Table
from auscult.report.drawing import true_minus
from auscult.runs.results import ResultRow
from auscult.scores.intervals import Interval
from auscult.scores.metrics import Figures, Metric, mean_figures, shown_metrics, sort_machine_types
from auscult.scores.table import ScoreRow, ScoreTable

NONE = "\N{EN DASH}"
FEWER = "†"

ALIKE = 0.02
"""Domains whose AUCs differ by less share the errors alike."""


def titles(metrics: Mapping[str, Metric]) -> list[str]:
    """The headings of their columns."""
    return [metric.title for metric in metrics.values()]


def named(metrics: Mapping[str, Metric]) -> str:
    """Metrics in words: `"AUC and pAUC"`."""
    *first, last = titles(metrics) or ["metrics"]
    return f"{', '.join(first)} and {last}" if first else last


def in_words(figures: Figures) -> str:
    """The metrics of one machine: `"AUC 81.0, pAUC 66.5"`."""
    shown = shown_metrics([figures])
    return ", ".join(f"{metric.title} {percent(figures[name])}" for name, metric in shown.items())


def domains_in_words(figures: Figures) -> str:
    """Which domain carries the errors, a sentence; nothing where there are not both.

    >>> domains_in_words({"auc_source": 0.75, "auc_target": 0.5}).partition(":")[0]
    'The target domain carries most errors'
    """
    if not {"auc_source", "auc_target"} <= figures.keys():
        return ""
    errors = {domain: 1 - figures[f"auc_{domain}"] for domain in ("source", "target")}
    most = max(errors, key=lambda domain: errors[domain])
    low, high = (f"{percent(share)}\N{NO-BREAK SPACE}%" for share in sorted(errors.values()))
    pairs = f"a normal clip scores above an anomaly in {high} of pairs, in the other in {low}."
    if max(errors.values()) - min(errors.values()) < ALIKE:
        return f"Both domains carry the errors alike: in the {most} domain {pairs}"
    return f"The {most} domain carries most errors: {pairs}"


def units(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Of the columns that hold figures."""
    return dict.fromkeys(titles(metrics), "%")


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
        types.setdefault(row.machine_type, {})[row.machine_id] = row.figures
    return found


def type_means(types: dict[str, dict[str, Figures]]) -> dict[str, Figures]:
    """Machine type -> mean over its ids."""
    return {machine_type: mean_figures(ids.values()) for machine_type, ids in types.items()}


def headline_figures(data: ReportData) -> dict[str, dict[str, Figures]]:
    """Machine type -> machine id -> figures of the run's final system, under its first protocol."""
    found = by_system(data.results)
    return next((types for (system, _), types in found.items() if system == data.headline), {})


def summary_table(results: Sequence[ResultRow], headline: str) -> Table:
    """Every system's mean metrics per machine type, and the mean over types; the row of `headline` is marked."""
    types = sort_machine_types(row.machine_type for row in results)
    values = {system: type_means(figures) for system, figures in by_system(results).items()}
    return _figure_table(headline, values, types, caption="{} in percent, mean over the machines of each type")


def machine_table(
    results: Sequence[ResultRow], headline: str, machine_type: str, *, clips: Sequence[DataRow] = ()
) -> Table:
    """Every system's metrics per machine id of one type, their mean, and, if given, the numbers of test clips."""
    results = [row for row in results if row.machine_type == machine_type]
    ids = sorted({row.machine_id for row in results})
    values = {system: types[machine_type] for system, types in by_system(results).items()}
    counts = {row.machine_id: (row.normal, row.anomaly) for row in clips if row.machine_type == machine_type}
    foot = []
    if counts:
        known = [counts.get(id_, (0, 0)) for id_ in ids]
        totals = (sum(normal for normal, _ in known), sum(anomaly for _, anomaly in known))
        foot = [f"{normal} + {anomaly}" for normal, anomaly in [*known, totals]]
    table = _figure_table(headline, values, ids, caption="{} in percent, per machine", foot=foot)
    table = replace(table, caption=f"{machine_type}: {table.caption}")
    return replace(table, name=f"machines_{machine_type}")


def evaluation_section(results: Sequence[ResultRow], systems: Sequence[str]) -> Section:
    """The part of the page on the evaluation machines: the summary, then a table per machine type.

    Args:
        results: not empty.
        systems: in order, the run's final one last.
    """
    order = {name: place for place, name in enumerate(systems)}
    rows = sorted(results, key=lambda row: order[row.system])
    types = sort_machine_types(row.machine_type for row in rows)
    tables = [summary_table(rows, systems[-1]), *(machine_table(rows, systems[-1], name) for name in types)]
    tables = [replace(table, name=f"evaluation_{table.name}") for table in tables]
    return Section("The evaluation machines", tables=tables)


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


def figure_cells(
    figures: Figures | None,
    metrics: Iterable[str],
    *,
    interval: Interval | None = None,
    spread: Figures | None = None,
    partial: bool = False,
) -> list[Cell]:
    """A cell per metric, in percent, with the interval and the spread in small type.

    Args:
        figures: `None` for dashes.
        metrics: their names.
        interval: over clips.
        spread: standard deviation over seeds.
        partial: marks a mean over fewer columns than others.
    """
    figures, interval, spread = figures or {}, interval or {}, spread or {}
    return [
        _figure_cell(figures[metric], interval.get(metric), spread.get(metric), partial=partial)
        if metric in figures
        else Cell(NONE)
        for metric in metrics
    ]


def with_best(rows: Sequence[Sequence[Cell]], *, first: int) -> list[list[Cell]]:
    """The rows with the highest figure of each column from `first` in bold, if there is a choice.

    Dashes and means over fewer columns than others are out of it.
    """
    columns = list(zip(*rows, strict=True))
    bold = []
    for column in columns[first:]:
        rivals = [cell.text for cell in column if cell.text != NONE and FEWER not in cell.text]
        bold.append(max(rivals, key=float) if len(rivals) > 1 else None)
    return [
        [*row[:first], *(replace(cell, best=cell.text == best) for cell, best in zip(row[first:], bold, strict=True))]
        for row in rows
    ]


def _figure_cell(value: float, interval: tuple[float, float] | None, deviation: float | None, *, partial: bool) -> Cell:
    small: list[str] = []
    details: dict[str, float] = {}
    if interval is not None:
        low, high = interval
        small.append(f"{percent(low)}\N{EN DASH}{percent(high)}")
        details |= {"low": exact(low), "high": exact(high)}
    if deviation is not None:
        small.append(f"\N{PLUS-MINUS SIGN}{percent(deviation)}")
        details["sd"] = exact(deviation)
    text = percent(value) + (FEWER if partial else "")
    return Cell(text, small="\n".join(small), value=exact(value), details=details)


def _figure_table(
    headline: str,
    values: dict[System, dict[str, Figures]],
    names: Sequence[str],
    *,
    caption: str,
    foot: Sequence[str] = (),
) -> Table:
    """A row per system; a column per metric for each name and for the mean; the best of each column is bold."""
    systems = list(values)
    most = max((len(figures) for figures in values.values()), default=0)
    metrics = shown_metrics(one for figures in values.values() for one in figures.values())
    rows = []
    for (system, protocol), figures in values.items():
        cells = [cell for name in names for cell in figure_cells(figures.get(name), metrics)]
        mean = figure_cells(mean_figures(figures.values()), metrics, partial=len(figures) < most)
        rows.append([Cell(system), Cell(protocol), *cells, *mean])
    partial = any(len(figures) < most for figures in values.values())
    marked = next((place for place, (system, _) in enumerate(systems) if system == headline), None)
    width = len(metrics)
    counts = [Cell("test clips: normal + anomalous", span=2), *(Cell(text, span=width) for text in foot)]
    return Table(
        caption=caption.format(named(metrics)),
        columns=["system", "protocol", *titles(metrics) * (len(names) + 1)],
        groups=[("", 2), *((name, width) for name in (*names, "mean"))],
        rows=with_best(rows, first=2),
        texts=2,
        foot=[counts] if foot else [],
        marked=marked if len(systems) > 1 else None,
        note=f"{FEWER} A mean over fewer columns than the others; not comparable." if partial else "",
        name="machine_types",
        units=units(metrics),
    )
