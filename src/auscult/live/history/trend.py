"""The trend of scores between two times: as fine as is kept, in as many points as are asked for."""

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from auscult.live.history.rows import ScoreColumns
from auscult.live.history.tables import LEVELS, scores

MOST_ROWS = 20_000
"""That are merged into points for one answer; where there would be more, a coarser level is read."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The scores of one machine from one time to another.

    Args:
        connection: to the history.
        machine: its name.
        start: in seconds since 1970.
        end: likewise.
    """

    connection: Connection
    machine: str
    start: float
    end: float

    def columns(self, points: int) -> ScoreColumns:
        """Scores of the buckets that overlap the time, in at most about so many points.

        The finest level is taken of which so many buckets or fewer lie there, and which is still kept there; the next
        finer one, merged, if it makes more points of them.
        """
        level, seconds = LEVELS[-1], self.end - self.start
        for finer in LEVELS[-2::-1]:
            rows = self._rows(finer)
            if rows > MOST_ROWS:
                break
            if not self._kept(finer, level):
                continue
            if rows > points:
                step = finer * math.ceil(seconds / finer / points)
                if step < level:
                    return self._read(finer, step)
                break
            level = finer
        return self._read(level, level if level < LEVELS[-1] else level * max(1, math.ceil(seconds / level / points)))

    def _within(self, level: int) -> ColumnElement[bool]:
        after, before = scores.c.time > self.start - level, scores.c.time < self.end
        return (scores.c.machine == self.machine) & (scores.c.level == level) & after & before

    def _rows(self, level: int) -> int:
        """How many buckets of a level there are, at most one more than `MOST_ROWS`."""
        some = select(scores.c.time).where(self._within(level)).limit(MOST_ROWS + 1).subquery()
        return self.connection.execute(select(func.count()).select_from(some)).scalar_one()

    def _kept(self, finer: int, level: int) -> bool:
        """Whether a finer level has all windows that a coarser one has."""
        start, end = math.floor(self.start / level) * level, math.ceil(self.end / level) * level
        ours = (scores.c.machine == self.machine) & (scores.c.time >= start) & (scores.c.time < end)
        windows = select(func.coalesce(func.sum(scores.c["count"]), 0)).where(ours)
        some, all_ = (
            self.connection.execute(windows.where(scores.c.level == one)).scalar_one() for one in (finer, level)
        )
        return bool(some >= all_)

    def _read(self, level: int, step: int) -> ScoreColumns:
        columns = scores.c
        if step == level:
            names = "time low sum high count scored above".split()
            wanted = select(*(columns[name] for name in names))
        else:
            time = (columns.time - columns.time % step).label("time")
            total, windows, scored, above = (func.sum(columns[name]) for name in ("sum", "count", "scored", "above"))
            low, high = func.min(columns.low), func.max(columns.high)
            wanted = select(time, low, total, high, windows, scored, above).group_by(time)
        rows = self.connection.execute(wanted.where(self._within(level)).order_by("time")).all()
        return transposed(step, rows)


def transposed(step: int, rows: Any) -> ScoreColumns:
    """Rows of time, low, sum, high, count, scored and above, as columns."""
    times, low, total, high, count, scored, above = [list(column) for column in zip(*rows, strict=True)] or [[]] * 7
    mean = [all_ / number if number else None for all_, number in zip(total, scored, strict=True)]
    return ScoreColumns(step, times, low, mean, high, count, scored, above)
