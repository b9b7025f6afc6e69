"""Results: systems and their figures under each protocol, and the files of a run folder that hold them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from auscult.errors import RunError, nearest
from auscult.scores.ensemble import Choice
from auscult.scores.metrics import MEAN, OBJECTIVE, Figures, evaluate, mean_figures
from auscult.scores.official import Official, official_facts
from auscult.scores.table import ScoreTable

RESULTS = "results.json"

PART_FILES = {"train": "train", "development": "test", "evaluation": "evaluation"}
"""Part of the data -> how score tables of it are called."""

PROTOCOLS = {
    "none": "A single model, trained as the recipe says: auscult chose nothing on this data.",
    "uniform": "Members are combined alike, standardised by normal training clips: combining used no label.",
    "leave-one-id-out": (
        "Members and weights are chosen on the labels of the development test clips, for each machine on those of the "
        "other machines of its type alone, or of other types where its type has no other: what a machine without any "
        "labelled anomaly can expect."
    ),
    "paper": (
        "Members and weights are chosen on the labels of the same development test clips that the figure is computed "
        "on, as in the report: an upper limit, not an estimate."
    ),
}
"""Which data the choices of a system saw, from the least to the most."""


@dataclass(frozen=True, slots=True)
class System:
    """The scores of a member or an ensemble, over all machine types that it covers.

    Attributes:
        name: for instance `"hvae"`.
        protocol: a key of `PROTOCOLS`.
        seed: of its members.
        train: scores of the training clips by which it is standardised, as `auscult.members.scaling` takes them.
        development: scores of the development test clips.
        evaluation: scores of the evaluation clips; empty where there are none.
    """

    name: str
    protocol: str
    seed: int
    train: ScoreTable
    development: ScoreTable
    evaluation: ScoreTable

    @property
    def key(self) -> tuple[str, str]:
        """Name and protocol."""
        return self.name, self.protocol


@dataclass(frozen=True, slots=True)
class ResultRow:
    """The metrics of one machine under one system.

    Attributes:
        machine_type: for instance `"fan"`.
        machine_id: for instance `"id_00"`.
        system: a member or an ensemble.
        protocol: which data the system's choices saw, a key of `PROTOCOLS`.
        figures: metric -> its value.
        seed: of the system's members.
    """

    machine_type: str
    machine_id: str
    system: str
    protocol: str
    figures: Figures
    seed: int = 0


@dataclass(frozen=True, slots=True)
class OfficialRow:
    """The official score of one system.

    Attributes:
        system: a member or an ensemble.
        protocol: a key of `PROTOCOLS`.
        seed: of the system's members.
        subset: `"development"` or `"evaluation"`.
        found: the score.
    """

    system: str
    protocol: str
    seed: int
    subset: str
    found: Official

    @property
    def facts(self) -> dict[str, Any]:
        """As `results.json` has it."""
        names = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "found"}
        return {**names, **official_facts(self.found)}


@dataclass(frozen=True, slots=True)
class SeedChoice:
    """What a protocol chose for the ensembles of one seed."""

    seed: int
    choice: Choice


@dataclass(frozen=True, slots=True)
class Results:
    """What `results.json` says.

    Attributes:
        headline: name and protocol of the system that is the run's result.
        development: a row per machine, system and seed.
        evaluation: likewise for the evaluation clips, where their labels are known.
        choices: what each protocol chose for each ensemble and seed.
        failures: label and reason of each job that is not finished.
        notes: what a reader must know, a sentence each.
        scales: of each machine type, member and seed, by what it is standardised; empty in older runs.
        official: a row per system, seed and set of clips that has an official score; empty in older runs.
    """

    headline: tuple[str, str]
    development: list[ResultRow]
    evaluation: list[ResultRow]
    choices: list[SeedChoice]
    failures: list[dict[str, str]]
    notes: list[str]
    scales: list[dict[str, Any]] = field(default_factory=list)
    official: list[OfficialRow] = field(default_factory=list)


def only(table: ScoreTable, machine_type: str) -> ScoreTable:
    """The rows of one machine type."""
    return ScoreTable(row for row in table if row.machine_type == machine_type)


def result_rows(system: System, table: ScoreTable) -> list[ResultRow]:
    """The figures of every machine that has clips of both labels in a table of a system's scores."""
    if not len(table):
        return []
    return [
        ResultRow(machine_type, machine_id, *system.key, figures, system.seed)
        for machine_type, ids in evaluate(table, incomplete="skip").items()
        if machine_type != MEAN
        for machine_id, figures in ids.items()
        if machine_id != MEAN
    ]


