"""The writer of the history: each event once, what each output has still to get, and where to go on after a crash."""

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Row, func, select
from sqlalchemy.exc import SQLAlchemyError

from auscult.live.events import Event, dumps
from auscult.live.history import tables
from auscult.live.history.opening import lock, reason, writing_engine
from auscult.live.history.pending import Pending, PendingEvent, buckets_of
from auscult.live.history.retention import Retention
from auscult.live.history.rows import Sound, ThresholdRow, WindowScore
from auscult.live.history.writing import write
from auscult.live.sound import FileKey

PART = 100
"""Events that are written at once after a failure."""


class History:
    """What a monitor writes down, in one SQLite file: all that belongs together is written at once.

    A full disk raises nothing: what could not be written is kept in memory, still delivered, and written later;
    `problem` says so. Threads may share a history, and processes a folder.

    Args:
        folder: of the history, made if it is missing; none keeps everything in memory, but no scores and no sounds.
        machine: whose outbox, files, checkpoint and scores these are; several machines may share a folder.
        locked: take the folder's lock; else the caller holds it.

    Raises:
        MonitorError: if another monitor uses the folder, or the file in it is damaged.
        RunError: if the folder cannot be written to.
    """

    def __init__(self, folder: Path | None, *, machine: str = "", locked: bool = True) -> None:
        self.folder, self.machine, self._outputs = folder, machine, list[str]()
        self.problem: str | None = None
        self._mutex = threading.RLock()
        self._pending, self._level = Pending(), ""
        with ExitStack() as held:
            if folder is not None and locked:
                held.enter_context(lock(folder))
            self.engine = writing_engine(folder, alone=True)
            self._held = held.pop_all()

    @property
    def lost(self) -> int:
        """Events that were given up while the disk was full."""
        return self._pending.lost

    def close(self) -> None:
        """Write what can be written, and let the next monitor in."""
        with self._mutex:
            self.flush()
            self.engine.dispose()
            self._held.close()

    def deliver_to(self, outputs: Sequence[str]) -> None:
        """From now on, these outputs get every event."""
        with self._mutex:
            self._outputs = list(dict.fromkeys(outputs))

    def checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint that was recorded, if any."""
        with self._mutex:
            rows = self._rows(select(tables.checkpoints.c.json).where(tables.checkpoints.c.machine == self.machine))
            saved = self._pending.checkpoint or (rows[0].json if rows else None)
            return None if saved is None else dict(json.loads(saved))

    def heard_file(self, name: str) -> FileKey | None:
        """A file as it was heard to its end, or None."""
        with self._mutex:
            wanted = select(tables.files).where(tables.files.c.machine == self.machine, tables.files.c.name == name)
            rows = self._rows(wanted)
            return self._pending.files.get(name) or (FileKey(name, rows[0].size, rows[0].mtime_ns) if rows else None)

    def record(
        self,
        events: Sequence[Event],
        *,
        checkpoint: Mapping[str, Any] | None = None,
        heard: FileKey | None = None,
        scores: Sequence[WindowScore] = (),
        sounds: Mapping[str, Sound] | None = None,
    ) -> list[Event]:
        """Write down events, and with them how to go on; gives those that were not there already.

        Args:
            events: new ones, or the same again after a crash.
            checkpoint: replaces the last one.
            heard: a file that need not be heard again.
            scores: of the windows since the last checkpoint; none is written twice by itself.
            sounds: by the ids of the alarms or warnings to which they belong.
        """
        with self._mutex:
            new = [event for event in events if not self._known(event.key)]
            for event in new:
                self._pending.events[event.key] = PendingEvent(event, dumps(event.to_json()), list(self._outputs))
            if checkpoint is not None:
                self._pending.checkpoint = json.dumps(checkpoint)
            if heard is not None:
                self._pending.files[heard.name] = heard
            if self.folder is not None:
                buckets_of(scores, self._pending.buckets)
                self._pending.sounds.update(sounds or {})
            self.flush()
            self._pending.bound()
            return new

    def threshold(
        self,
        time: float,
        threshold: float,
        warning: float | None,
        *,
        why: str,
        note: int | None = None,
        author: str = "",
    ) -> None:
        """From a time on, another threshold is in force; nothing is written if it is the one that was.

        Args:
            time: in seconds since 1970.
            threshold: of alarms.
            warning: of warnings, if there is that level.
            why: start, note or undo.
            note: by which it came.
            author: who decided it.
        """
        with self._mutex:
            last = select(tables.thresholds).where(tables.thresholds.c.machine == self.machine)
            rows = self._pending.thresholds[-1:] or self._rows(
                last.order_by(tables.thresholds.c.number.desc()).limit(1)
            )
            if rows and (rows[0].threshold, rows[0].warning) == (threshold, warning):
                return
            self._pending.thresholds.append(ThresholdRow(self.machine, time, threshold, warning, why, note, author))
            self.flush()

    def undelivered(self, output: str, *, limit: int = 20) -> list[tuple[str, str]]:
        """Keys and lines of JSON that an output has not got, the oldest first."""
        with self._mutex:
            pending = self._pending
            wanted = self._waiting(output, tables.events.c.number, tables.events.c.key, tables.events.c.json)
            rows = self._rows(wanted.order_by(tables.events.c.number).limit(limit + len(pending.delivered)))
            found = [(row.key, row.json) for row in rows if (output, row.number) not in pending.delivered]
            found += [(key, waiting.line) for key, waiting in pending.events.items() if output in waiting.missing]
            return found[:limit]

    def waiting(self, output: str) -> int:
        """How many events an output has not got."""
        with self._mutex:
            stored = sum(row[0] for row in self._rows(self._waiting(output, func.count())))
            done = sum(name == output for name, _ in self._pending.delivered)
            return int(stored) - done + sum(output in event.missing for event in self._pending.events.values())

    def delivered(self, output: str, key: str) -> None:
        """Note that an output has got an event."""
        with self._mutex:
            waiting = self._pending.events.get(key)
            if waiting is not None:
                waiting.missing = [name for name in waiting.missing if name != output]
            else:
                rows = self._rows(select(tables.events.c.number).where(tables.events.c.key == key))
                self._pending.delivered.update((output, row.number) for row in rows)
            self.flush()

    def flush(self) -> None:
        """Write all that waits in memory, in one transaction; `problem` says why it was not possible.

        After a failure in parts, so that trying again is cheap: events, all else but sounds, and sound by sound.
        """
        with self._mutex:
            pending = self._pending
            if not pending or (self.problem is None and (self._written(pending) or not pending.sounds)):
                return
            while len(pending.events) > PART:
                part = Pending(events=dict(islice(pending.events.items(), PART)))
                if not self._written(part):
                    return
                pending.events = dict(islice(pending.events.items(), PART, None))
            sounds, pending.sounds = pending.sounds, {}
            done = self._written(pending)
            pending.sounds = sounds
            while done and pending.sounds:
                incident = next(iter(pending.sounds))
                done = self._written(Pending(sounds={incident: pending.sounds[incident]}))
                if done:
                    del pending.sounds[incident]

    def tidy(self, retention: Retention, now: float) -> None:
        """Let go of what is older, or more, than is to be kept; `problem` says why it was not possible.

        Args:
            retention: how long everything is kept.
            now: in seconds since 1970.
        """
        with self._mutex:
            try:
                retention.apply(self.engine, now)
            except SQLAlchemyError as error:
                self._note(error)

    def _written(self, pending: Pending) -> bool:
        """Whether a part, or all, of what waits could be written; it then waits no more."""
        try:
            self._settle("FULL" if pending.events or pending.thresholds else "NORMAL")
            with self.engine.begin() as connection:
                write(connection, pending, self.machine)
        except (SQLAlchemyError, sqlite3.Error) as error:
            self._note(error)
            return False
        self.problem = None
        pending.clear()
        return True

    def _settle(self, level: str) -> None:
        """Wait for the disk at what must outlast a power cut; other things are whole after it, or not there at all.

        A cut then takes the last scores together with their checkpoint: a file is heard again from there.
        """
        if level != self._level:
            with closing(self.engine.raw_connection()) as borrowed:
                borrowed.cursor().execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _waiting(self, output: str, *columns: Any) -> Any:
        found = select(*columns).select_from(
            tables.outbox.join(tables.events, tables.outbox.c.number == tables.events.c.number)
        )
        found = found.where(tables.outbox.c.output == output)
        return found.where(tables.events.c.machine == self.machine) if self.machine else found

    def _known(self, key: str) -> bool:
        return key in self._pending.events or bool(
            self._rows(select(tables.events.c.number).where(tables.events.c.key == key))
        )

    def _rows(self, query: Executable) -> Sequence[Row[Any]]:
        """The rows that a query finds; none when the disk cannot be read."""
        try:
            with self.engine.connect().execution_options(reading=True) as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            self._note(error)
            return []

    def _note(self, error: Exception) -> None:
        lost = f". {self.lost} events were lost" if self.lost else ""
        self.problem = (
            f"the history {self.folder or 'in memory'} cannot be written ({reason(error)}); free some space or mend "
            "its disk. Monitoring goes on, alarms are still delivered, and what is missing is written as soon as it "
            f"can be{lost}"
        )
