"""The parts of a page about ensembles: beside the report's tables, weights as in Figure 1, members and choices."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from auscult.datasets.dcase import TEST_CLIPS
from auscult.members.ensembles import nodes_of
from auscult.report.choices import choices_table, held_out_weights
from auscult.report.comparison import comparison_tables
from auscult.report.data import Intervals, Section, Spreads
from auscult.report.maps import member_correlations
from auscult.report.members import MemberEffect, by_family, correlation_table, members_table
from auscult.report.reference import printed_optima
from auscult.report.tables import by_system, type_means
from auscult.report.ternary import WeightSurface, weight_triangle
from auscult.runs.analysis import Analysis
from auscult.runs.results import averaged
from auscult.scores.ensemble import (
    DEFAULT_RULE,
    Choice,
    Node,
    Scores,
    correlations,
    member_effects,
    shares,
    weight_surface,
)
from auscult.scores.intervals import bootstrap
from auscult.scores.metrics import MEAN, mean_figures
from auscult.scores.table import ScoreTable


def intervals_of(analysis: Analysis) -> Intervals:
    """Intervals over the development test clips, of the first seed's systems."""
    tables = {system.key: system.development for system in analysis.of_first_seed() if len(system.development)}
    return bootstrap(tables)


def spreads_of(analysis: Analysis) -> Spreads:
    """Standard deviations over seeds of every figure and mean; none where there is one seed."""
    from statistics import stdev

    seeds = list(analysis.leaves)
    if len(seeds) < 2:
        return {}
    one_by_one = [_with_means([row for row in analysis.results if row.seed == seed]) for seed in seeds]

    def spread(values: Sequence[Any]) -> Any:
        if isinstance(values[0], float):
            return stdev(values)
        return {name: spread([value[name] for value in values]) for name in values[0] if all(name in v for v in values)}

    systems = [system for system in one_by_one[0] if all(system in figures for figures in one_by_one)]
    return {system: spread([figures[system] for figures in one_by_one]) for system in systems}


def ensemble_sections(analysis: Analysis, intervals: Intervals) -> list[Section]:
    """The parts that the run's recipe and data allow."""
    sections = []
    if analysis.recipe.compare:
        tables = comparison_tables(
            averaged(analysis.results),
            {name: dict(columns) for name, columns in analysis.recipe.compare.items()},
            dcase=is_challenge(analysis.final.development),
            intervals=intervals,
        )
        sections.append(Section("Beside the report", tables=tables))
    nodes = nodes_of(analysis.recipe)
    if nodes and analysis.results:
        sections += _weights(analysis, nodes)
        sections.append(_members(analysis, nodes, intervals))
    return sections


def is_challenge(table: ScoreTable) -> bool:
    """Whether these are all development test clips of DCASE 2020 Task 2, of each machine type that there is."""
    counts = Counter(row.machine_type for row in table)
    return bool(counts) and all(count == TEST_CLIPS.get(machine_type) for machine_type, count in counts.items())


def _weights(analysis: Analysis, nodes: Sequence[Node]) -> list[Section]:
    """The report's Figure 1, for every ensemble that searches the weights of three members."""
    sections = []
    choices = [item.choice for item in analysis.choices if item.seed == analysis.seed]
    for place, node in enumerate(nodes):
        plots = []
        for machine_type, leaves in analysis.leaves[analysis.seed].items():
            chosen, there = (_chosen(choices, machine_type, node.name, one) for one in ("paper", "uniform"))
            if node.weights != "search" or node.select or chosen is None or there is None:
                continue
            if not len(chosen.weights) == len(there.weights) == 3:  # a member without development scores has no weight
                continue
            weights, reached = weight_surface(node, leaves, nodes=nodes[:place], rule=analysis.rule)
            first, second, third = chosen.weights
            printed = printed_optima().get(machine_type) if is_challenge(analysis.final.development) else None
            plots.append(
                weight_triangle(
                    WeightSurface(
                        machine_type=machine_type,
                        names=(first, second, third),
                        weights=weights,
                        reached=reached,
                        best_weights=np.array(list(chosen.weights.values())),
                        best=float(chosen.reached or 0.0),
                        held_out=held_out_weights(
                            choices, machine_type=machine_type, ensemble=node.name, names=list(chosen.weights)
                        ),
                        printed=printed,
                        what=_maximised(analysis),
                    )
                )
            )
        if plots:
            text = (
                f"The {_maximised(analysis)} on the development test clips for every weighting of three, as in the "
                "report's Figure 1. The best point is the paper protocol's choice, made on the very labels that it is "
                "judged by; the points without one machine each show how much it depends on them."
            )
            sections.append(Section(f"The weights of {node.name}", paragraphs=[text], plots=plots))
    return sections


