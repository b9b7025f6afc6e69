"""The run's main tables: every system under every protocol, with intervals over clips and the spread over seeds."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from auscult.report.data import Cell, Intervals, Spreads, System, Table
from auscult.report.tables import FEWER, by_system, figure_cells, named, titles, type_means, units, with_best
from auscult.runs.results import PROTOCOLS, ResultRow
from auscult.scores.metrics import MEAN, Figures, Metric, mean_figures, shown_metrics, sort_machine_types

PAPER = "paper"
"""The protocol that chose on the labels by which it is judged: never set in bold among the others."""

SINGLE = "single model"
"""Heading of the figures under the protocol `"none"`."""

MANY = 12
"""With more systems than this, single models stand in a table of their own, folded away."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean figures of some systems, and what goes with them.

    Attributes:
        figures: system -> machine type -> mean over ids.
        metrics: those that have columns.
        types: machine types, in order.
        headline: the run's final system and its protocol.
        intervals: over clips.
        spreads: over seeds.
    """

    figures: Mapping[System, Mapping[str, Figures]]
    metrics: Mapping[str, Metric]
    types: Sequence[str]
    headline: System
    intervals: Intervals
    spreads: Spreads

    def cells(self, system: System, machine_type: str) -> list[Cell]:
        """The cells of a system's metrics for a machine type, or for the mean over types."""
        means = self.figures.get(system, {})
        figures = means.get(machine_type)
        if machine_type == MEAN:
            figures = mean_figures(means.values()) if means else None
        return figure_cells(
            figures,
            self.metrics,
            interval=of_mean(self.intervals.get(system, {}), machine_type),
            spread=of_mean(self.spreads.get(system, {}), machine_type),
            partial=machine_type == MEAN and len(means) < len(self.types),
        )


def protocol_tables(
    results: Sequence[ResultRow],
    headline: System,
    *,
    intervals: Intervals | None = None,
    spreads: Spreads | None = None,
    always: Collection[str] = (),
) -> list[Table]:
    """Every system's mean figures: over all types with the protocols side by side, then type by type.

    Args:
        results: one row per machine, system and protocol; the mean over seeds where there are several.
        headline: the run's final system, which stands first, and its protocol, whose row is marked.
        intervals: of the means.
        spreads: of the means.
        always: single models that are never folded away, such as a baseline.

    Returns:
        The tables `"summary"` and `"machine_types"` and, where there are many systems, `"members"`, a row per single
        model, folded away; none without results.
    """
    figures = {system: type_means(types) for system, types in sorted_systems(by_system(results), headline[0]).items()}
    if not figures:
        return []
    types = sort_machine_types(row.machine_type for row in results)
    single = [system for system in figures if system[1] == "none" and system[0] not in {headline[0], *always}]
    folded = single if len({name for name, _ in figures}) > MANY and len(single) < len(figures) else []
    main = Summary(
        {system: means for system, means in figures.items() if system not in folded},
        shown_metrics(one for means in figures.values() for one in means.values()),
        types,
        headline,
        intervals or {},
        spreads or {},
    )
    tables = [side_by_side(main), type_by_type(main)]
    if folded:
        rest = replace(main, figures={system: figures[system] for system in folded})
        tables.append(replace(type_by_type(rest), name="members", fold=f"{len(folded)} single models"))
    return tables


