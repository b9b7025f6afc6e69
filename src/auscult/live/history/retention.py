"""How long the history is kept: scores thin with age, sounds go by age and by size; what a fault points to stays."""

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Engine, delete, func, select

from auscult.live.history.glance import machine_names
from auscult.live.history.tables import LEVELS, checkpoints, incidents, notes, scores, sounds

DAY = 86400.0
BATCH = 5000
"""Rows that one transaction deletes at most: others who write wait no longer."""

AROUND = LEVELS[2]
"""Scores at a fault are kept in whole buckets of so many seconds, and one more on either side."""

PAGES = 512
"""Pages that one transaction gives back to the disk."""

Span = tuple[float, float]
Most = Annotated[float, Field(gt=0, strict=True)]


class Retention(BaseModel):
    """How long everything is kept, by each machine's own clock; hours, incidents and notes are kept for ever.

    Scores and sounds of moments that a note calls a fault are kept as well.

    Attributes:
        second_days: scores of each second.
        minute_days: scores of each minute.
        ten_minute_days: scores of each ten minutes.
        sound_days: sounds of alarms and warnings.
        megabytes: of all sounds together; then the oldest go.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    second_days: Most = 2.0
    minute_days: Most = 31.0
    ten_minute_days: Most = 400.0
    sound_days: Most = 90.0
    megabytes: Most = 2000.0

    def apply(self, engine: Engine, now: float) -> None:
        """Delete what is older or more, in short transactions, and give the space back to the disk.

        Args:
            engine: of the history, for writing.
            now: in seconds since 1970.

        Raises:
            SQLAlchemyError: if the disk cannot be written to.
        """
        days = dict(zip(LEVELS, (self.second_days, self.minute_days, self.ten_minute_days), strict=False))
        clocks = _clocks(engine, now)
        for machine, clock in clocks.items():
            kept = _faults(engine, machine)
            for level, most in days.items():
                end = math.floor((clock - most * DAY) / LEVELS[-1]) * LEVELS[-1]
                for start, stop in _between(kept, end):
                    _thin(engine, machine, level, start, stop)
        self._drop_sounds(engine, clocks)
        _shrink(engine)

    def _drop_sounds(self, engine: Engine, clocks: Mapping[str, float]) -> None:
        sizes = select(sounds.c.incident, sounds.c.start, sounds.c.seconds, incidents.c.machine)
        sizes = sizes.add_columns(func.length(sounds.c.flac).label("size"))
        sizes = sizes.select_from(sounds.outerjoin(incidents, sounds.c.incident == incidents.c.id))
        with engine.connect().execution_options(reading=True) as connection:
            rows = connection.execute(sizes.order_by(sounds.c.start)).all()
            kept = set(connection.execute(select(notes.c.incident).where(_standing_fault())).scalars())
        spans = {machine: _faults(engine, machine) for machine in {row.machine for row in rows}}
        total = sum(row.size for row in rows)
        for row in rows:
            old = row.start < clocks.get(row.machine, -math.inf) - self.sound_days * DAY
            at_fault = any(start < row.start + row.seconds and row.start < end for start, end in spans[row.machine])
            if (old or total > self.megabytes * 1e6) and not at_fault and row.incident not in kept:
                with engine.begin() as connection:
                    connection.execute(delete(sounds).where(sounds.c.incident == row.incident))
                total -= row.size


def _clocks(engine: Engine, now: float) -> dict[str, float]:
    """The time of each machine's own clock: of a replay, it is another than `now`."""
    with engine.connect().execution_options(reading=True) as connection:
        machines = machine_names(connection)
        rows = connection.execute(select(checkpoints.c.machine, checkpoints.c.json)).all()
    clocks = dict.fromkeys(machines, now)
    for machine, text in rows:
        checkpoint = json.loads(text)
        time, clock = checkpoint.get("time"), checkpoint.get("clock")
        if isinstance(time, int | float) and isinstance(clock, int | float):
            clocks[machine] = now - time + clock
    return clocks


def _standing_fault() -> ColumnElement[bool]:
    return (notes.c.verdict == "fault") & notes.c.undone.is_(None)


def _faults(engine: Engine, machine: str) -> list[Span]:
    """Where scores are kept for ever, in order, without overlap."""
    wanted = select(notes.c.start, notes.c.end).where(notes.c.machine == machine, _standing_fault())
    with engine.connect().execution_options(reading=True) as connection:
        rows = connection.execute(wanted.order_by(notes.c.start)).all()
    spans: list[Span] = []
    for row in rows:
        start = (math.floor(row.start / AROUND) - 1) * AROUND
        end = (math.floor(row.end / AROUND) + 2) * AROUND
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def _between(kept: Sequence[Span], end: float) -> Iterator[Span]:
    """What lies before `end` and is not kept."""
    place = -math.inf
    for start, stop in kept:
        if start >= end:
            break
        yield place, start
        place = stop
    if place < end:
        yield place, end


def _thin(engine: Engine, machine: str, level: int, start: float, stop: float) -> None:
    """Delete a level's rows from `start` up to `stop`."""
    low = max(start, -(2.0**62))
    ours = (scores.c.machine == machine, scores.c.level == level, scores.c.time >= low, scores.c.time < stop)
    batch = select(scores.c.time).where(*ours).order_by(scores.c.time).offset(BATCH).limit(1)
    while True:
        with engine.begin() as connection:
            bound = connection.execute(batch).scalar()
            connection.execute(delete(scores).where(*ours, scores.c.time < (stop if bound is None else bound)))
        if bound is None:
            return


def _shrink(engine: Engine) -> None:
    """Give free pages back, if they are many: a few are soon used again."""
    before = math.inf
    with closing(engine.raw_connection()) as borrowed, suppress(sqlite3.OperationalError):  # another one writes
        database = borrowed.driver_connection
        assert database is not None
        while True:
            (free,) = database.execute("PRAGMA freelist_count").fetchone()
            if free < 2 * PAGES or free >= before:
                return
            before = free
            database.executescript(f"PRAGMA incremental_vacuum({PAGES})")  # `execute` would take one step of it: a page
            database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
