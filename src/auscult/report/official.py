"""Official scores on the page: ours beside published ones, source beside target, and the evaluation machines."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from auscult.report.data import Cell, Section, System, Table
from auscult.report.reference import Published, published_scores
from auscult.report.summary import sorted_systems
from auscult.report.tables import (
    FEWER,
    by_system,
    domains_in_words,
    evaluation_section,
    exact,
    figure_cells,
    type_means,
    with_best,
)
from auscult.runs.analysis import Analysis
from auscult.runs.results import averaged, official_scores
from auscult.scores.metrics import mean_figures, sort_machine_types
from auscult.scores.official import EVERY_FIGURE, FIGURES, Official, rule_name

EVALUATION = (
    "What leave-one-id-out and paper chose here, they chose on the labels of all development test clips; no label of "
    "these machines was seen. The two differ in the clips over which scores are standardised, and so in their choices."
)
"""What the protocols mean for the evaluation machines."""

PUBLISHED = (
    "Published figures are of the challenge's evaluation clips of all machine types: hold them against ours of the "
    "same clips alone."
)


def official_tables(analysis: Analysis, subset: str) -> list[Table]:
    """The official scores of a set of clips, those of the evaluation or else of development beside what was published.

    Args:
        analysis: of the run.
        subset: `"development"` or `"evaluation"`.
    """
    found = official_scores(analysis.official, subset)
    if not found:
        return []
    last = subset == "evaluation" or not official_scores(analysis.official, "evaluation")
    published = published_scores(analysis.years[0]) if last and len(analysis.years) == 1 else []
    return [official_table(found, published, analysis.headline, years=analysis.years, subset=subset)]


def official_table(
    found: Mapping[System, Official],
    published: Sequence[Published],
    headline: System,
    *,
    years: Sequence[int],
    subset: str,
) -> Table:
    """A row per system: its official score with its interval, the means that make it, and that of each machine type.

    Args:
        found: (system, protocol) -> official score; not empty.
        published: systems that others built, whose rows stand beneath.
        headline: the run's final system and its protocol, whose row is marked.
        years: of the challenge that the data may be of.
        subset: the clips of ours.
    """
    ours = sorted_systems(found, headline[0])
    rule = next(iter(ours.values())).rule
    names = FIGURES[rule] if rule > 2020 else ()  # the means of 2020 are those of every other table
    metrics = [EVERY_FIGURE[name].title for name in names]
    types = sort_machine_types(name for one in ours.values() for name in one.machine_types)
    rows = []
    for (system, protocol), one in ours.items():
        interval = {} if one.interval is None else {"official": one.interval}
        partial = set(one.machine_types) != set(types)
        cells = figure_cells({"official": one.score}, ["official"], interval=interval, partial=partial)
        cells += figure_cells(one.harmonic, names, partial=partial) + figure_cells(one.machine_types, types)
        rows.append([Cell(system), Cell(protocol), *cells])
    rows = with_best(rows, first=2)
    for theirs in published:
        cells = [Cell(f"{100 * theirs.score:.2f}", value=exact(theirs.score))]
        cells += figure_cells(theirs.harmonic, names) + figure_cells(theirs.machine_types, types)
        rows.append([Cell(theirs.system), Cell("published"), *cells])
    year = f"DCASE {years[0]}" if len(years) == 1 else f"DCASE {rule_name(rule)}"
    notes = ["Small: 95 % interval over resampled clips."] if any(one.interval for one in ours.values()) else []
    if any(FEWER in cell.text for row in rows for cell in row):
        notes.append(f"{FEWER} Of fewer machine types than the others; not comparable.")
    notes += [PUBLISHED, *sources_of(published)] if published else []
    over = f"{len(types)} machine types" if len(types) > 1 else types[0]
    return Table(
        caption=f"Official score of {year} in percent, {subset} clips of {over}",
        columns=["system", "protocol", "official", *metrics, *types],
        groups=[("", 3), *([("harmonic means", len(metrics))] if metrics else []), ("official, by type", len(types))],
        rows=rows,
        texts=2,
        marked=list(ours).index(headline) if headline in ours and len(rows) > 1 else None,
        note=" ".join(notes),
        name="official" if subset == "development" else "evaluation_official",
        units=dict.fromkeys(["official", *metrics, *types], "%"),
        starts=[len(ours)] if published else [],
    )


def sources_of(published: Sequence[Published]) -> list[str]:
    """A sentence on each source."""
    systems: dict[str, list[str]] = {}
    for one in published:
        systems.setdefault(one.source, []).append(one.system)
    return [f"{source[:1].upper()}{source[1:]}: {'; '.join(names)}." for source, names in systems.items()]


def evaluation_sections(analysis: Analysis, shown: Sequence[str]) -> list[Section]:
    """The figures of the evaluation machines, apart from those of the development machines."""
    rows = [row for row in averaged(analysis.evaluation_results) if row.system in shown]
    if not rows:
        return []
    section = evaluation_section(rows, shown)
    choosing = {row.protocol for row in rows} - {"none", "uniform"}
    final = by_system(rows).get(analysis.headline)
    words = "" if final is None else domains_in_words(mean_figures(type_means(final).values()))
    paragraphs = [*([words] if words else []), *([EVALUATION] if choosing else [])]
    return [replace(section, paragraphs=paragraphs, tables=[*official_tables(analysis, "evaluation"), *section.tables])]
