"""Notes: what people say of a moment, and take back; nothing is ever deleted."""

import math
from pathlib import Path

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from auscult.errors import MonitorError
from auscult.live.history.opening import reason, writing_engine
from auscult.live.history.reader import note_of
from auscult.live.history.rows import Note
from auscult.live.history.tables import LEVELS, incidents, notes, scores, thresholds

VERDICTS = ("normal", "fault", "remark")
LONGEST_TEXT, LONGEST_NAME = 10_000, 200
LONGEST_MOMENT = 7 * 86400.0
"""Seconds of the longest moment that a note is about."""


class Notes:
    """Writes notes into a history, from any thread; who else writes waits for a moment.

    Args:
        folder: of the history; the caller, or who works for it, holds its lock.

    Raises:
        MonitorError: if the history is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engine = writing_engine(folder)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def add(
        self,
        machine: str,
        *,
        start: float,
        end: float,
        verdict: str,
        author: str,
        now: float,
        text: str = "",
        incident: str | None = None,
    ) -> Note:
        """Say something of a moment.

        Args:
            machine: its name.
            start: of the moment, in seconds since 1970.
            end: likewise; at least `start`.
            verdict: normal, fault or remark.
            author: who says it.
            now: in seconds since 1970.
            text: what is said.
            incident: that it is about.

        Raises:
            MonitorError: if something of it makes no sense, or the history cannot be written.
        """
        _check(start, end, verdict, author, text)
        try:
            with self._engine.begin() as connection:
                values = {
                    "machine": machine,
                    "incident": incident,
                    "start": start,
                    "end": end,
                    "verdict": verdict,
                    "text": text,
                    "author": author,
                    "said": now,
                    **_known(connection, machine, incident, start, end),
                }
                number = connection.execute(insert(notes), values).lastrowid
                return _note(connection, number)
        except SQLAlchemyError as error:
            raise self._refused(error) from error

    def undo(self, number: int, *, author: str, now: float) -> Note:
        """Take a note back; it stays in the history as taken back.

        Args:
            number: of the note.
            author: who takes it back.
            now: in seconds since 1970.

        Raises:
            MonitorError: if there is no such note, it was taken back before, or the history cannot be written.
        """
        try:
            with self._engine.begin() as connection:
                note = _note(connection, number)
                if note.undone is not None:
                    raise MonitorError(f"note {number} was already taken back by {note.undone_by or 'somebody'}")
                taken = update(notes).where(notes.c.number == number).values(undone=now, undone_by=author)
                connection.execute(taken)
                return _note(connection, number)
        except SQLAlchemyError as error:
            raise self._refused(error) from error

    def _refused(self, error: SQLAlchemyError) -> MonitorError:
        return MonitorError(
            f"the note cannot be written to the history {self.folder} ({reason(error)}); free some space and say it "
            "again"
        )


def _check(start: float, end: float, verdict: str, author: str, text: str) -> None:
    if verdict not in VERDICTS:
        raise MonitorError(f"the verdict is {verdict!r}; give one of {', '.join(VERDICTS)}")
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= end - start <= LONGEST_MOMENT):
        raise MonitorError(f"the moment goes from {start} to {end}; give seconds since 1970, at most a week apart")
    if len(text) > LONGEST_TEXT or len(author) > LONGEST_NAME:
        raise MonitorError(f"give at most {LONGEST_TEXT} characters of text, and {LONGEST_NAME} of the author's name")


def _note(connection: Connection, number: int) -> Note:
    row = connection.execute(select(notes).where(notes.c.number == number)).first()
    if row is None:
        raise MonitorError(f"there is no note {number}")
    return note_of(row)


def _known(
    connection: Connection, machine: str, incident: str | None, start: float, end: float
) -> dict[str, float | bool | None]:
    """What is known of a moment: its score, the threshold that was in force, whether an alarm overlapped it."""
    ours = incidents.c.machine == machine
    score = limit = None
    if incident is not None:
        row = connection.execute(select(incidents).where(ours, incidents.c.id == incident)).first()
        if row is None:
            raise MonitorError(f"{machine} has no incident {incident[:80]!r}")
        score, limit = row.score, row.threshold
    for level in LEVELS if score is None else ():
        within = (
            scores.c.machine == machine,
            scores.c.level == level,
            scores.c.time > start - level,
            scores.c.time <= end,
        )
        score = connection.execute(select(func.max(scores.c.high)).where(*within)).scalar()
        if score is not None:
            break
    if limit is None:
        before = select(thresholds.c.threshold).where(thresholds.c.machine == machine, thresholds.c.time <= end)
        newest = before.order_by(thresholds.c.time.desc(), thresholds.c.number.desc()).limit(1)
        limit = connection.execute(newest).scalar()
    overlaps = incidents.c.raised <= end, incidents.c.cleared.is_(None) | (incidents.c.cleared >= start)
    alarm = select(incidents.c.id).where(ours, incidents.c.kind == "alarm", *overlaps).limit(1)
    return {"score": score, "threshold": limit, "heard": connection.execute(alarm).first() is not None}