def side_by_side(summary: Summary) -> Table:
    """A row per system, a column per protocol and metric: the means over machine types."""
    protocols = sort_protocols(protocol for _, protocol in summary.figures)
    names = list(dict.fromkeys(name for name, _ in summary.figures))
    rows = [
        [Cell(name), *(cell for protocol in protocols for cell in summary.cells((name, protocol), MEAN))]
        for name in names
    ]
    over = f"{len(summary.types)} machine types" if len(summary.types) > 1 else summary.types[0]
    metrics = summary.metrics
    columns = {1: "one column", 2: "one pair of columns"}.get(len(metrics), f"{len(metrics)} columns")
    return Table(
        caption=f"{named(metrics)} in percent, mean over {over}; {columns} for each way of choosing",
        columns=["system", *titles(metrics) * len(protocols)],
        groups=[("", 1), *((SINGLE if protocol == "none" else protocol, len(metrics)) for protocol in protocols)],
        rows=with_best(rows, first=1),
        marked=names.index(summary.headline[0]) if summary.headline[0] in names and len(names) > 1 else None,
        note=_note(rows),
        name="summary",
        units=units(metrics),
    )


def type_by_type(summary: Summary) -> Table:
    """A row per system and protocol, a column per machine type and metric: the means over ids."""
    systems, metrics = list(summary.figures), summary.metrics
    rows = [[Cell(name), Cell(protocol), *_across(summary, (name, protocol))] for name, protocol in summary.figures]
    honest = [place for place, (_, protocol) in enumerate(systems) if protocol != PAPER]
    best = with_best([rows[place] for place in honest], first=2)
    for place, row in zip(honest, best, strict=True):
        rows[place] = row
    return Table(
        caption=f"{named(metrics)} in percent, mean over the machines of each type",
        columns=["system", "protocol", *titles(metrics) * (len(summary.types) + 1)],
        groups=[("", 2), *((name, len(metrics)) for name in (*summary.types, MEAN))],
        rows=rows,
        texts=2,
        marked=systems.index(summary.headline) if summary.headline in systems and len(systems) > 1 else None,
        note=_note(rows, aside=1 < len(honest) < len(systems)),
        name="machine_types",
        units=units(metrics),
        starts=[place for place, (name, _) in enumerate(systems) if place and name != systems[place - 1][0]],
    )


def sorted_systems(figures: Mapping[System, Value], headline: str) -> dict[System, Value]:
    """The final system first, then ensembles, then single models; protocols in order; otherwise as given."""
    names = list(dict.fromkeys(name for name, _ in figures))
    combined = {name for name, protocol in figures if protocol != "none"}
    names.sort(key=lambda name: (name != headline, name not in combined))
    found = {}
    for name in names:
        for protocol in sort_protocols(protocol for system, protocol in figures if system == name):
            found[name, protocol] = figures[name, protocol]
    return found


def sort_protocols(protocols: Iterable[str]) -> list[str]:
    """Protocols from the one that saw least to the one that saw most, then others by name."""
    order = {name: place for place, name in enumerate(PROTOCOLS)}
    return sorted(set(protocols), key=lambda name: (order.get(name, len(order)), name))


def of_mean(figures: Mapping[str, Any], machine_type: str) -> Any:
    """What belongs to the mean of a machine type, or to the mean over types; `None` if there is nothing."""
    return figures.get(MEAN) if machine_type == MEAN else figures.get(machine_type, {}).get(MEAN)


def _across(summary: Summary, system: System) -> list[Cell]:
    return [cell for name in (*summary.types, MEAN) for cell in summary.cells(system, name)]


def _note(rows: Sequence[Sequence[Cell]], *, aside: bool = False) -> str:
    """What the small type, the bold type and the signs mean, as far as they occur."""
    cells = [cell for row in rows for cell in row]
    parts = []
    seeds = any("sd" in cell.details for cell in cells)
    if any("low" in cell.details for cell in cells):
        parts.append(f"Small: 95 % interval over resampled clips{', of the first seed' if seeds else ''}.")
    if seeds:
        parts.append("Figures are means over seeds; \N{PLUS-MINUS SIGN}: standard deviation over them.")
    if aside:
        parts.append("Bold: the best, rows of the paper protocol aside, which chose on the labels that judge them.")
    if any(FEWER in cell.text for cell in cells):
        parts.append(f"{FEWER} A mean over fewer machine types than the others; not comparable.")
    return " ".join(parts)
