"""Seconds for what combining costs: the search of weights, and bootstrap intervals of a whole table of systems."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from auscult.clips import Label

IDS = ("id_00", "id_02", "id_04", "id_06")
KINDS: tuple[tuple[Label, int, float], ...] = (("normal", 100, 0.0), ("anomaly", 250, 1.0))
"""Label, clips of an id, and the mean of their scores."""
N_SYSTEMS = 90


def figures() -> dict[str, float]:
    from auscult.clips import MACHINE_TYPES
    from auscult.scores.ensemble import Node, Scores, combine
    from auscult.scores.intervals import bootstrap
    from auscult.scores.table import ScoreTable

    leaves = {f"m{place}": Scores(noise(place, ["fan"]), noise(place, ["fan"]), ScoreTable([])) for place in range(4)}
    names = tuple(leaves)
    systems = {place: noise(place, MACHINE_TYPES) for place in range(N_SYSTEMS)}
    return {
        "search_3_members_s": seconds(lambda: combine([Node("all", names[:3], weights="search")], leaves, "paper")),
        "search_4_members_s": seconds(lambda: combine([Node("all", names, weights="search")], leaves, "paper")),
        "bootstrap_90_systems_s": seconds(lambda: bootstrap(systems)),
    }


def noise(seed: int, machine_types: Sequence[str]) -> Any:
    """Scores of 350 clips of each of four ids; anomalies are a little higher."""
    from auscult.scores.table import ScoreRow, ScoreTable

    rng = np.random.default_rng(seed)
    return ScoreTable(
        ScoreRow(machine_type, machine_id, f"{label}_{place}.wav", label, float(score))
        for machine_type in machine_types
        for machine_id in IDS
        for label, count, mean in KINDS
        for place, score in enumerate(rng.standard_normal(count) + mean)
    )


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
