"""Weights on the simplex, judged all at once by the figures of machines that choices maximise."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from math import comb

import numpy as np
from numpy.typing import NDArray

from auscult.errors import ScoreError
from auscult.scores.areas import Floats, both_kinds
from auscult.scores.ensemble.columns import Judge
from auscult.scores.metrics import many
from auscult.scores.official import EVERY_FIGURE, FIGURES

MAX_VECTORS = 200_000
"""Weight vectors that a search may try: four members in steps of 0.01 are 176,851, five would be 4,598,126."""

DECIMALS = 12
"""Objectives that agree to as many decimals are equal: what lies below is rounding."""

CHUNK = 400_000
"""Scores that are sorted at a time."""

Counts = NDArray[np.int64] | Floats
"""Weights in any unit."""


def steps_of(step: float) -> int:
    """How many steps make 1.

    Raises:
        ScoreError: if they do not make 1.

    >>> steps_of(0.01)
    100
    """
    steps = round(1 / step) if 0 < step <= 1 else 0
    if steps == 0 or abs(steps * step - 1) > 1e-9:
        raise ScoreError(f"weights in steps of {step} do not add up to 1; give 1 divided by a whole number, as 0.01")
    return steps


def simplex(n_members: int, steps: int) -> Counts:
    """All weights that add up to 1, as whole steps `[W, n_members]` with rows of the sum `steps`, lexicographically.

    Raises:
        ScoreError: if there are more than `MAX_VECTORS`.

    >>> simplex(2, 2).tolist()
    [[0, 2], [1, 1], [2, 0]]
    """
    count = comb(steps + n_members - 1, n_members - 1)
    if count > MAX_VECTORS:
        raise ScoreError(
            f"{n_members} members in steps of {1 / steps:g} have {count:,} weight vectors; at most {MAX_VECTORS:,} "
            f"are searched: select fewer members, group them, or give them uniform weights"
        )
    return _simplex(n_members, steps)


def _simplex(n_members: int, steps: int) -> Counts:
    if n_members == 1:
        return np.array([[steps]], dtype=np.int64)
    blocks = []
    for own in range(steps + 1):
        others = _simplex(n_members - 1, steps - own)
        blocks.append(np.column_stack([np.full(len(others), own), others]))
    return np.concatenate(blocks)


def weighted(members: Floats, counts: Counts, otherwise: Floats) -> Floats:
    """Weighted means `[W, C]`, clip by clip over the members that scored the clip.

    The order of operations does not depend on how many vectors or clips there are, so that a search judges exactly the
    scores that it gives.

    Args:
        members: scores `[K, C]`, NaN where a member did not score the clip.
        counts: weights `[W, K]` in any unit, at least 0; those of the members that scored are scaled to the sum 1.
        otherwise: `[C]`, for clips that no member with a positive weight scored.
    """
    scored = ~np.isnan(members)
    total = np.zeros((len(counts), members.shape[1]))
    weight = counts.sum(axis=1, dtype=np.float64)[:, None] if scored.all() else np.zeros_like(total)
    for place, member in enumerate(members):
        own = counts[:, place].astype(np.float64)[:, None]
        total += own * np.where(scored[place], member, 0.0)
        if not scored.all():
            weight += own * scored[place]
    means: Floats = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), otherwise)
    return means


def uniform(members: Floats) -> Floats:
    """The plain mean `[C]` over the members `[K, C]` that scored a clip; NaN where none did."""
    nobody = np.full(members.shape[1], np.nan)
    mean: Floats = weighted(members, np.ones((1, len(members)), dtype=np.int64), nobody)[0]
    return mean


def best(objective: Floats, counts: Counts) -> int:
    """The row of the greatest objective `[W]`; among equals the nearest to uniform weights, then the first row."""
    rounded = objective.round(DECIMALS)
    tops = np.flatnonzero(rounded == rounded.max())
    distance = np.square(counts[tops] * counts.shape[1] - counts[tops].sum(axis=1, keepdims=True)).sum(axis=1)
    return int(tops[distance.argmin()])


class Objective:
    """The figures of machines of which the official score of a year is made, of many weight vectors at once.

    What was computed for the same scores of a machine is kept, so that choices that are repeated without one machine
    cost little more than one.

    Args:
        judges: machine id -> its clips.
        rule: the year of the rule, a key of `auscult.scores.official.FIGURES`.
    """

    def __init__(self, judges: Mapping[str, Judge], rule: int) -> None:
        self.judges = judges
        self.names = FIGURES[rule]
        self._kept: dict[tuple[str, bytes], dict[str, Floats]] = {}

    def __call__(
        self, members: Floats, counts: Counts, otherwise: Floats, ids: Iterable[str]
    ) -> list[dict[str, Floats]]:
        """Figure -> values `[W]`, where it is defined, for each of the ids that can judge.

        Args:
            members: scores `[K, C]` of the development clips, NaN where a member did not score.
            counts: weights `[W, K]`.
            otherwise: `[C]`, for clips that no weighted member scored; a clip that is NaN here too is left out.
            ids: machines whose labels may be seen; one without scored clips of both kinds is left out.
        """
        found = []
        for machine_id in ids:
            judge = self.judges[machine_id]
            judge = judge.of(~np.isnan(otherwise[judge.places]))
            if both_kinds(judge.anomaly):
                own = judge.places
                found.append(self._of_id(machine_id, members[:, own], counts, otherwise[own], judge))
        return found

    def _of_id(
        self, machine_id: str, members: Floats, counts: Counts, otherwise: Floats, judge: Judge
    ) -> dict[str, Floats]:
        digest = blake2b()
        for array in (members, otherwise, counts):
            digest.update(np.array(array.shape).tobytes() + array.tobytes())
        key = machine_id, digest.digest()
        if key not in self._kept:
            size = max(1, CHUNK // len(judge.anomaly))
            chunks = []
            for start in range(0, len(counts), size):
                scores = weighted(members, counts[start : start + size], otherwise)
                chunks.append(many(self.names, judge.anomaly, judge.domains, scores, metrics=EVERY_FIGURE))
            figures = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in self.names}
            self._kept[key] = {name: values for name, values in figures.items() if not np.isnan(values).any()}
        return self._kept[key]
