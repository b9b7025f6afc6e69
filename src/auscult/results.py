"""The systems of a run, members and ensembles under each protocol, and their figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from auscult.ensemble import Choice, Node, Scores, combine
from auscult.executors import read_scores
from auscult.metrics import MEAN, evaluate, incomplete_ids
from auscult.plan import MemberJob
from auscult.recipe import Recipe
from auscult.scores import ScoreRow, ScoreTable
from auscult.store import Store

PROTOCOLS = {
    "none": "A single model, trained as the recipe says: auscult chose nothing on this data.",
    "uniform": "Members are combined with equal weights, standardised by training clips: combining used no label.",
    "leave-one-id-out": (
        "Members and weights are chosen on the labels of the development test clips, for each machine on those of the "
        "other machines of its type alone: what a machine without any labelled anomaly can expect."
    ),
    "paper": (
        "Members and weights are chosen on the labels of the same development test clips that the figure is computed "
        "on, as in the report: an upper limit, not an estimate."
    ),
}
"""Which data the choices of a system saw."""

Part = Literal["train", "development", "evaluation"]
PARTS: tuple[Part, ...] = ("train", "development", "evaluation")


@dataclass(frozen=True, slots=True)
class System:
    """The scores of a member or an ensemble, over all machine types that it covers.

    Attributes:
        name: for instance `"hvae"`.
        protocol: a key of `PROTOCOLS`.
        seed: of its members.
        train: scores of the training clips.
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
    """AUC and pAUC, fractions of 1, of one machine under one system.

    Attributes:
        machine_type: for instance `"fan"`.
        machine_id: for instance `"id_00"`.
        system: a member or an ensemble.
        protocol: which data the system's choices saw, a key of `PROTOCOLS`.
        auc: area under the ROC curve.
        pauc: the part of it below a false positive rate of 0.1, rescaled by McClish.
        seed: of the system's members.
    """

    machine_type: str
    machine_id: str
    system: str
    protocol: str
    auc: float
    pauc: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SeedChoice:
    """What a protocol chose for the ensembles of one seed."""

    seed: int
    choice: Choice


Leaves = dict[str, dict[str, Scores]]
"""Machine type -> member -> its scores."""


def leaves_of(jobs: Iterable[MemberJob], store: Store) -> Leaves:
    """The scores of finished members."""
    leaves: Leaves = {}
    for job in jobs:
        rows: dict[str, list[ScoreRow]] = {part: [] for part in PARTS}
        scores = read_scores(store, job)
        for bank in (*job.train, *job.test):
            rows["train" if bank.split == "train" else bank.subset] += [
                ScoreRow(clip.machine_type, clip.machine_id, clip.file, clip.label, score)
                for clip, score in zip(bank.clips, scores[bank.key], strict=True)
            ]
        leaves.setdefault(job.machine_type, {})[job.name] = Scores(*(ScoreTable(rows[part]) for part in PARTS))
    return leaves


def nodes_of(recipe: Recipe) -> list[Node]:
    """The recipe's ensembles, children before parents."""
    return [
        Node(item.name, tuple(item.members), item.select, item.weights, item.standardise)
        for item in recipe.ensembles()
    ]


def protocols_of(recipe: Recipe, leaves: Mapping[str, Scores]) -> list[str]:
    """The protocols of the ensembles of one machine type: all where something is chosen and there are labels."""
    if not recipe.chooses or not labelled_ids(leaves):
        return ["uniform"]
    return ["uniform", "leave-one-id-out", "paper"]


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
    nodes = nodes_of(recipe)
    if not nodes:
        there = {name for scores in leaves.values() for name in scores}
        return [member.name for member in recipe.member if member.name in there][-1], "none"
    everywhere = all("leave-one-id-out" in protocols_of(recipe, scores) for scores in leaves.values())
    return nodes[-1].name, "leave-one-id-out" if everywhere else "uniform"


def only(table: ScoreTable, machine_type: str) -> ScoreTable:
    """The rows of one machine type."""
    return ScoreTable(row for row in table if row.machine_type == machine_type)


def result_rows(system: System, table: ScoreTable) -> list[ResultRow]:
    """The figures of every machine that has clips of both labels in a table of a system's scores."""
    if not len(table):
        return []
    return [
        ResultRow(machine_type, machine_id, *system.key, figures["auc"], figures["pauc"], system.seed)
        for machine_type, ids in evaluate(table, incomplete="skip").items()
        if machine_type != MEAN
        for machine_id, figures in ids.items()
        if machine_id != MEAN
    ]


def _joined(name: str, protocol: str, seed: int, parts: Sequence[Scores]) -> System:
    """One system over several machine types."""
    tables = (ScoreTable(row for part in parts for row in getattr(part, which)) for which in PARTS)
    return System(name, protocol, seed, *tables)
