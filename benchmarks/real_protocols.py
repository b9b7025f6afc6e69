"""The three protocols of combining on real machine sounds: one model of each family, and all seeds of each family."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.places import write

FAMILIES = ("hvae", "idcae", "freak")
MACHINE_TYPE = "ToyCar"

Tables = Mapping[tuple[str, int], tuple[Any, Any]]
"""(row, seed) -> score tables of the test and of the training clips."""


def write_protocols(tables: Tables, seeds: Sequence[int], path: Path) -> None:
    """Measure, print and write the figures of both ensembles under each protocol."""
    results = {"one_model": one_model(tables, seeds), "all_seeds": all_seeds(tables, seeds)}
    show(results)
    write(results, path)


def one_model(tables: Tables, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The ensemble of one model of each family: mean and standard deviation over seeds, and the weights of each."""
    from statistics import mean, stdev

    from auscult.scores.ensemble import PROTOCOLS, Node, combine

    node = Node("ensemble", FAMILIES, weights="search")
    rows: list[dict[str, Any]] = []
    for protocol in PROTOCOLS:
        found = [
            combine([node], {family: scores(tables, family, seed) for family in FAMILIES}, protocol) for seed in seeds
        ]
        figures = [mean_figures(systems["ensemble"].development) for systems, _ in found]
        row: dict[str, Any] = {"system": "ensemble", "protocol": protocol, "seeds": len(seeds)}
        for name in ("auc", "pauc"):
            row |= {name: mean(one[name] for one in figures), f"{name}_sd": stdev(one[name] for one in figures)}
        row["weights"] = [weights(choices, protocol) for _, choices in found]
        rows.append(row)
    return rows


def all_seeds(tables: Tables, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Families of as many models as there are seeds, combined as in the report, with intervals over clips."""
    from auscult.scores.ensemble import PROTOCOLS, Node, combine
    from auscult.scores.intervals import bootstrap

    names = {family: tuple(f"{family}, seed {seed}" for seed in seeds) for family in FAMILIES}
    leaves = {
        name: scores(tables, family, seed)
        for family in FAMILIES
        for name, seed in zip(names[family], seeds, strict=True)
    }
    nodes = [Node(family, names[family], weights="search" if family == "idcae" else "uniform") for family in FAMILIES]
    nodes.append(Node("ensemble", FAMILIES, weights="search"))
    found = {protocol: combine(nodes, leaves, protocol) for protocol in PROTOCOLS}
    systems = {
        (node.name, protocol): combined[node.name].development
        for node in nodes
        for protocol, (combined, _) in found.items()
    }
    intervals = bootstrap(systems)
    rows: list[dict[str, Any]] = []
    for (name, protocol), table in systems.items():
        row: dict[str, Any] = {"system": name, "protocol": protocol, **mean_figures(table)}
        for metric, bounds in intervals[name, protocol][MACHINE_TYPE]["mean"].items():
            row |= {f"{metric}_low": bounds[0], f"{metric}_high": bounds[1]}
        row["weights"] = weights([choice for choice in found[protocol][1] if choice.ensemble == name], protocol)
        rows.append(row)
    return rows


def scores(tables: Tables, family: str, seed: int) -> Any:
    from auscult.scores.ensemble import Scores
    from auscult.scores.table import ScoreTable

    test, training = tables[family, seed]
    return Scores(training, test, ScoreTable([]), curve_of(family, training))


def curve_of(family: str, training: Any) -> Any:
    """Of the scale on which a family's scores are combined, as a run has it of so many training clips."""
    from auscult.members.scaling import scaling_of
    from auscult.models import MODELS

    clips = [(row.machine_id, None, ()) for row in training]
    return scaling_of(MODELS[family](n_bins=128), clips, unseen=True, combined=True).curve


def mean_figures(table: Any) -> dict[str, float]:
    """AUC and pAUC, means over the machine ids."""
    from auscult.scores.metrics import evaluate

    return dict(evaluate(table)[MACHINE_TYPE]["mean"])


def weights(choices: Sequence[Any], protocol: str) -> dict[str, dict[str, float]]:
    """Held-out machine, or "all", -> member -> weight."""
    held_out = [choice for choice in choices if choice.held_out or protocol != "leave-one-id-out"]
    return {choice.held_out or "all": choice.weights for choice in held_out}


def show(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    for title, rows in results.items():
        table = Table(title=title)
        for column in ("", "protocol", "AUC", "pAUC"):
            table.add_column(column)
        for row in rows:
            table.add_row(row["system"], row["protocol"], f"{row['auc']:.4f}", f"{row['pauc']:.4f}")
        Console().print(table)
