"""Bootstrap confidence intervals of AUC and pAUC over clips, for all systems on the same resamples.

References:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993: the percentile interval.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from auscult.errors import ScoreError
from auscult.scores.ensemble.areas import mcclish
from auscult.scores.metrics import MAX_FPR, MEAN, incomplete_ids, sort_machine_types
from auscult.scores.table import ScoreTable

Floats = NDArray[np.float64]

System = TypeVar("System", bound=Hashable)


class Interval(TypedDict):
    """Lower and upper bounds of AUC and of pAUC, fractions of 1."""

    auc: tuple[float, float]
    pauc: tuple[float, float]


def bootstrap(
    tables: Mapping[System, ScoreTable], *, replicates: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[System, dict[str, Any]]:
    """How far AUC and pAUC would move with other test clips of the same machines.

    Clips are drawn with replacement within the normal and within the anomalous clips of each machine id; the bounds are
    percentiles over the replicates. Systems that scored the same clips of a machine get the same draws, which depend on
    nothing but the seed, the machine's name and its clips. The machines themselves are not drawn: an interval does not
    say how a system would do on other machines.

    Args:
        tables: system -> scores of labelled clips.
        replicates: how often to draw.
        seed: of the draws.
        level: the share of replicates between the bounds.

    Returns:
        System -> what `metrics.evaluate(table, incomplete="skip")` gives, with an `Interval` in place of `Figures`.

    Raises:
        ScoreError: if there is no replicate, or the level is not between 0 and 1.
    """
    if replicates < 1 or not 0 < level < 1:
        raise ScoreError(f"{replicates} replicates at the level {level}; draw 1 at least, and a level between 0 and 1")
    draws = _Draws(replicates, seed)
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {system: _intervals(table, draws, tails) for system, table in tables.items()}


def _intervals(table: ScoreTable, draws: "_Draws", tails: Sequence[float]) -> dict[str, Any]:
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
            type_means.append(np.mean(list(figures.values()), axis=0))
            result[machine_type] = {machine_id: _interval(both, tails) for machine_id, both in figures.items()}
            result[machine_type][MEAN] = _interval(type_means[-1], tails)
    if type_means:
        result[MEAN] = _interval(np.mean(type_means, axis=0), tails)
    return result


def _interval(figures: Floats, tails: Sequence[float]) -> Interval:
    """Bounds of AUC and pAUC `[2, R]`."""
    (auc_low, auc_high), (pauc_low, pauc_high) = np.quantile(figures, tails, axis=1).T.tolist()
    return {"auc": (auc_low, auc_high), "pauc": (pauc_low, pauc_high)}


class _Draws:
    """How often each clip is drawn in each replicate; the same for all systems.

    Args:
        replicates: R.
        seed: of the draws.
    """

    def __init__(self, replicates: int, seed: int) -> None:
        self.replicates = replicates
        self.seed = seed
        self._kept: dict[tuple[str, str], tuple[tuple[tuple[str, str | None], ...], tuple[Floats, Floats]]] = {}

    def figures(self, machine_type: str, machine_id: str, table: ScoreTable) -> Floats:
        """AUC and pAUC `[2, R]` of the clips of one machine."""
        normals, anomalies = self._counts(machine_type, machine_id, table)
        anomaly = np.array([row.label == "anomaly" for row in table])
        return resampled(table.scores[~anomaly], table.scores[anomaly], normals, anomalies)

    def _counts(self, machine_type: str, machine_id: str, table: ScoreTable) -> tuple[Floats, Floats]:
        """Counts of the normal clips and of the anomalous clips, `[n, R]` each."""
        clips = tuple((row.file, row.label) for row in table)
        kept = self._kept.get((machine_type, machine_id))
        if kept is None or kept[0] != clips:
            rng = np.random.default_rng([self.seed, *f"{machine_type}/{machine_id}".encode()])
            labels = [label for _, label in clips]
            counts = [self._draw(rng, labels.count(label)) for label in ("normal", "anomaly")]
            kept = self._kept[machine_type, machine_id] = clips, (counts[0], counts[1])
        return kept[1]

    def _draw(self, rng: np.random.Generator, n_clips: int) -> Floats:
        counts = rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=self.replicates)
        return np.ascontiguousarray(counts.T, dtype=np.float64)


def resampled(
    normal_scores: Floats, anomaly_scores: Floats, normals: Floats, anomalies: Floats, *, max_fpr: float = MAX_FPR
) -> Floats:
    """AUC and pAUC `[2, R]` where each clip counts several times, as if it stood there as often.

    Args:
        normal_scores: `[n]`.
        anomaly_scores: `[m]`.
        normals: how often each normal clip counts in each replicate `[n, R]`; each column has the same sum.
        anomalies: the same for the anomalies `[m, R]`.
        max_fpr: the false positive rate up to which pAUC looks.
    """
    n_normals, n_anomalies = normals[:, 0].sum(), anomalies[:, 0].sum()
    # Thresholds fall from normal score to normal score; normals of one score are one step.
    levels, level = np.unique(-normal_scores, return_inverse=True)
    width = np.zeros((len(levels), normals.shape[1]))
    if len(levels) == len(normal_scores):
        width[level] = normals
    else:
        np.add.at(width, level, normals)
    descending = np.argsort(-anomaly_scores, kind="stable")
    found = np.zeros((len(anomalies) + 1, anomalies.shape[1]))
    np.cumsum(anomalies[descending], axis=0, out=found[1:])
    above = found[np.searchsorted(-anomaly_scores[descending], levels, side="left")]
    height = found[np.searchsorted(-anomaly_scores[descending], levels, side="right")] - above
    auc = np.einsum("ij,ij->j", width, above + height / 2) / (n_normals * n_anomalies)
    false = np.cumsum(width, axis=0) - width
    limit = max_fpr * n_normals
    top = np.count_nonzero(false.min(axis=1) < limit)  # below, no replicate is inside the limit
    width, above, height = width[:top], above[:top], height[:top]
    inside = np.clip(limit - false[:top], 0, width)
    below = inside * (above + height * inside / (2 * np.maximum(width, 1)))
    return np.stack([auc, mcclish(below.sum(axis=0) / (n_normals * n_anomalies), max_fpr)])
