"""From the scores of a run's members to its systems: ensembles under each protocol, and which of them is the result."""

from collections.abc import Iterable, Sequence
from math import isnan

from auscult.members.ensembles import nodes_of
from auscult.recipe import Recipe
from auscult.runs.jobs import read_scores
from auscult.runs.plan import MemberJob
from auscult.runs.results import PROTOCOLS, SeedChoice, System
from auscult.runs.store import Store
from auscult.scores.ensemble import Combiner, Scores
from auscult.scores.ensemble.columns import PARTS
from auscult.scores.table import ScoreRow, ScoreTable

Leaves = dict[str, dict[str, Scores]]
"""Machine type -> member -> its scores."""

Combiners = dict[str, Combiner]
"""Machine type -> what combines its members."""


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


def combiners_of(recipe: Recipe, leaves: Leaves, rule: int) -> Combiners:
    """What combines the members of each machine type; `rule` is the year by whose official score is chosen."""
    nodes = nodes_of(recipe)
    return {kind: Combiner(nodes, scores, rule=rule) for kind, scores in leaves.items()}


def choosing_types(combiners: Combiners, machine_type: str) -> list[Combiner]:
    """Those of the other machine types that can choose for one."""
    own = combiners[machine_type]
    return [one for one, _ in own.elsewhere(one for one in combiners.values() if one is not own)]


def protocols_of(recipe: Recipe, combiners: Combiners, machine_type: str) -> list[str]:
    """The protocols of the ensembles of one machine type: all where something is chosen and there are labels."""
    if recipe.chooses and combiners[machine_type].clips.judges:
        return ["uniform", "leave-one-id-out", "paper"]
    return ["uniform", *(["leave-one-id-out"] if recipe.chooses and choosing_types(combiners, machine_type) else [])]


def systems_of(
    recipe: Recipe, leaves: Leaves, combiners: Combiners, seed: int
) -> tuple[list[System], list[SeedChoice]]:
    """Members in the recipe's order, then ensembles under each protocol, the final one last; and what was chosen."""
    systems = [
        _joined(name, "none", seed, [scores[name] for scores in leaves.values() if name in scores])
        for name in recipe.names
        if any(name in scores for scores in leaves.values())
    ]
    combined: dict[tuple[str, str], list[Scores]] = {}
    choices: list[SeedChoice] = []
    nodes = nodes_of(recipe)
    for kind, combiner in combiners.items():
        for protocol in protocols_of(recipe, combiners, kind):
            tables, chosen = combiner.scores(nodes, protocol, choosing_types(combiners, kind))
            choices += [SeedChoice(seed, choice) for choice in chosen]
            for name, table in tables.items():
                combined.setdefault((name, protocol), []).append(table)
    order = [(node.name, protocol) for node in nodes for protocol in PROTOCOLS]
    return [*systems, *(_joined(*key, seed, combined[key]) for key in order if key in combined)], choices


def result_of(recipe: Recipe, leaves: Leaves) -> str:
    """The system that is the run's result, never chosen by its figures."""
    there = {name for scores in leaves.values() for name in scores}
    combined = there_of(recipe, there)
    return combined[-1] if combined else [member.name for member in recipe.member if member.name in there][-1]


def headline_of(recipe: Recipe, leaves: Leaves, combiners: Combiners) -> tuple[str, str]:
    """The system that is the run's result, and the protocol whose figures stand first."""
    result = result_of(recipe, leaves)
    if not there_of(recipe, [name for scores in leaves.values() for name in scores]):
        return result, "none"
    everywhere = recipe.chooses and all(
        len(one.clips.judges) > 1 or choosing_types(combiners, kind) for kind, one in combiners.items()
    )
    return result, "leave-one-id-out" if everywhere else "uniform"


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
