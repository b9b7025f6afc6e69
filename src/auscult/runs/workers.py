"""Workers: processes that do jobs for a run, tell how they go, and end with it."""

import signal
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from auscult.errors import AuscultError
from auscult.processes import ONE_THREAD, ctrl_c_for_this_process_alone, end_with
from auscult.runs.jobs import Job, OnProgress, run_job
from auscult.runs.store import Store

REPORT_SECONDS = 0.25
"""A worker tells how a job goes at most this often."""


def attempt(job: Job, store: Store, on_progress: OnProgress) -> str | None:
    """Do a job; the reason if it fails, for whatever reason: one job must not take the others with it."""
    try:
        run_job(job, store, on_progress)
    except (AuscultError, OSError) as error:
        return str(error)
    except MemoryError:
        return "there is not enough memory; start fewer workers"
    except Exception as error:  # noqa: BLE001  # a mistake of ours in one job must not lose the work of the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{traceback.format_exception_only(error)[-1].strip()} ({where.filename}, line {where.lineno})"
    return None


class Worker:
    """A process that does one job after the other.

    It is a pool of its own, so that its death is known to be its own, and disturbs no other.
    """

    def __init__(self) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self._line, self._far_end = Pipe()
        self._pool: Any = ProcessPoolExecutor(1, initializer=_join, initargs=(self._far_end,), env=ONE_THREAD)

    def submit(self, job: Job, store: Store) -> "Future[str | None]":
        """Start a job; the result is that of `attempt`, or an error if the process died. The first job starts it."""
        future: Future[str | None] = Future()
        try:
            with ctrl_c_for_this_process_alone():
                future = self._pool.submit(_work, job, store.folder)
        except (BrokenExecutor, OSError) as error:  # it died while it was idle, or the system starts no more
            future.set_exception(error)
        return future

    def news(self) -> Iterator[tuple[str, int, int, str]]:
        """What it has told since the last time: the arguments of `OnProgress`."""
        with suppress(EOFError, OSError):
            while self._line.poll():
                yield self._line.recv()

    def hang_up(self) -> None:
        """Let it end soon, in the middle of a job, too."""
        self._line.close()

    def close(self) -> None:
        """Wait until it has ended."""
        self._pool.shutdown(wait=True)
        self._line.close()
        self._far_end.close()


# In the worker


@dataclass
class _Line:
    """The line to the run, once this process is a worker."""

    connection: "Connection | None" = None
    told: dict[str, float] = field(default_factory=dict)

    def tell(self, label: str, done: int, total: int, text: str) -> None:
        """Tell how a job goes, if there was silence for long enough."""
        now = time.monotonic()
        if self.connection is None or now - self.told.get(label, -REPORT_SECONDS) < REPORT_SECONDS:
            return
        self.told = {label: now}
        with suppress(OSError):  # nobody listens any more
            self.connection.send((label, done, total, text))


_line = _Line()


def _join(connection: "Connection") -> None:
    """Become a worker of the run at the other end."""
    _line.connection = connection
    end_with(connection)


def _work(job: Job, folder: Path) -> str | None:
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # on the way out a job removes its temporary files
    try:
        return attempt(job, Store(folder), _line.tell)
    finally:
        signal.signal(signal.SIGTERM, before)