def _members(analysis: Analysis, nodes: Sequence[Node], intervals: Intervals) -> Section:
    """Member by member, how alike they are, and all that was chosen."""
    tables, plots = [], []
    families = {job.name: job.family for job in analysis.plan.members}
    choices = [item.choice for item in analysis.choices if item.seed == analysis.seed]
    figures = by_system(averaged(analysis.results))
    for machine_type, leaves in analysis.leaves[analysis.seed].items():
        effects = member_effects(nodes[-1], leaves, nodes=nodes[:-1])
        inside = [name for name in leaves if name in effects]
        mine = [choice for choice in choices if choice.machine_type == machine_type]
        weights = {
            protocol: mean_shares(nodes[-1].name, [choice for choice in mine if choice.protocol == protocol])
            for protocol in dict.fromkeys(choice.protocol for choice in mine)
        }
        members = by_family(
            [
                MemberEffect(
                    name=name,
                    family=families[name],
                    alone=type_means(figures[name, "none"])[machine_type],
                    weights={protocol: own[name] for protocol, own in weights.items() if name in own},
                    without=effects[name],
                    interval=intervals.get((name, "none"), {}).get(machine_type, {}).get(MEAN),
                )
                for name in inside
                if machine_type in figures.get((name, "none"), {})
            ]
        )
        if len(members) < 2:
            continue
        tables.append(members_table(machine_type, members, ensemble=nodes[-1].name))
        ordered: dict[str, Scores] = {member.name: leaves[member.name] for member in members}
        names, matrix = correlations(ordered)
        plots.append(member_correlations(machine_type, names, matrix, families=[families[name] for name in names]))
        tables.append(correlation_table(machine_type, names, matrix))
    chosen = [choice for choice in choices if choice.reached is not None]
    if chosen:
        tables.append(choices_table(chosen, _maximised(analysis)))
    text = (
        "What each member is worth alone, its share of the final score, and how the figures of the ensemble with equal "
        "weights change when the member is left out: where they fall, the member helped."
    )
    return Section("Members", paragraphs=[text], tables=tables, plots=plots)


def _maximised(analysis: Analysis) -> str:
    """What choices maximised."""
    return "mAUC" if analysis.rule == DEFAULT_RULE else "official score"


def mean_shares(ensemble: str, choices: Sequence[Choice]) -> dict[str, float]:
    """Member -> its share of an ensemble's score, the mean over held-out ids where each has its own.

    Args:
        ensemble: its name.
        choices: of one machine type and protocol.
    """
    folds = list(dict.fromkeys(choice.held_out for choice in choices))
    if len(folds) > 1:
        folds.remove(None)  # what scores the other parts is no fold
    total: dict[str, float] = {}
    for fold in folds:
        for name, share in shares(ensemble, (choice for choice in choices if choice.held_out == fold)).items():
            total[name] = total.get(name, 0.0) + share / len(folds)
    return total


def _chosen(choices: Sequence[Choice], machine_type: str, ensemble: str, protocol: str) -> Choice | None:
    wanted = machine_type, ensemble, protocol
    return next((one for one in choices if (one.machine_type, one.ensemble, one.protocol) == wanted), None)


def _with_means(rows: Sequence[Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """(system, protocol) -> figures in the shape of `metrics.evaluate`."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for system, types in by_system(rows).items():
        means = type_means(types)
        found[system] = {kind: {**ids, MEAN: means[kind]} for kind, ids in types.items()}
        found[system][MEAN] = mean_figures(means.values())
    return found
