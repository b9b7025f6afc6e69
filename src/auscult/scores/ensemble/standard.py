"""Score tables on one scale, and their means. The same type out as in."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auscult.errors import ScoreError
from auscult.scores.table import ScoreRow, ScoreTable


def standardise(table: ScoreTable, training: ScoreTable) -> ScoreTable:
    """Scores in standard deviations above the mean of the training clips of their machine type.

    No test clip and no label is looked at. Where all training clips have the same score the deviation is taken as 1.

    Args:
        table: scores of any clips.
        training: scores of the training clips, from the same system.

    Raises:
        ScoreError: if a machine type has no training clip.
    """
    statistics: dict[str, tuple[float, float]] = {}
    for machine_type, ids in training.groups().items():
        scores = np.concatenate([rows.scores for rows in ids.values()])
        statistics[machine_type] = mean_and_deviation(scores)
    missing = {row.machine_type for row in table} - set(statistics)
    if missing:
        raise ScoreError(f"{', '.join(sorted(missing))}: there is no training score to standardise by")
    standard = [(row.score - statistics[row.machine_type][0]) / statistics[row.machine_type][1] for row in table]
    return table.with_scores(np.array(standard, dtype=np.float64))


def mean_and_deviation(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and population standard deviation of scores `[C]`; of equal scores that score itself and 1.

    >>> mean_and_deviation(np.array([0.1, 0.1, 0.1]))
    (0.1, 1.0)
    """
    if scores.min() == scores.max():  # rounding would leave a deviation that is not quite 0
        return float(scores[0]), 1.0
    return float(scores.mean()), float(scores.std()) or 1.0


def weighted_mean(tables: Sequence[ScoreTable], weights: NDArray[np.float64] | None = None) -> ScoreTable:
    """The weighted mean of the scores of several systems.

    Args:
        tables: of the same clips.
        weights: one per table, not negative; they are scaled to the sum 1. Equal if none are given.

    Raises:
        ScoreError: if the tables list different clips, or the weights do not fit.
    """
    if not tables:
        raise ScoreError("an ensemble of no system has no scores; give at least one table")
    weights = np.ones(len(tables)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(tables),) or (weights < 0).any() or not weights.sum() > 0:
        raise ScoreError(f"{len(tables)} systems have the weights {weights.tolist()}; give one of at least 0 for each")
    clips = [row.key for row in tables[0]]
    for table in tables[1:]:
        if [row.key for row in table] != clips:
            raise ScoreError("the systems scored different clips; score the same clips with each")
    scores = np.stack([table.scores for table in tables])
    return tables[0].with_scores(weights / weights.sum() @ scores)


def mean_where_scored(tables: Sequence[ScoreTable]) -> ScoreTable:
    """The plain mean of the scores of several systems, clip by clip over those that scored the clip.

    Args:
        tables: of any clips.
    """
    rows: dict[tuple[str, str, str], list[ScoreRow]] = {}
    for row in (row for table in tables for row in table):
        rows.setdefault(row.key, []).append(row)
    return ScoreTable(replace(same[0], score=float(np.mean([row.score for row in same]))) for same in rows.values())
