"""Tables on the terminal: results, levels of denoisers, members of an export, recipes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from auscult.denoising.levels import Levels
    from auscult.export import ExportedMember
    from auscult.recipe import Recipe
    from auscult.runs.results import ResultRow
    from auscult.scores.metrics import Figures
    from auscult.scores.official import Official

FIGURES = 12
"""More figures than this do not fit 80 characters: six systems of two metrics."""


def results_tables(
    rows: "Sequence[ResultRow]",
    headline: tuple[str, str],
    title: str,
    *,
    inside: Collection[str] = (),
    official: "Mapping[tuple[str, str], Official] | None" = None,
) -> "list[Table]":
    """The metrics in percent: a table of all machines, or, where there are several protocols, one of means for each.

    Args:
        rows: one per machine, system and protocol; the mean over seeds.
        headline: name and protocol of the run's result, whose table is the last.
        title: of the tables.
        inside: members of ensembles, which are left out where there are too many systems; of the others as many as fit.
        official: name and protocol of systems that have an official score -> the score.
    """
    from auscult.scores.metrics import shown_metrics

    names = list(dict.fromkeys(row.system for row in rows))
    metrics = list(shown_metrics(row.figures for row in rows))
    if len(names) > (systems := max(1, FIGURES // max(len(metrics), 1))):
        names = [name for name in names if name not in inside]
        combined = {row.system for row in rows if row.protocol != "none"}
        alone = [name for name in names if name not in combined][: max(0, systems - len(combined))]
        names = [name for name in names if name in combined or name in alone]
        rows = [row for row in rows if row.system in names]
    protocols = list(dict.fromkeys(row.protocol for row in rows if row.protocol != "none"))
    if len(protocols) < 2:
        return [_with_official(_table(rows, names, metrics, title, every_id=True), rows, names, official or {})]
    protocols.sort(key=lambda protocol: protocol == headline[1])
    shown = {one: [row for row in rows if row.protocol in ("none", one)] for one in protocols}
    return [
        _with_official(
            _table(some, names, metrics, f"{title}, protocol {one}", every_id=False), some, names, official or {}
        )
        for one, some in shown.items()
    ]


def _table(
    rows: "Sequence[ResultRow]", systems: Sequence[str], metrics: Sequence[str], title: str, *, every_id: bool
) -> "Table":
    """A row per machine, if it is asked for, and per type; a column per system; means over ids and over types."""
    from rich.text import Text

    from auscult.scores.metrics import MEAN, mean_figures, sort_machine_types

    cells = {(row.machine_type, row.machine_id, row.system): row.figures for row in rows}
    table = grid(title, "machine", *(["id"] if every_id else []), numbers=systems)
    types = sort_machine_types(row.machine_type for row in rows)
    means: dict[tuple[str, str], Any] = {}
    for machine_type in types:
        name = Text(machine_type)
        for machine_id in sorted({row.machine_id for row in rows if row.machine_type == machine_type}):
            if every_id:
                found = [cells.get((machine_type, machine_id, system)) for system in systems]
                table.add_row(name, Text(machine_id), *(_cell(figures, metrics) for figures in found))
                name = Text()
        for system in systems:
            mine = [row for row in rows if (row.machine_type, row.system) == (machine_type, system)]
            if mine:
                means[machine_type, system] = mean_figures(row.figures for row in mine)
        style = "bold" if every_id else None
        heads = [name, MEAN] if every_id else [name]
        mean_cells = [_cell(means.get((machine_type, system)), metrics) for system in systems]
        table.add_row(*heads, *mean_cells, style=style, end_section=every_id)
    if len(types) > 1:
        for system in systems:
            if all((kind, system) in means for kind in types):
                means[MEAN, system] = mean_figures(means[kind, system] for kind in types)
        mean_cells = [_cell(means.get((MEAN, system)), metrics) for system in systems]
        table.add_row(*([MEAN, ""] if every_id else [MEAN]), *mean_cells, style="bold")
    return table


def _with_official(
    table: "Table",
    rows: "Sequence[ResultRow]",
    systems: Sequence[str],
    official: "Mapping[tuple[str, str], Official]",
) -> "Table":
    """The table with the official scores of its systems at the foot, and the intervals of these."""
    protocols = {row.system: row.protocol for row in rows}
    found = [official.get((system, protocols.get(system, ""))) for system in systems]
    heads = [""] * (len(table.columns) - len(systems) - 1)
    if any(found):
        table.add_section()
        table.add_row("official", *heads, *("-" if one is None else _percent(one.score) for one in found))
    if any(one and one.interval for one in found):
        bounds = (
            "-" if one is None or one.interval is None else "-".join(map(_percent, one.interval)) for one in found
        )
        table.add_row("95 %", *heads, *bounds)
    return table


def levels_table(levels: "Levels") -> "Table":
    """What each level of a denoiser gains."""
    from rich.table import Table

    title = f"{levels.machine_type}: gain in dB on mixtures that neither trained nor chose the levels"
    table = Table("level", "epoch", "SNR", "SI-SDR", title=title)
    for one in levels.levels:
        figures = (f"{one.gain.snr_db:+.2f}", f"{one.gain.si_sdr_db:+.2f}")
        table.add_row(str(one.level), str(one.epoch), *figures)
    return table


def figures_table(figures: dict[str, Any], title: str) -> "Table":
    """What `auscult.scores.metrics.evaluate` gives, as a table in percent."""
    from rich.text import Text

    from auscult.scores.metrics import MEAN, shown_metrics

    metrics = shown_metrics([figures[MEAN]])
    table = grid(title, "machine", "id", numbers=[" / ".join(metric.title for metric in metrics.values())])
    for machine_type, ids in figures.items():
        if machine_type == MEAN:
            table.add_row(MEAN, "", _exact(ids, metrics), style="bold")
            continue
        for machine_id, values in ids.items():
            last = machine_id == MEAN
            names = Text(machine_type), Text(machine_id)
            table.add_row(*names, _exact(values, metrics), style="bold" if last else None, end_section=last)
    return table


def decisions_table(found: "Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]") -> "Table":
    """What `auscult.scores.official.decision_figures` gives, as a table in percent."""
    from rich.text import Text

    table = grid("decisions, in percent", "machine", "id", numbers=["domain", "precision", "recall", "F1"])
    for machine_type, ids in found.items():
        for machine_id, domains in ids.items():
            for domain, figures in domains.items():
                values = (f"{100 * figures[name]:.2f}" for name in ("precision", "recall", "f1"))
                table.add_row(Text(machine_type), Text(machine_id), Text(domain), *values)
    return table


def official_line(found: "Official") -> str:
    """An official score, what it is made of, and its interval."""
    from auscult.scores.official import rule_name

    kind, figures = ("means", found.arithmetic) if found.rule == 2020 else ("harmonic means", found.harmonic)
    means = ", ".join(f"{name} {100 * value:.2f}" for name, value in figures.items())
    interval = "" if found.interval is None else " ({:.2f} to {:.2f}, 95 %)".format(*(100 * v for v in found.interval))
    return f"official score of {rule_name(found.rule)}: {100 * found.score:.2f}{interval}; {kind} {means}"


def exported_table(members: "Sequence[ExportedMember]") -> "Table":
    """A row for each member of a detector: its file, size, difference from torch, time."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("member", "graphs", "MB", "differs from torch by", "ms a window"):
        table.add_column(column, no_wrap=True)
    for member in members:
        numbers = (f"{member.megabytes:.2f}", f"{member.difference:.1g}", f"{member.milliseconds:.1f}")
        table.add_row(Text(member.name), Text(", ".join(step["file"] for step in member.steps)), *numbers)
    return table


def recipes_table(recipes: "dict[str, Recipe]") -> "Table":
    """The built-in recipes."""
    from rich.table import Table

    table = Table(box=None)
    for column in ("recipe", "members", "description"):
        table.add_column(column)
    for name, recipe in recipes.items():
        table.add_row(name, str(len(recipe.member)), recipe.description)
    return table


def grid(title: str, *names: str, numbers: Sequence[str]) -> "Table":
    """An empty table: columns of names, then columns of numbers, nothing but a space between them.

    Six systems fit 80 characters.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in names:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cell(figures: "Figures | None", metrics: Sequence[str]) -> str:
    if figures is None:
        return "-"
    first, *others = (_percent(figures.get(metric)) for metric in metrics)
    return " ".join([first, *(f"{text:>4}" for text in others)])


def _exact(figures: "Figures", metrics: Iterable[str]) -> str:
    return " / ".join(f"{100 * figures[name]:.2f}" if name in figures else "-" for name in metrics)


def _percent(fraction: float | None) -> str:
    """At most four characters, as a table of six systems demands."""
    if fraction is None:
        return "-"
    return "100" if fraction >= 0.9995 else f"{100 * fraction:.1f}"
