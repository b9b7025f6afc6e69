"""Reading the history while others write it: scores, thresholds, incidents and their sounds, notes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from auscult.live.history.cursors import after, cursor_of, number_of
from auscult.live.history.glance import glances, machine_names
from auscult.live.history.opening import reading_engine
from auscult.live.history.rows import (
    Glance,
    Incident,
    Listing,
    Note,
    ScoreColumns,
    Sound,
    SoundFacts,
    ThresholdRow,
)
from auscult.live.history.tables import NAME, checkpoints, incidents, notes, sounds, thresholds
from auscult.live.history.trend import Trend


class Reader:
    """Reads a history from any thread; whoever writes it never waits.

    Args:
        folder: of the history.

    Raises:
        MonitorError: if there is none, it is damaged, or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engine = reading_engine(folder)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def machines(self) -> list[str]:
        """Names of the machines that have scores or incidents, sorted."""
        with self._engine.connect() as connection:
            return machine_names(connection)

    def checkpoint(self, machine: str) -> dict[str, Any]:
        """Where the last monitor of a machine stood; empty if there was none."""
        wanted = select(checkpoints.c.json).where(checkpoints.c.machine == machine)
        with self._engine.connect() as connection:
            saved = connection.execute(wanted).scalar()
        return {} if saved is None else dict(json.loads(saved))

    def scores(self, machine: str, start: float, end: float, *, points: int = 1000) -> ScoreColumns:
        """Scores of the buckets that overlap a time: as fine as is kept, in at most about `points` buckets.

        Args:
            machine: its name.
            start: of the time, in seconds since 1970.
            end: likewise.
            points: that can be shown.
        """
        with self._engine.connect() as connection:
            return Trend(connection, machine, start, end).columns(max(points, 1))

    def thresholds(self, machine: str, start: float, end: float) -> list[ThresholdRow]:
        """Thresholds in force from `start` to `end`, the oldest first; the first may be older."""
        ours = select(thresholds).where(thresholds.c.machine == machine)
        order = thresholds.c.time, thresholds.c.number
        before = ours.where(thresholds.c.time <= start).order_by(*(column.desc() for column in order)).limit(1)
        within = ours.where(thresholds.c.time > start, thresholds.c.time <= end).order_by(*order)
        with self._engine.connect() as connection:
            rows = [*connection.execute(before), *connection.execute(within)]
        return [ThresholdRow(r.machine, r.time, r.threshold, r.warning, r.why, r.note, r.author) for r in rows]

    def incidents(
        self,
        *,
        machine: str | None = None,
        kinds: Sequence[str] = (),
        state: Literal["open", "over"] | None = None,
        verdict: Literal["normal", "fault", "none"] | None = None,
        start: float | None = None,
        end: float | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Listing[Incident]:
        """Incidents, the newest first.

        Args:
            machine: of this machine only.
            kinds: of these kinds only: alarm, warning, trouble.
            state: open, or over.
            verdict: of the notes: normal, fault, or none of them.
            start: those that were not over before, in seconds since 1970.
            end: those that were raised before.
            limit: of one part of the list.
            cursor: `next` of the part before.

        Raises:
            MonitorError: if the cursor is none of this list.
        """
        filters = _filters(machine, kinds, state=state, verdict=verdict, start=start, end=end)
        columns = incidents.c
        page = select(incidents).where(
            *filters, *([] if cursor is None else [after(cursor, columns.raised, columns.id)])
        )
        page = page.order_by(columns.raised.desc(), columns.id.desc()).limit(limit + 1)
        with self._engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(incidents).where(*filters)).scalar_one()
            rows = connection.execute(page).all()
            found = _with_notes_and_sounds(connection, rows[:limit])
        return Listing(found, cursor_of(found[-1].raised, found[-1].id) if len(rows) > limit else None, total)

    def incident(self, id: str) -> Incident | None:
        """One incident, if there is one of this id."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(incidents).where(incidents.c.id == id)).all()
            return next(iter(_with_notes_and_sounds(connection, rows)), None)

    def sound(self, id: str) -> Sound | None:
        """The sound of an incident, if it is kept."""
        with self._engine.connect() as connection:
            row = connection.execute(select(sounds).where(sounds.c.incident == id)).first()
        if row is None:
            return None
        return Sound(row.start, row.before, row.sample_rate, row.flac, row.seconds, row.channels)

    def note(self, number: int) -> Note | None:
        """The note of a number, if there is one."""
        with self._engine.connect() as connection:
            row = connection.execute(select(notes).where(notes.c.number == number)).first()
        return None if row is None else note_of(row)

    def notes(
        self, *, machine: str | None = None, verdict: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Listing[Note]:
        """Notes, the newest first, those that were taken back as well.

        Args:
            machine: of this machine only.
            verdict: normal, fault or remark only.
            limit: of one part of the list.
            cursor: `next` of the part before.

        Raises:
            MonitorError: if the cursor is none of this list.
        """
        filters = [] if machine is None else [notes.c.machine == machine]
        filters += [] if verdict is None else [notes.c.verdict == verdict]
        page = select(notes).where(*filters, *([] if cursor is None else [notes.c.number < number_of(cursor)]))
        with self._engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(notes).where(*filters)).scalar_one()
            rows = connection.execute(page.order_by(notes.c.number.desc()).limit(limit + 1)).all()
        found = [note_of(row) for row in rows[:limit]]
        return Listing(found, str(found[-1].number) if len(rows) > limit else None, total)

    def glance(self, ends: Mapping[str, float], *, seconds: float = 86400.0, points: int = 96) -> dict[str, Glance]:
        """Machines at a glance, in a few queries for all of them.

        Args:
            ends: machine -> the end of the time, in seconds since 1970: now, by its own clock.
            seconds: of the time.
            points: of each trend, about.
        """
        with self._engine.connect() as connection:
            return glances(connection, ends, seconds, points)

    def size(self) -> int:
        """Bytes of the file and its write-ahead log."""
        paths = [self.folder / NAME, self.folder / f"{NAME}-wal"]
        return sum(path.stat().st_size for path in paths if path.exists())


def note_of(row: Row[Any]) -> Note:
    """A row of the table as a note."""
    values = row._asdict()
    return Note(**{**values, "heard": bool(values["heard"])})


def _filters(
    machine: str | None,
    kinds: Sequence[str],
    *,
    state: str | None,
    verdict: str | None,
    start: float | None,
    end: float | None,
) -> list[ColumnElement[bool]]:
    columns = incidents.c
    filters: list[ColumnElement[bool]] = [] if machine is None else [columns.machine == machine]
    filters += [columns.kind.in_(kinds)] if kinds else []
    if state is not None:
        filters.append(columns.cleared.is_(None) if state == "open" else columns.cleared.is_not(None))
    if verdict is not None:
        said = _of_verdict(verdict)
        filters.append(columns.id.not_in(said) if verdict == "none" else columns.id.in_(said))
    if start is not None:
        filters.append(columns.cleared.is_(None) | (columns.cleared >= start))
    return filters + ([] if end is None else [columns.raised < end])


def _of_verdict(verdict: str) -> Select[Any]:
    """Incidents about which the last note that stands says so; for none, those about which any says normal or fault."""
    stands = notes.c.incident.is_not(None), notes.c.undone.is_(None), notes.c.verdict.in_(("normal", "fault"))
    if verdict == "none":
        return select(notes.c.incident).where(*stands)
    last = select(func.max(notes.c.number)).where(*stands).group_by(notes.c.incident)
    return select(notes.c.incident).where(notes.c.number.in_(last), notes.c.verdict == verdict)


def _with_notes_and_sounds(connection: Connection, rows: Sequence[Row[Any]]) -> list[Incident]:
    ids = [row.id for row in rows]
    said: dict[str, list[Note]] = {}
    for row in connection.execute(select(notes).where(notes.c.incident.in_(ids)).order_by(notes.c.number)):
        said.setdefault(row.incident, []).append(note_of(row))
    size = func.length(sounds.c.flac).label("size")
    wanted = select(sounds.c.incident, sounds.c.start, sounds.c.seconds, sounds.c.before, size)
    kept = {
        row.incident: SoundFacts(row.start, row.seconds, row.before, row.size)
        for row in connection.execute(wanted.where(sounds.c.incident.in_(ids)))
    }
    found = []
    for row in rows:
        values = row._asdict()
        differences = json.loads(values.pop("json")).get("differences") or []
        found.append(Incident(**values, differences=differences, sound=kept.get(row.id), notes=said.get(row.id, [])))
    return found
