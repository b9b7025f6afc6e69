"""The results of a run: its systems, their score tables, their figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auscult.ensemble import mean_where_scored, standardise
from auscult.executors import Failure
from auscult.jobs import read_scores
from auscult.metrics import MEAN, evaluate, incomplete_ids
from auscult.plan import MemberJob, Plan
from auscult.recipe import ENSEMBLE, Recipe
from auscult.scores import ScoreRow, ScoreTable
from auscult.store import Store

PROTOCOLS = {
    "none": "A single model, trained as the recipe says: auscult chose nothing on this data.",
    "uniform": "Members are combined with equal weights, standardised by training clips: combining used no label.",
}
"""Which data the choices of a system saw."""


@dataclass(frozen=True, slots=True)
class System:
    """The scores of a member or an ensemble, over all machine types that it covers.

    Attributes:
        name: for instance `"hvae"`.
        protocol: a key of `PROTOCOLS`.
        train: scores of the training clips.
        development: scores of the development test clips.
        evaluation: scores of the evaluation clips; empty where there are none.
    """

    name: str
    protocol: str
    train: ScoreTable
    development: ScoreTable
    evaluation: ScoreTable


@dataclass(frozen=True, slots=True)
class ResultRow:
    """AUC and pAUC, fractions of 1, of one machine under one system.

    Attributes:
        machine_type: for instance `"fan"`.
        machine_id: for instance `"id_00"`.
        system: a member or an ensemble.
        protocol: which data the system's choices saw, a key of `PROTOCOLS`.
        auc: area under the ROC curve.
        pauc: the part of it below a false positive rate of 0.1, rescaled by McClish.
    """

    machine_type: str
    machine_id: str
    system: str
    protocol: str
    auc: float
    pauc: float


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        folder: with `recipe.toml`, `weights/`, `scores/`, `results.json` and `report.html`.
        recipe: as it was resolved.
        data: the data folder.
        plan: its jobs.
        store: of its artefacts.
        systems: members first, the ensemble last; the last one is the run's result.
        results: one row per machine id of the development test clips and system.
        evaluation_results: likewise for the evaluation clips, where their labels are known.
        notes: what a reader must know, a sentence each.
        failures: the jobs that were not done; the rest holds what was finished.
    """

    folder: Path
    recipe: Recipe
    data: Path
    plan: Plan
    store: Store
    systems: list[System]
    results: list[ResultRow]
    evaluation_results: list[ResultRow]
    notes: list[str]
    failures: list[Failure] = field(default_factory=list)


def _missing_training(recipe: Recipe, plan: Plan) -> list[str]:
    """Sentences on training data that the recipe asks for and the data lack, and on machines that nobody heard."""
    banks = [bank for job in plan.members for bank in (*job.train, *job.test)]
    notes = []
    for subset in recipe.train_on:
        there = {bank.machine_type for bank in banks if (bank.split, bank.subset) == ("train", subset)}
        if missing := [kind for kind in plan.machine_types if kind not in there]:
            notes.append(f"No {subset} training data of {', '.join(missing)}, on which the recipe would train too.")
    heard = {(clip.machine_type, clip.machine_id) for bank in banks if bank.split == "train" for clip in bank.clips}
    tested = {(clip.machine_type, clip.machine_id) for bank in banks if bank.split == "test" for clip in bank.clips}
    if unheard := sorted(" ".join(machine) for machine in tested - heard):
        notes.append(f"Tested without a training clip of the same machine: {', '.join(unheard)}.")
    return notes


def systems_of(recipe: Recipe, plan: Plan, store: Store) -> list[System]:
    """The members' score tables, and those of the ensemble if there is something to combine."""
    by_name: dict[str, list[MemberJob]] = {}
    for job in plan.members:
        by_name.setdefault(job.name, []).append(job)
    systems = [_system(name, jobs, store) for name, jobs in by_name.items()]
    combined = [system for system in systems if recipe.in_ensemble(system.name)]
    if len(combined) < 2:
        return systems
    return [*systems, _uniform(combined, plan.machine_types)]


def _system(name: str, jobs: Sequence[MemberJob], store: Store) -> System:
    rows: dict[str, list[ScoreRow]] = {"train": [], "development": [], "evaluation": []}
    for job in jobs:
        scores = read_scores(store, job)
        for bank in (*job.train, *job.test):
            part = "train" if bank.split == "train" else bank.subset
            rows[part] += [
                ScoreRow(clip.machine_type, clip.machine_id, clip.file, clip.label, score)
                for clip, score in zip(bank.clips, scores[bank.key], strict=True)
            ]
    tables = {part: ScoreTable(some) for part, some in rows.items()}
    return System(name, "none", tables["train"], tables["development"], tables["evaluation"])


def _uniform(systems: Sequence[System], machine_types: Sequence[str]) -> System:
    """The mean of the members' standardised scores, machine type by machine type.

    Members that train on other parts of the data score other machines; a clip's mean is over those that scored it.
    """
    rows: dict[str, list[ScoreRow]] = {"train": [], "development": [], "evaluation": []}
    for machine_type in machine_types:
        members = [(s, mine) for s in systems if len(mine := only(s.train, machine_type))]
        for part in rows:
            tables = [standardise(only(getattr(s, part), machine_type), train) for s, train in members]
            rows[part] += mean_where_scored(tables).rows
    return System(ENSEMBLE, "uniform", *(ScoreTable(some) for some in rows.values()))


def only(table: ScoreTable, machine_type: str) -> ScoreTable:
    """The rows of one machine type."""
    return ScoreTable(row for row in table if row.machine_type == machine_type)


def result_rows(system: System, table: ScoreTable) -> list[ResultRow]:
    """The figures of every machine that has clips of both labels in a table of a system's scores."""
    if not len(table):
        return []
    return [
        ResultRow(machine_type, machine_id, system.name, system.protocol, figures["auc"], figures["pauc"])
        for machine_type, ids in evaluate(table, incomplete="skip").items()
        if machine_type != MEAN
        for machine_id, figures in ids.items()
        if machine_id != MEAN
    ]


def notes_on(recipe: Recipe, plan: Plan, systems: Sequence[System]) -> list[str]:
    """Sentences on what the settings saw, on missing training data, and on machines without figures."""
    final = systems[-1]
    notes = [recipe.chosen_on] if recipe.chosen_on else []
    notes += _missing_training(recipe, plan)
    if not len(final.development):
        scored = "evaluation clips" if len(final.evaluation) else "training clips"
        notes.append(f"There is no development test clip: only the {scored} were scored.")
    tables = [final.development]
    if any(row.label for row in final.evaluation):
        tables.append(final.evaluation)
    elif len(final.evaluation):
        notes.append("The evaluation clips have no labels: they were scored and not evaluated.")
    return notes + [
        f"{machine_type} {machine_id} has {reason}: it has no AUC and is left out of all means."
        for table in tables
        for (machine_type, machine_id), reason in incomplete_ids(table).items()
    ]
