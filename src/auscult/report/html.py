"""From the data of a run to its page: chooses what stands where, and fills the template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count

from auscult import __version__
from auscult.report.data import DataRow, ReportData, Table
from auscult.report.drawing import Plot, embedded
from auscult.report.evidence import Card, cards
from auscult.report.figures import losses, overview, roc_curves, score_histogram, system_styles
from auscult.report.tables import (
    data_table,
    domains_in_words,
    headline_figures,
    in_words,
    machine_table,
    number,
    percent,
    ranking_table,
    summary_table,
    type_means,
)
from auscult.scores.metrics import Figures, mean_figures, sort_machine_types
from auscult.scores.official import RULES
from auscult.scores.table import ScoreTable

FEW_NORMALS = 20
"""Below this, one normal clip moves an AUC by up to five points or more."""

OPEN_TRAININGS = 6
"""With more members than this, their training curves are folded away."""


@dataclass(frozen=True, slots=True)
class TypeSection:
    """What the page says about one machine type.

    Attributes:
        name: of the type.
        mean: AUC and pAUC of the final system, if there are any.
        table: per machine, if there are results.
        curves: machine id -> its ROC curves, `None` without labels.
        histograms: system -> machine id -> its scores, one of each domain; the final system first.
        domains: which of them carries the errors, a sentence; empty without them.
        ranking: clips by score.
        labelled: whether any of its clips has a label.
        cards: evidence, a card per clip.
    """

    name: str
    mean: Figures | None
    table: Table | None
    curves: Mapping[str, Plot | None]
    histograms: Mapping[str, Mapping[str, Sequence[Plot]]]
    domains: str
    ranking: Table | None
    labelled: bool
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True)
class Page:
    """A report that is drawn but not yet written.

    Attributes:
        data: that it shows.
        overview: `None` where nothing has an AUC.
        types: its parts, one per machine type.
        trainings: curves of the members.
        summary: tables of the overview.
    """

    data: ReportData
    overview: Plot | None
    types: Sequence[TypeSection]
    trainings: Sequence[Plot]
    summary: Sequence[Table]

    @property
    def tables(self) -> list[Table]:
        """Those that are worth a file: overview, machines of each type, further parts."""
        machines = [kind.table for kind in self.types if kind.table is not None]
        return [*self.summary, *machines, *(table for section in self.data.sections for table in section.tables)]

    @property
    def figures(self) -> list[Plot]:
        """Those that are worth a file: overview, ROC curves, those of further parts."""
        curves = [plot for kind in self.types for plot in kind.curves.values()]
        further = [plot for section in self.data.sections for plot in section.plots]
        return [plot for plot in (self.overview, *curves, *further) if plot is not None]


def laid_out(data: ReportData) -> Page:
    """Draw all figures and tables of a page."""
    tables = {system: table.groups() for system, table in data.tables.items()}
    names = [name for groups in tables.values() for name in groups]
    names += [row.machine_type for row in data.results] + [clip.machine_type for clip in data.evidence]
    evidence = cards(data.evidence)
    return Page(
        data=data,
        overview=overview(data) if headline_figures(data) else None,
        types=[
            _machine_type(
                data, name, {system: groups[name] for system, groups in tables.items() if name in groups}, evidence
            )
            for name in sort_machine_types(names)
        ],
        trainings=[plot for member, history in data.histories.items() if (plot := losses(member, history))],
        summary=data.summary or ([summary_table(data.results, data.headline)] if data.results else []),
    )


def render(page: Page) -> str:
    """The page as one HTML document that needs nothing else."""
    data = page.data
    return filled(
        (files("auscult.report") / "template.html.j2").read_text(encoding="utf-8"),
        page=page,
        data=data,
        version=__version__,
        verdict=verdict(data),
        notes=[*data.notes, *few_clips(data)],
        overall=overall(data),
        domains=domains_in_words(overall(data) or {}),
        rule=RULES[data.official.rule] if data.official else "",
        styles=system_styles(data),
        trainings_open=len(page.trainings) <= OPEN_TRAININGS,
        clips=data_table(data.data_summary),
        counts=_counts(data),
    )


def filled(template: str, **values: object) -> str:
    """A page from a template that knows the macros, `style` and `script`, besides its own values."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def text(name: str) -> str:
        return (files("auscult.report") / name).read_text(encoding="utf-8")

    numbers = count(1)
    environment = Environment(
        loader=FunctionLoader(text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": percent,
        "number": number,
        "svg": lambda plot: embedded(plot, f"f{next(numbers)}"),
    }
    return environment.from_string(template).render(style=text("style.css"), script=text("player.js"), **values)


def overall(data: ReportData) -> Figures | None:
    """The final system's mean over machine types; `None` where nothing has an AUC."""
    found = headline_figures(data)
    return mean_figures(type_means(found).values()) if found else None


def verdict(data: ReportData) -> str:
    """The page's first sentence."""
    mean = overall(data)
    if mean is None:
        ranked = sum(len(table) for system, table in data.tables.items() if system == data.headline)
        return f"Without labels there is no AUC; {data.headline} ranks {_count(ranked, 'test clip')} by score."
    means, rows = type_means(headline_figures(data)), judged(data)
    clips = _count(sum(row.normal + row.anomaly for row in rows), "test clip")
    kinds = f"of type {next(iter(means))}" if len(means) == 1 else f"of {len(means)} types"
    protocol = next(row.protocol for row in data.results if row.system == data.headline)
    chosen = "" if protocol in ("none", "uniform") else f", under the protocol {protocol},"
    text = f"Over {clips} of {_count(len(rows), 'machine')} {kinds}, {data.headline}{chosen} reaches a mean AUC of "
    text += f"{_sign(mean['auc'])} and a mean pAUC of {_sign(mean['pauc'])}"
    if data.official:
        text += f" (official score {_sign(data.official.score)})"
    if len(means) == 1:
        return f"{text}."
    ordered = sorted(means, key=lambda name: means[name]["auc"])
    low, high = ordered[0], ordered[-1]
    return f"{text}: best on {high} ({_sign(means[high]['auc'])}), worst on {low} ({_sign(means[low]['auc'])})."


def judged(data: ReportData) -> list[DataRow]:
    """The machines that have an AUC."""
    machines = {(row.machine_type, row.machine_id) for row in data.results}
    return [row for row in data.data_summary if (row.machine_type, row.machine_id) in machines]


def few_clips(data: ReportData) -> list[str]:
    """A warning where figures rest on few normal clips."""
    counts = [row.normal for row in judged(data)]
    fewest, few = min(counts, default=FEW_NORMALS), sum(count < FEW_NORMALS for count in counts)
    if not few:
        return []
    points = percent(1 / max(fewest, 1)).removesuffix(".0")
    return [
        f"{_count(few, 'machine')} {'has' if few == 1 else 'have'} fewer than {FEW_NORMALS} normal test clips, the "
        f"fewest {fewest}: there a single clip can move an AUC by {points} points, and a pAUC by more. Read such "
        f"figures as a rough hint."
    ]


def _machine_type(
    data: ReportData, name: str, tables: Mapping[str, Mapping[str, ScoreTable]], evidence: Sequence[Card]
) -> TypeSection:
    """One part of the page, from system -> machine id -> scores of the clips of this type."""
    figures = headline_figures(data).get(name, {})
    results = [row for row in data.results if row.machine_type == name]
    ids = sorted({machine_id for machines in tables.values() for machine_id in machines})
    systems = sorted(tables, key=lambda system: system != data.headline)
    return TypeSection(
        name=name,
        mean=mean_figures(figures.values()) if figures else None,
        table=machine_table(results, data.headline, name, clips=data.data_summary) if results else None,
        curves={id_: _curves(data, name, id_, tables, figures.get(id_)) for id_ in ids},
        histograms={
            system: {id_: _histograms(table, f"{name} {id_}", id_) for id_, table in tables[system].items()}
            for system in systems
        },
        domains=domains_in_words(mean_figures(figures.values())),
        ranking=ranking_table(data, name) if data.headline in tables else None,
        labelled=any(row.label for machines in tables.values() for table in machines.values() for row in table),
        cards=[card for card in evidence if card.first.machine_type == name],
    )


def _histograms(table: ScoreTable, machine: str, title: str) -> list[Plot]:
    """The scores of one machine's clips, those of each domain by themselves."""
    domains = sorted({row.domain for row in table if row.domain})
    if len(domains) < 2:
        return [score_histogram(table, machine=machine, title=title)]
    return [
        score_histogram(
            ScoreTable(row for row in table if row.domain == domain),
            machine=f"{machine}, {domain}",
            title=f"{title} {domain}",
            beside=table,
        )
        for domain in domains
    ]


def _curves(
    data: ReportData, kind: str, id_: str, tables: Mapping[str, Mapping[str, ScoreTable]], row: Figures | None
) -> Plot | None:
    """The ROC curves of one machine, with the figures of the final system beside its name."""
    own = {system: machines[id_] for system, machines in tables.items() if id_ in machines}
    note = in_words(row) if row else ""
    return roc_curves(own, system_styles(data), machine=(kind, id_), note=note)


def _counts(data: ReportData) -> list[tuple[str, str]]:
    """What the header says about the clips."""
    rows = data.data_summary
    test = sum(row.normal + row.anomaly + row.unlabelled for row in rows)
    return [
        ("machines", f"{len(rows)}"),
        ("training clips", f"{sum(row.train for row in rows):,}"),
        ("test clips", f"{test:,}"),
    ]


def _sign(fraction: float) -> str:
    return f"{percent(fraction)}\N{NO-BREAK SPACE}%"


def _count(number_of: int, noun: str) -> str:
    return f"{number_of:,} {noun}" if number_of == 1 else f"{number_of:,} {noun}s"
