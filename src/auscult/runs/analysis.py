"""From finished members to all that a run says: systems, figures with their intervals, choices, and what to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from auscult.members.ensembles import nodes_of
from auscult.members.scaling import scale_sentences
from auscult.recipe import Recipe
from auscult.runs.combining import (
    Combiners,
    Leaves,
    choosing_types,
    combiners_of,
    headline_of,
    leaves_of,
    result_of,
    systems_of,
)
from auscult.runs.executors import Failure
from auscult.runs.notes import notes_on_data
from auscult.runs.plan import Plan
from auscult.runs.results import OfficialRow, ResultRow, SeedChoice, System, result_rows
from auscult.runs.store import Store
from auscult.scores.ensemble import DEFAULT_RULE
from auscult.scores.intervals import Draws
from auscult.scores.official import common_rule, official

REPLICATES = 1000
"""Draws of test clips for the intervals of official scores."""


@dataclass(frozen=True)
class Analysis:
    """All about a run that follows from its members' scores.

    Attributes:
        recipe: as it was resolved.
        data: the data folder.
        plan: the jobs that are finished.
        store: of its artefacts.
        leaves: seed -> machine type -> member -> scores.
        systems: members first, then ensembles under each protocol; those of the first seed before those of others.
        headline: name and protocol of the system that is the run's result.
        choices: what the protocols chose.
        failures: jobs that failed or could not start.
        notes: what a reader must know, a sentence each.
        years: of DCASE Task 2 that the data may be of; none for other data.
    """

    recipe: Recipe
    data: Path
    plan: Plan
    store: Store
    leaves: dict[int, Leaves]
    systems: list[System]
    headline: tuple[str, str]
    choices: list[SeedChoice]
    failures: list[Failure]
    notes: list[str]
    years: tuple[int, ...] = ()

    @property
    def seed(self) -> int:
        """The first seed of which a member is finished: its clips and curves are shown."""
        return next(iter(self.leaves))

    @cached_property
    def results(self) -> list[ResultRow]:
        """One row per machine id of the development test clips, system and seed."""
        return [row for system in self.systems for row in result_rows(system, system.development)]

    @cached_property
    def evaluation_results(self) -> list[ResultRow]:
        """Likewise for the evaluation clips, where their labels are known."""
        return [row for system in self.systems for row in result_rows(system, system.evaluation)]

    @cached_property
    def official(self) -> list[OfficialRow]:
        """The official score of every system and seed, those of the first seed with an interval, where there is one."""
        draws, rows = Draws(REPLICATES, 0), []
        for system in self.systems if self.years else ():
            for subset, table in (("development", system.development), ("evaluation", system.evaluation)):
                if found := official(table, years=self.years, draws=draws if system.seed == self.seed else None):
                    rows.append(OfficialRow(*system.key, system.seed, subset, found))
        return rows

    @property
    def rule(self) -> int:
        """The year by whose official score members and weights were chosen."""
        return common_rule(self.years) or DEFAULT_RULE

    @property
    def final(self) -> System:
        """The run's result, of the first seed."""
        return next(system for system in self.systems if system.key == self.headline)

    def of_first_seed(self) -> list[System]:
        """The systems of the first seed."""
        return [system for system in self.systems if system.seed == self.seed]


def analyse(
    recipe: Recipe,
    data: Path,
    plan: Plan,
    store: Store,
    *,
    years: tuple[int, ...] = (),
    failures: Sequence[Failure] = (),
    notes: Sequence[str] = (),
) -> Analysis:
    """Combine and judge the members that are finished.

    Args:
        recipe: of the run.
        data: the data folder.
        plan: the jobs that are finished, one member at least.
        store: of their artefacts.
        years: of DCASE Task 2 that the data may be of.
        failures: jobs that are not finished.
        notes: sentences that stand before those that follow from the data.
    """
    leaves: dict[int, Leaves] = {}
    systems: list[System] = []
    choices: list[SeedChoice] = []
    combiners: list[Combiners] = []
    for seed in dict.fromkeys(job.training.seed for job in plan.members):
        leaves[seed] = leaves_of((job for job in plan.members if job.training.seed == seed), store)
        combiners.append(combiners_of(recipe, leaves[seed], common_rule(years) or DEFAULT_RULE))
        combined, chosen = systems_of(recipe, leaves[seed], combiners[-1], seed)
        systems += combined
        choices += chosen
    first = next(iter(leaves.values()))
    headline = headline_of(recipe, first, combiners[0])
    final = next(system for system in systems if system.key == headline)
    every = [*notes, *notes_on_data(recipe, plan, final, years)]
    every += [*_dropped(recipe, plan, first), *_protocols(recipe, combiners[0])]
    every += scale_sentences(
        [(job.name, job.scaling.method) for job in plan.members if job.name in recipe.standardised]
    )
    return Analysis(recipe, data, plan, store, leaves, systems, headline, choices, list(failures), every, years)


def _dropped(recipe: Recipe, plan: Plan, leaves: Leaves) -> list[str]:
    """A sentence for each part of an ensemble that has nothing to combine for a machine type."""
    nodes = nodes_of(recipe)
    named = {node.name for node in nodes}
    notes = []
    for machine_type in plan.machine_types:
        there = set(leaves.get(machine_type, {}))
        for node in nodes:
            gone = [name for name in node.members if name in named and name not in there]
            notes += [f"{machine_type}: {name} has no member and drops out of {node.name}." for name in gone]
            if there & set(node.members):
                there.add(node.name)
    if nodes and (result := result_of(recipe, leaves)) != nodes[-1].name:
        notes.append(f"{nodes[-1].name}, the recipe's result, has no finished member: {result} stands in its place.")
    return notes


def _protocols(recipe: Recipe, combiners: Combiners) -> list[str]:
    """Sentences where choices would need labels that are not there."""
    if not recipe.chooses:
        return []
    counts = {kind: len(one.clips.judges) for kind, one in combiners.items()}
    elsewhere = [kind for kind in counts if counts[kind] < 2 and choosing_types(combiners, kind)]
    notes = []
    if elsewhere:
        notes.append(
            f"At most one machine of each of {', '.join(elsewhere)} has development test clips of both labels: under "
            "leave-one-id-out the labels of other machine types chose members and weights there."
        )
    if without := [kind for kind, count in counts.items() if count == 0 and kind not in elsewhere]:
        notes.append(
            f"No machine of {', '.join(without)} has development test clips of both labels that a part of an ensemble "
            "scored: nothing could be chosen there, and every ensemble has equal weights."
        )
    if single := [kind for kind, count in counts.items() if count == 1 and kind not in elsewhere]:
        notes.append(
            f"Only one machine of {', '.join(single)} has development test clips of both labels: without it nothing is "
            "left to choose on, and under leave-one-id-out its own scores have equal weights."
        )
    return notes