def averaged(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The mean over seeds of every machine's figures; the row keeps its first seed."""
    found: dict[tuple[str, str, str, str], list[ResultRow]] = {}
    for row in rows:
        found.setdefault((row.machine_type, row.machine_id, row.system, row.protocol), []).append(row)
    return [ResultRow(*key, mean_figures(row.figures for row in same), same[0].seed) for key, same in found.items()]


def official_scores(rows: Sequence[OfficialRow], subset: str) -> dict[tuple[str, str], Official]:
    """Name and protocol of a system -> its official score, the mean over seeds, with the first one's interval."""
    found: dict[tuple[str, str], list[Official]] = {}
    for row in rows:
        if row.subset == subset:
            found.setdefault((row.system, row.protocol), []).append(row.found)
    return {
        system: replace(
            same[0],
            score=mean_figures({"score": one.score} for one in same)["score"],
            machine_types=mean_figures(one.machine_types for one in same),
            harmonic=mean_figures(one.harmonic for one in same),
            arithmetic=mean_figures(one.arithmetic for one in same),
        )
        for system, same in found.items()
    }


def row_facts(row: ResultRow, subset: str) -> dict[str, Any]:
    """A row as `results.json` has it: the metrics stand among the rest."""
    facts = asdict(row)
    figures, seed = facts.pop("figures"), facts.pop("seed")
    return {**facts, **figures, "seed": seed, "subset": subset}


def _row_of(facts: dict[str, Any]) -> ResultRow:
    named = {one.name: facts.pop(one.name) for one in fields(ResultRow) if one.name in facts}
    figures = {name: float(facts.pop(name)) for name in OBJECTIVE}  # every machine with labels has these
    return ResultRow(**named, figures=figures | {name: float(value) for name, value in facts.items()})


def _official_of(facts: dict[str, Any]) -> OfficialRow:
    named = {one.name: facts.pop(one.name) for one in fields(OfficialRow) if one.name != "found"}
    low, high = facts.pop("interval", (None, None))
    return OfficialRow(**named, found=Official(**facts, interval=None if low is None else (low, high)))


def read_results(run: Path) -> Results:
    """Read `results.json` of a run folder.

    Raises:
        RunError: if there is none, or it is damaged or of another version.
    """
    path = run / RESULTS
    if not path.is_file():
        raise RunError(f"{run} holds no {RESULTS}, so it is no finished run; give the folder that `auscult run` wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found: dict[str, list[ResultRow]] = {"development": [], "evaluation": []}
        for row in content["rows"]:
            found[row.pop("subset")].append(_row_of(row))
        headline = content["headline"]
        return Results(
            headline=(headline["system"], headline["protocol"]),
            choices=[_choice_of(item) for item in content["choices"]],
            failures=content["failures"],
            notes=content["notes"],
            scales=content.get("scales", []),
            official=[_official_of(row) for row in content.get("official", [])],
            **found,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is damaged or of another version ({error}); the same `auscult run` command writes it again"
        ) from error


def _choice_of(item: dict[str, Any]) -> SeedChoice:
    """As it is written; older runs name `reached` by the one metric that there was."""
    if "mauc" in item:
        item["reached"] = item.pop("mauc")
    return SeedChoice(item.pop("seed"), Choice(**item))


def read_scores_of(
    run: Path, system: str, *, protocol: str = "none", part: str = "development", machine_type: str | None = None
) -> ScoreTable:
    """The scores that a run folder holds of one system, of the run's first seed.

    Args:
        run: the run folder.
        system: a member or an ensemble.
        protocol: `"none"` for members.
        part: `"train"`, `"development"` or `"evaluation"`.
        machine_type: only this one; all if none is given.

    Raises:
        RunError: if there are no such scores.
    """
    suffix = f"{'' if protocol == 'none' else f'.{protocol}'}.{PART_FILES[part]}.csv"
    paths = sorted((run / "scores").glob(f"{machine_type or '*'}/{system}{suffix}"))
    if not paths:
        there = sorted(path.name.removesuffix(suffix) for path in (run / "scores").glob(f"*/*{suffix}"))
        raise RunError(
            f"{run} has no {part} scores of {system!r} under the protocol {protocol!r}{nearest(system, there)}"
            + (f"; it has those of {', '.join(dict.fromkeys(there))}" if there else "")
        )
    return ScoreTable(row for path in paths for row in ScoreTable.read(path))
