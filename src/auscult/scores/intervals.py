"""Bootstrap confidence intervals of every metric over clips, for all systems on the same resamples.

References:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993: the percentile interval.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from auscult.errors import ScoreError
from auscult.scores.areas import Floats
from auscult.scores.metrics import MEAN, METRICS, Metric, columns_of, incomplete_ids, many, sort_machine_types
from auscult.scores.table import ScoreTable

Interval = Mapping[str, tuple[float, float]]
"""Metric -> lower and upper bound, fractions of 1."""

System = TypeVar("System", bound=Hashable)


def bootstrap(
    tables: Mapping[System, ScoreTable], *, replicates: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[System, dict[str, Any]]:
    """How far the metrics would move with other test clips of the same machines.

    Clips are drawn with replacement within the normal and within the anomalous clips of each machine id and domain; the
    bounds are percentiles over the replicates. Systems that scored the same clips of a machine get the same draws,
    which depend on nothing but the seed, the machine's name and its clips. The machines themselves are not drawn: an
    interval does not say how a system would do on other machines.

    Args:
        tables: system -> scores of labelled clips.
        replicates: how often to draw.
        seed: of the draws.
        level: the share of replicates between the bounds.

    Returns:
        System -> what `metrics.evaluate(table, incomplete="skip")` gives, with an `Interval` in place of `Figures`; a
        metric that is not defined in every replicate is left out.

    Raises:
        ScoreError: if there is no replicate, or the level is not between 0 and 1.
    """
    if replicates < 1 or not 0 < level < 1:
        raise ScoreError(f"{replicates} replicates at the level {level}; draw 1 at least, and a level between 0 and 1")
    draws = Draws(replicates, seed)
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {system: _intervals(table, draws, tails) for system, table in tables.items()}


def _intervals(table: ScoreTable, draws: "Draws", tails: Sequence[float]) -> dict[str, Any]:
    """Intervals of one system, machine by machine and of all means."""
    missing, groups = incomplete_ids(table), table.groups()
    result: dict[str, Any] = {}
    type_means = []
    for machine_type in sort_machine_types(groups):
        figures = {
            machine_id: draws.figures(machine_type, machine_id, rows)
            for machine_id, rows in groups[machine_type].items()
            if (machine_type, machine_id) not in missing
        }
        if figures:
            type_means.append(_mean(figures.values()))
            result[machine_type] = {machine_id: _interval(found, tails) for machine_id, found in figures.items()}
            result[machine_type][MEAN] = _interval(type_means[-1], tails)
    if type_means:
        result[MEAN] = _interval(_mean(type_means), tails)
    return result


def _mean(figures: Iterable[Mapping[str, Floats]]) -> dict[str, Floats]:
    """The mean of each metric `[R]` over where it is defined."""
    rows = list(figures)
    defined = {name: [row[name] for row in rows if name in row] for name in METRICS}
    return {name: np.mean(values, axis=0) for name, values in defined.items() if values}


def _interval(figures: Mapping[str, Floats], tails: Sequence[float]) -> dict[str, tuple[float, float]]:
    """Bounds of each metric `[R]`."""
    bounds = {name: np.quantile(values, tails).tolist() for name, values in figures.items()}
    return {name: (low, high) for name, (low, high) in bounds.items()}


class Draws:
    """How often each clip is drawn in each replicate; the same for all systems.

    Args:
        replicates: R.
        seed: of the draws.
    """

    def __init__(self, replicates: int, seed: int) -> None:
        self.replicates = replicates
        self.seed = seed
        self._kept: dict[tuple[str, str], tuple[tuple[tuple[str, str], ...], Floats]] = {}

    def figures(
        self,
        machine_type: str,
        machine_id: str,
        table: ScoreTable,
        *,
        names: Iterable[str] = METRICS,
        metrics: Mapping[str, Metric] = METRICS,
    ) -> dict[str, Floats]:
        """Metric -> values `[R]` for the clips of one machine; a metric that any replicate leaves open is left out."""
        labels, domains, scores = columns_of(table)
        counts = self._counts(machine_type, machine_id, table)
        found = many(names, labels, domains, scores[None], counts=counts, metrics=metrics)
        return {name: values for name, values in found.items() if np.isfinite(values).all()}

    def _counts(self, machine_type: str, machine_id: str, table: ScoreTable) -> Floats:
        """Counts of the clips `[C, R]`."""
        clips = tuple((row.file, f"{row.label}/{row.domain or ''}") for row in table)
        kept = self._kept.get((machine_type, machine_id))
        if kept is None or kept[0] != clips:
            rng = np.random.default_rng([self.seed, *f"{machine_type}/{machine_id}".encode()])
            kinds = np.array([kind for _, kind in clips])
            counts = np.empty((len(clips), self.replicates))
            for kind in sorted({*kinds.tolist()}, reverse=True):  # normal clips first
                counts[kinds == kind] = self._draw(rng, int(np.count_nonzero(kinds == kind)))
            kept = self._kept[machine_type, machine_id] = clips, counts
        return kept[1]

    def _draw(self, rng: np.random.Generator, n_clips: int) -> Floats:
        counts = rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=self.replicates)
        return np.ascontiguousarray(counts.T, dtype=np.float64)
