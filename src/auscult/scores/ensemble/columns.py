"""The score tables of one machine type as columns of numbers over the same clips, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from auscult.errors import ScoreError
from auscult.scores.areas import Domains, Labels
from auscult.scores.fusion import Curve, standardised
from auscult.scores.metrics import columns_of, incomplete_ids
from auscult.scores.table import ScoreRow, ScoreTable

Part = Literal["train", "development", "evaluation"]
PARTS: tuple[Part, ...] = get_args(Part)

Columns = Mapping[Part, NDArray[np.float64]]
"""Scores `[C]` of one system for the clips of each part; NaN where it did not score the clip."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one system for one machine type.

    Attributes:
        train: of the normal clips that it is standardised by: training clips.
        development: of the development test clips.
        evaluation: of the evaluation clips.
        curve: of the scale that these training clips make.
    """

    train: ScoreTable
    development: ScoreTable
    evaluation: ScoreTable
    curve: Curve = "line"

    def part(self, part: Part) -> ScoreTable:
        """The table of one part."""
        return {"train": self.train, "development": self.development, "evaluation": self.evaluation}[part]


class Judge(NamedTuple):
    """Clips of a machine that has metrics: places `[c]` among all, which are anomalies `[c]`, domains `[c]` or none."""

    places: NDArray[np.intp]
    anomaly: Labels
    domains: Domains

    def of(self, there: NDArray[np.bool_]) -> "Judge":
        """Those of its clips that are there, by place among its own `[c]`."""
        domains = None if self.domains is None else self.domains[there]
        return Judge(self.places[there], self.anomaly[there], domains)


class Clips:
    """All clips that any of some systems scored, part by part.

    Args:
        leaves: the systems, of one machine type.

    Attributes:
        machine_type: of all clips; empty if there is no clip.
        rows: part -> clips `[C]` in the order of score tables; their scores mean nothing.
        judges: machine id -> its development clips, for the ids that have metrics.

    Raises:
        ScoreError: if there are clips of several machine types, or a clip has two labels.
    """

    def __init__(self, leaves: Mapping[str, Scores]) -> None:
        self.rows: dict[Part, tuple[ScoreRow, ...]] = {part: _union(leaves, part) for part in PARTS}
        kinds = sorted({row.machine_type for rows in self.rows.values() for row in rows})
        if len(kinds) > 1:
            raise ScoreError(f"scores of {', '.join(kinds)} cannot be one ensemble; combine one machine type at a time")
        self.machine_type = kinds[0] if kinds else ""
        self._places = {part: {row.key: place for place, row in enumerate(self.rows[part])} for part in PARTS}
        development = self.rows["development"]
        without = {machine_id for _, machine_id in incomplete_ids(ScoreTable(development))}
        ids = np.array([row.machine_id for row in development])
        labels, domains, _ = columns_of(ScoreTable(development))
        every = Judge(np.arange(len(development)), labels, domains)
        self.judges = {
            machine_id: every.of(ids == machine_id)
            for machine_id in sorted({row.machine_id for row in development} - without)
        }

    def columns(self, scores: Scores) -> Columns:
        """A system's scores as columns."""
        columns: dict[Part, NDArray[np.float64]] = {}
        for part, places in self._places.items():
            columns[part] = np.full(len(places), np.nan)
            table = scores.part(part)
            if len(table):
                columns[part][[places[row.key] for row in table]] = table.scores
        return columns

    def scores(self, columns: Columns) -> Scores:
        """Columns as score tables; what is NaN has no row."""
        train, development, evaluation = (
            ScoreTable(
                replace(row, score=float(score))
                for row, score in zip(self.rows[part], columns[part], strict=True)
                if not np.isnan(score)
            )
            for part in PARTS
        )
        return Scores(train, development, evaluation)


def scaled(name: str, columns: Columns, by: Part, curve: Curve = "line") -> Columns:
    """Scores in standard deviations above the mean of the scores of one part, of the training part if that has none.

    The curve is that of the training part's scale: it stands in for normal clips that the system has not seen, which
    the other parts are.

    Raises:
        ScoreError: if there is no score to standardise by.
    """
    for part in (by, "train"):
        reference = columns[part][~np.isnan(columns[part])]
        if len(reference):
            mean, deviation = mean_and_deviation(reference)
            curve = curve if part == "train" else "line"
            return {where: standardised(column, mean, deviation, curve) for where, column in columns.items()}
    raise ScoreError(
        f"{name} has no {'training' if by == 'train' else f'{by} or training'} score to standardise by; give its "
        f"scores of the training clips, or leave it out"
    )


def mean_and_deviation(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and population standard deviation of scores `[C]`; of equal scores that score itself and 1.

    >>> mean_and_deviation(np.array([0.1, 0.1, 0.1]))
    (0.1, 1.0)
    """
    if scores.min() == scores.max():  # rounding would leave a deviation that is not quite 0
        return float(scores[0]), 1.0
    return float(scores.mean()), float(scores.std()) or 1.0


def _union(leaves: Mapping[str, Scores], part: Part) -> tuple[ScoreRow, ...]:
    rows: dict[tuple[str, str, str], ScoreRow] = {}
    for scores in leaves.values():
        for row in scores.part(part):
            if rows.setdefault(row.key, row).label != row.label:
                raise ScoreError(
                    f"{' '.join(row.key)} is {rows[row.key].label or 'without label'} in one score table and "
                    f"{row.label or 'without label'} in another; score the same data with each system"
                )
    return tuple(rows[key] for key in sorted(rows))
