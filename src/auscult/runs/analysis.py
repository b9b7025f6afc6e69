"""From finished members to all that a run says: systems, figures with their intervals, choices, and what to know."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from pathlib import Path

from auscult.members.ensembles import nodes_of
from auscult.members.scaling import scale_sentences
from auscult.recipe import Recipe
from auscult.runs.executors import Failure
from auscult.runs.jobs import read_scores
from auscult.runs.notes import notes_on_data
from auscult.runs.plan import MemberJob, Plan
from auscult.runs.results import PROTOCOLS, OfficialRow, ResultRow, SeedChoice, System, result_rows
from auscult.runs.store import Store
from auscult.scores.ensemble import Scores, combine
from auscult.scores.ensemble.columns import PARTS
from auscult.scores.intervals import Draws
from auscult.scores.metrics import incomplete_ids
from auscult.scores.official import official
from auscult.scores.table import ScoreRow, ScoreTable

REPLICATES = 1000
"""Draws of test clips for the intervals of official scores."""

Leaves = dict[str, dict[str, Scores]]
"""Machine type -> member -> its scores."""


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
    def final(self) -> System:
        """The run's result, of the first seed."""
        return next(system for system in self.systems if system.key == self.headline)

    def of_seed(self, seed: int | None = None) -> list[System]:
        """The systems of one seed; of the first if none is given."""
        return [system for system in self.systems if system.seed == (self.seed if seed is None else seed)]


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
    for seed in dict.fromkeys(job.training.seed for job in plan.members):
        leaves[seed] = leaves_of((job for job in plan.members if job.training.seed == seed), store)
        combined, chosen = systems_of(recipe, leaves[seed], seed)
        systems += combined
        choices += chosen
    first = next(iter(leaves.values()))
    headline = headline_of(recipe, first)
    final = next(system for system in systems if system.key == headline)
    every = [*notes, *notes_on_data(recipe, plan, final, years)]
    every += [*_dropped(recipe, plan, first), *_protocols(recipe, first)]
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
    if nodes and (result := headline_of(recipe, leaves)[0]) != nodes[-1].name:
        notes.append(f"{nodes[-1].name}, the recipe's result, has no finished member: {result} stands in its place.")
    return notes


def _protocols(recipe: Recipe, leaves: Leaves) -> list[str]:
    """Sentences where choices would need labels that are not there."""
    if not recipe.chooses:
        return []
    counts = {kind: len(choosing_ids(recipe, scores)) for kind, scores in leaves.items()}
    notes = []
    if without := [kind for kind, count in counts.items() if count == 0]:
        notes.append(
            f"No machine of {', '.join(without)} has development test clips of both labels that a part of an ensemble "
            "scored: nothing could be chosen there, and every ensemble has equal weights."
        )
    if single := [kind for kind, count in counts.items() if count == 1]:
        notes.append(
            f"Only one machine of {', '.join(single)} has development test clips of both labels: without it nothing is "
            "left to choose on, and under leave-one-id-out its own scores have equal weights."
        )
    return notes


def leaves_of(jobs: Iterable[MemberJob], store: Store) -> Leaves:
    """The scores of finished members."""
    leaves: Leaves = {}
    for job in jobs:
        rows: dict[str, list[ScoreRow]] = {part: [] for part in PARTS}
        scores = read_scores(store, job)
        for bank in (*job.train, *job.test):
            rows["train" if bank.split == "train" else bank.subset] += [
                ScoreRow(clip.machine_type, clip.machine_id, clip.file, clip.label, score, clip.domain)
                for clip, score in zip(bank.clips, scores[bank.key], strict=True)
                if not isnan(score)
            ]
        tables = {part: ScoreTable(rows[part]) for part in PARTS}
        leaves.setdefault(job.machine_type, {})[job.name] = Scores(**tables, curve=job.scaling.curve)
    return leaves


def protocols_of(recipe: Recipe, leaves: Mapping[str, Scores]) -> list[str]:
    """The protocols of the ensembles of one machine type: all where something is chosen and there are labels."""
    if not recipe.chooses or not choosing_ids(recipe, leaves):
        return ["uniform"]
    return ["uniform", "leave-one-id-out", "paper"]


def choosing_ids(recipe: Recipe, leaves: Mapping[str, Scores]) -> set[str]:
    """The machines of one type whose labels can choose; leaving one out needs two."""
    inside = {name for node in nodes_of(recipe) for name in node.members}
    return labelled_ids({name: scores for name, scores in leaves.items() if name in inside})


def labelled_ids(leaves: Mapping[str, Scores]) -> set[str]:
    """The machines whose development test clips have both labels."""
    found: set[str] = set()
    for scores in leaves.values():
        missing = {machine_id for _, machine_id in incomplete_ids(scores.development)}
        found |= {row.machine_id for row in scores.development} - missing
    return found


def systems_of(recipe: Recipe, leaves: Leaves, seed: int) -> tuple[list[System], list[SeedChoice]]:
    """Members in the recipe's order, then ensembles under each protocol, the final one last; and what was chosen."""
    members = list(dict.fromkeys(member.name for member in recipe.member))
    systems = [
        _joined(name, "none", seed, [scores[name] for scores in leaves.values() if name in scores])
        for name in members
        if any(name in scores for scores in leaves.values())
    ]
    combined: dict[tuple[str, str], list[Scores]] = {}
    choices: list[SeedChoice] = []
    nodes = nodes_of(recipe)
    for scores in leaves.values():
        for protocol in protocols_of(recipe, scores):
            tables, chosen = combine(nodes, scores, protocol)
            choices += [SeedChoice(seed, choice) for choice in chosen]
            for name, table in tables.items():
                combined.setdefault((name, protocol), []).append(table)
    order = [(node.name, protocol) for node in nodes for protocol in PROTOCOLS]
    return [*systems, *(_joined(*key, seed, combined[key]) for key in order if key in combined)], choices


def headline_of(recipe: Recipe, leaves: Leaves) -> tuple[str, str]:
    """The system that is the run's result, and the protocol whose figures stand first: never chosen by its figures."""
    there = {name for scores in leaves.values() for name in scores}
    combined = there_of(recipe, there)
    if not combined:
        return [member.name for member in recipe.member if member.name in there][-1], "none"
    everywhere = recipe.chooses and all(len(choosing_ids(recipe, scores)) > 1 for scores in leaves.values())
    return combined[-1], "leave-one-id-out" if everywhere else "uniform"


def there_of(recipe: Recipe, members: Iterable[str]) -> list[str]:
    """The ensembles that have something to combine, children before parents."""
    there = dict.fromkeys(members)
    names = []
    for node in nodes_of(recipe):
        if any(name in there for name in node.members):
            there[node.name] = None
            names.append(node.name)
    return names


def _joined(name: str, protocol: str, seed: int, parts: Sequence[Scores]) -> System:
    """One system over several machine types."""
    tables = (ScoreTable(row for part in parts for row in getattr(part, which)) for which in PARTS)
    return System(name, protocol, seed, *tables)
