"""The history of a monitor: each event once, what each output has still to get, and where to go on after a crash."""

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from auscult.errors import MonitorError
from auscult.files import saving
from auscult.live.events import Event, dumps
from auscult.live.sound import FileKey

NAME = "history.sqlite"
VERSION = 1

MOST_PENDING = 10_000
"""Events that are kept in memory while the disk is full; then the oldest are lost, and the history says how many."""

_TABLES = """
CREATE TABLE events (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE outbox (output TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (output, number)) WITHOUT ROWID;
CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), json TEXT NOT NULL);
"""


@dataclass(slots=True)
class _Pending:
    """An event that is not yet on the disk, and the outputs that have not got it."""

    line: str
    missing: list[str]


class History:
    """Events, outbox, heard files and checkpoint in one SQLite file: all that belongs together is written at once.

    A full disk raises nothing: what could not be written is kept in memory, still delivered, and written later;
    `problem` says so. Threads may share a history.

    Args:
        folder: of the history, made if it is missing; none keeps everything in memory.
        outputs: names of those that get every event from now on.

    Raises:
        MonitorError: if another monitor uses the folder, or the file in it is damaged.
        RunError: if the folder cannot be written to.
    """

    def __init__(self, folder: Path | None, outputs: Sequence[str] = ()) -> None:
        self.folder, self._outputs = folder, list(dict.fromkeys(outputs))
        self.problem: str | None = None
        self.lost = 0
        self._mutex = threading.RLock()
        self._pending: dict[str, _Pending] = {}
        self._delivered: set[tuple[str, int]] = set()
        self._files: dict[str, FileKey] = {}
        self._checkpoint: str | None = None
        self._lock = None if folder is None else _locked(folder)
        self._database = _opened(":memory:" if folder is None else str(folder / NAME))

    def close(self) -> None:
        """Write what can be written, and let the next monitor in."""
        with self._mutex:
            self.flush()
            self._database.close()
            if self._lock is not None:
                self._lock.release()

    def deliver_to(self, outputs: Sequence[str]) -> None:
        """From now on, these outputs get every event."""
        with self._mutex:
            self._outputs = list(dict.fromkeys(outputs))

    def checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint that was recorded, if any."""
        rows = self._rows("SELECT json FROM checkpoint")
        return dict(json.loads(rows[0][0])) if rows else None

    def heard_file(self, name: str) -> FileKey | None:
        """A file as it was heard to its end, or None."""
        with self._mutex:
            rows = self._rows("SELECT name, size, mtime_ns FROM files WHERE name = ?", name)
            return self._files.get(name) or (FileKey(*rows[0]) if rows else None)

    def record(
        self,
        events: Sequence[Event],
        *,
        checkpoint: Mapping[str, Any] | None = None,
        heard: FileKey | None = None,
    ) -> list[Event]:
        """Write down events, and with them how to go on; gives those that were not there already.

        Args:
            events: new ones, or the same again after a crash.
            checkpoint: replaces the last one.
            heard: a file that need not be heard again.
        """
        with self._mutex:
            new = [event for event in events if not self._known(event.key)]
            for event in new:
                self._pending[event.key] = _Pending(dumps(event.to_json()), list(self._outputs))
            if checkpoint is not None:
                self._checkpoint = json.dumps(checkpoint)
            if heard is not None:
                self._files[heard.name] = heard
            self.flush()
            self._forget()
            return new

    def undelivered(self, output: str, *, limit: int = 20) -> list[tuple[str, str]]:
        """Keys and lines of JSON that an output has not got, the oldest first."""
        with self._mutex:
            rows = self._rows(
                "SELECT number, key, json FROM outbox JOIN events USING (number) WHERE output = ? "
                "ORDER BY number LIMIT ?",
                output,
                limit + len(self._delivered),
            )
            found = [(key, line) for number, key, line in rows if (output, number) not in self._delivered]
            found += [(key, pending.line) for key, pending in self._pending.items() if output in pending.missing]
            return found[:limit]

    def waiting(self, output: str) -> int:
        """How many events an output has not got."""
        with self._mutex:
            stored = sum(row[0] for row in self._rows("SELECT count(*) FROM outbox WHERE output = ?", output))
            done = sum(name == output for name, _ in self._delivered)
            return int(stored) - done + sum(output in pending.missing for pending in self._pending.values())

    def delivered(self, output: str, key: str) -> None:
        """Note that an output has got an event."""
        with self._mutex:
            if key in self._pending:
                self._pending[key].missing = [name for name in self._pending[key].missing if name != output]
            else:
                rows = self._rows("SELECT number FROM events WHERE key = ?", key)
                self._delivered.update((output, row[0]) for row in rows)
            self.flush()

    def flush(self) -> None:
        """Write all that waits in memory, in one transaction; `problem` says why it was not possible."""
        with self._mutex:
            if not (self._pending or self._delivered or self._files or self._checkpoint):
                return
            try:
                self._write()
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                self._note(error)
                return
            self.problem = None
            self._checkpoint = None
            for waiting in (self._pending, self._delivered, self._files):
                waiting.clear()

    def _write(self) -> None:
        execute = self._database.execute
        execute("BEGIN IMMEDIATE")
        for key, pending in self._pending.items():
            added = execute("INSERT OR IGNORE INTO events (key, json) VALUES (?, ?)", (key, pending.line))
            for output in pending.missing if added.rowcount else ():
                execute("INSERT INTO outbox VALUES (?, ?)", (output, added.lastrowid))
        for output, number in self._delivered:
            execute("DELETE FROM outbox WHERE output = ? AND number = ?", (output, number))
        for file in self._files.values():
            execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (file.name, file.size, file.mtime_ns))
        if self._checkpoint is not None:
            execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)", (self._checkpoint,))
        execute("COMMIT")

    def _known(self, key: str) -> bool:
        if key in self._pending:
            return True
        return bool(self._rows("SELECT 1 FROM events WHERE key = ?", key))

    def _rows(self, query: str, *values: object) -> list[Any]:
        """The rows that a query finds; none when the disk cannot be read."""
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._note(error)
            return []

    def _note(self, error: sqlite3.Error) -> None:
        lost = f". {self.lost} events were lost" if self.lost else ""
        self.problem = (
            f"the history {self.folder or 'in memory'} cannot be written ({error}); free some space or mend its disk. "
            f"Monitoring goes on, alarms are still delivered, and what is missing is written as soon as it can be{lost}"
        )

    def _forget(self) -> None:
        """Keep memory bounded while the disk is full."""
        while len(self._pending) > MOST_PENDING:
            del self._pending[next(iter(self._pending))]
            self.lost += 1


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The events of a monitor's folder as JSON, the oldest first; a running monitor is not disturbed.

    Raises:
        MonitorError: if there is no history, or it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise MonitorError(f"{folder} holds no history ({NAME}); name the folder that was given as --state")
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        ) as database:
            return [json.loads(line) for (line,) in database.execute("SELECT json FROM events ORDER BY number")]
    except sqlite3.Error as error:
        raise _damaged(path, error) from error


def file_hash(path: Path) -> str:
    """Hash of a file's content, by which it is known after a restart."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _locked(folder: Path) -> FileLock:
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise MonitorError(
                f"another monitor writes to {folder}; stop it, or name another folder with --state"
            ) from None
    return lock


def _opened(path: str) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        database.execute("PRAGMA synchronous = FULL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise MonitorError(
                f"{path} has version {version} of the history, this one writes {VERSION}; update auscult"
            )
    except sqlite3.Error as error:
        raise _damaged(Path(path), error) from error
    return database


def _damaged(path: Path, error: sqlite3.Error) -> MonitorError:
    return MonitorError(
        f"the history {path} cannot be opened ({error}); mend the disk, or move the file out of the way"
    )
