"""The trend of scores between two times: as fine as is kept, in as many points as are asked for.

The statements are plain text, for a page waits for a dozen of them.
"""

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from auscult.live.history.rows import ScoreColumns
from auscult.live.history.tables import LEVELS

MOST_ROWS = 20_000
"""That are merged into points for one answer; where there would be more, a coarser level is read."""

MOST_POINTS = 5000
"""That one answer is asked for."""

_WITHIN = "FROM scores WHERE machine = :machine AND level = :level AND time > :begin - :level AND time < :end"
_ROWS = f"SELECT count(*) FROM (SELECT 1 {_WITHIN} LIMIT {MOST_ROWS + 1})"
_READ = f"SELECT time, low, sum, high, count, scored, above {_WITHIN} ORDER BY time"
_MERGED = f"""
SELECT time - time % :step AS start, min(low), sum(sum), max(high), sum(count), sum(scored), sum(above)
{_WITHIN} GROUP BY start ORDER BY start
"""
_WINDOWS = """
SELECT coalesce(sum(count), 0) FROM scores WHERE machine = :machine AND level = {} AND time >= :first AND time < :last
"""
_KEPT = f"SELECT ({_WINDOWS.format(':finer')}) >= ({_WINDOWS.format(':coarser')})"


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
            rows = self._ask(_ROWS, level=finer).scalar_one()
            if rows > MOST_ROWS:
                break
            if not self._kept(finer, level):
                continue
            if rows > points:
                step = finer * math.ceil(seconds / finer / points)
                if step < level:
                    return self.read(finer, step)
                break
            level = finer
        return self.read(level, level if level < LEVELS[-1] else level * max(1, math.ceil(seconds / level / points)))

    def read(self, level: int, step: int) -> ScoreColumns:
        """Scores of one level, merged into buckets of `step` seconds, a multiple of it."""
        rows = self._ask(_READ if step == level else _MERGED, level=level, step=step).all()
        time, low, total, high, count, scored, above = [list(column) for column in zip(*rows, strict=True)] or [[]] * 7
        mean = [all_ / number if number else None for all_, number in zip(total, scored, strict=True)]
        return ScoreColumns(step, time, low, mean, high, count, scored, above)

    def _kept(self, finer: int, coarser: int) -> bool:
        """Whether a finer level has all windows that a coarser one has."""
        span = {"first": math.floor(self.start / coarser) * coarser, "last": math.ceil(self.end / coarser) * coarser}
        return bool(self._ask(_KEPT, finer=finer, coarser=coarser, **span).scalar_one())

    def _ask(self, statement: str, **values: float) -> Any:
        own = {"machine": self.machine, "begin": self.start, "end": self.end}
        return self.connection.exec_driver_sql(statement, {**own, **values})
