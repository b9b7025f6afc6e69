"""Opening the history: for writing, made or brought to this version first; for reading; its lock; its events."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, QueuePool, StaticPool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from auscult.errors import MonitorError
from auscult.files import saving
from auscult.live.history.migration import migrate
from auscult.live.history.tables import NAME, TABLES, VERSION

BUSY_SECONDS = 5.0
"""How long one process waits for what another one is writing."""

WAL_BYTES = 16 * 2**20
"""To which the write-ahead log is cut when all in it has been taken over."""


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Within the block, nobody else is responsible for the history of a folder, which is made if it is missing.

    Raises:
        MonitorError: if somebody else holds the lock.
        RunError: if the folder cannot be written to.
    """
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / "lock")
        try:
            held.acquire(timeout=0)
        except Timeout:
            raise MonitorError(
                f"another monitor writes to {folder}; stop it, or name another folder with --state"
            ) from None
    try:
        yield
    finally:
        held.release()


def writing_engine(folder: Path | None, *, alone: bool = False) -> Engine:
    """The history of a folder, made or brought to this version; none is one in memory.

    A transaction begins with the right to write; one of `execution_options(reading=True)` does without.

    Args:
        folder: is there.
        alone: one connection, of which the caller sees to it that one thread uses it at a time.

    Raises:
        MonitorError: if it is damaged, or newer than this version.
    """
    path = None if folder is None else folder / NAME

    def connect() -> sqlite3.Connection:
        database = _connect(":memory:" if path is None else str(path))
        try:
            database.execute("PRAGMA synchronous = FULL")
            database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        except sqlite3.Error:
            database.close()
            raise
        return database

    engine = _engine(connect, alone=alone or path is None)
    try:
        _patiently(lambda: _prepare(engine, path))
    except (SQLAlchemyError, sqlite3.Error) as error:
        engine.dispose()
        raise damaged(path, error) from error
    except MonitorError:
        engine.dispose()
        raise
    return engine


def reading_engine(folder: Path) -> Engine:
    """The history of a folder for any number of threads that only read; nobody who writes waits for them.

    Raises:
        MonitorError: if there is none, it is damaged, or of another version.
    """
    path = _present(folder)
    try:
        with closing(open_reading(path)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise damaged(path, error) from error
    if version != VERSION:
        hint = "update auscult" if version > VERSION else "start a monitor on it once, which brings it to this version"
        raise MonitorError(f"{path} has version {version} of the history, this one reads {VERSION}; {hint}")
    return _engine(lambda: open_reading(path), alone=False, reading=True)


def open_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, also where the folder is not writable, and leaves no files behind.

    Raises:
        sqlite3.Error: if the file cannot be read.
    """
    where = path.resolve().as_uri()
    database = _connect(f"{where}?mode=rw")
    try:
        database.execute("PRAGMA query_only = 1")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        database.close()
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        database = _connect(f"{where}?immutable=1")  # nobody writes where nobody can
    return database


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The events of a folder as JSON, the oldest first, of any version; a running monitor is not disturbed.

    Raises:
        MonitorError: if there is no history, or it is damaged.
    """
    path = _present(folder)
    try:
        with closing(open_reading(path)) as database:
            return [json.loads(line) for (line,) in database.execute("SELECT json FROM events ORDER BY number")]
    except sqlite3.Error as error:
        raise damaged(path, error) from error


def file_hash(path: Path) -> str:
    """Hash of a file's content, by which it is known after a restart."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged(path: Path | None, error: Exception) -> MonitorError:
    """What to say of a history that cannot be opened."""
    return MonitorError(
        f"the history {path or 'in memory'} cannot be opened ({reason(error)}); mend the disk, or move the file out of "
        "the way"
    )


def reason(error: Exception) -> str:
    """What the database says, without the statement."""
    return str(getattr(error, "orig", None) or error)


def _connect(path: str) -> sqlite3.Connection:
    """A connection in which only BEGIN begins a transaction; a path that begins with file: is a URI."""
    uri = path.startswith("file:")
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri)


def _engine(connect: Callable[[], sqlite3.Connection], *, alone: bool, reading: bool = False) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool if alone else QueuePool)

    def begin(connection: Connection) -> None:
        only_reads = reading or connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    event.listen(engine, "begin", begin)
    return engine


def _present(folder: Path) -> Path:
    path = folder / NAME
    if not path.is_file():
        raise MonitorError(f"{folder} holds no history ({NAME}); name the folder that was given as --state")
    return path


def _patiently(act: Callable[[], None]) -> None:
    """Again, while another process opens the same file: not every lock of SQLite waits by itself."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return act()
        except (SQLAlchemyError, sqlite3.Error) as error:
            if "locked" not in reason(error) or time.monotonic() > end:
                raise
        time.sleep(0.02)


def _prepare(engine: Engine, path: Path | None) -> None:
    with closing(engine.raw_connection()) as borrowed:
        database = borrowed.driver_connection
        assert database is not None
        version = _version(database.execute("PRAGMA user_version").fetchone()[0], path)
        if version < VERSION:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            if version:
                with suppress(sqlite3.OperationalError):  # a full disk: it is used again, but never shrinks
                    database.execute("VACUUM")
        database.execute("PRAGMA journal_mode = WAL")
    if version == VERSION:
        return
    with engine.begin() as connection:  # another process may have been first
        version = _version(connection.exec_driver_sql("PRAGMA user_version").scalar_one(), path)
        if version == 0:
            TABLES.create_all(connection, checkfirst=False)
        elif version == 1:
            migrate(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")


def _version(found: int, path: Path | None) -> int:
    if found > VERSION:
        raise MonitorError(f"{path} has version {found} of the history, this one writes {VERSION}; update auscult")
    return found
