"""All machines at a glance: the statements are plain text, for a page waits for many of them."""

import math
from collections.abc import Mapping

from sqlalchemy import Connection

from auscult.live.history.rows import Faults, Glance
from auscult.live.history.tables import LEVELS
from auscult.live.history.trend import Trend

_OPEN = "SELECT machine, id FROM incidents WHERE cleared IS NULL ORDER BY machine, raised"
_ALARMS = (
    "SELECT count(*) FROM incidents WHERE machine = :machine AND raised >= :begin AND raised < :end AND kind = 'alarm'"
)
_FAULTS = "SELECT machine, count(*), sum(heard) FROM notes WHERE verdict = 'fault' AND undone IS NULL GROUP BY machine"

_NAMES = """
WITH RECURSIVE names (name) AS (
    SELECT min(machine) FROM {table}
    UNION ALL SELECT (SELECT min(machine) FROM {table} WHERE machine > name) FROM names WHERE name IS NOT NULL
) SELECT name FROM names WHERE name IS NOT NULL
"""
"""Each found by one step in an index that begins with the machine."""


def machine_names(connection: Connection) -> list[str]:
    """Machines with scores or incidents, sorted."""
    found: set[str] = set()
    for table in ("scores", "incidents"):
        found.update(connection.exec_driver_sql(_NAMES.format(table=table)).scalars())
    return sorted(found)


def glances(connection: Connection, ends: Mapping[str, float], seconds: float, points: int) -> dict[str, Glance]:
    """Machines at a glance.

    Args:
        connection: to the history.
        ends: machine -> end of the time, in seconds since 1970.
        seconds: of the time.
        points: of each trend, about; of levels that are kept for at least a month.
    """
    level = max(one for one in LEVELS[1:] if one <= max(seconds / points, LEVELS[1]))
    step = level * math.ceil(seconds / points / level)
    found: dict[str, list[str]] = {}
    for machine, key in connection.exec_driver_sql(_OPEN):
        found.setdefault(machine, []).append(key)
    faults = {machine: Faults(number, heard) for machine, number, heard in connection.exec_driver_sql(_FAULTS)}
    result = {}
    for machine, end in ends.items():
        span = {"machine": machine, "begin": end - seconds, "end": end}
        (alarms,) = connection.exec_driver_sql(_ALARMS, span).one()
        trend = Trend(connection, machine, end - seconds, end).read(level, step)
        result[machine] = Glance(trend, found.get(machine, []), alarms, faults.get(machine, Faults(0, 0)))
    return result
