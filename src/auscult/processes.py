"""Processes that work for this one: a thread in each, so that bits repeat; their deaths noticed; none outlives it."""

import _thread
import atexit
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Generic, Literal, Self, TypeVar

from auscult.errors import RunError

Item = TypeVar("Item")
Made = TypeVar("Made")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Environment of a worker."""

GRACE_SECONDS = 2.0
"""Time that a task at work has to clean up when nobody wants it any more."""

AHEAD = 4
"""Items for each worker that are in flight, or made and waiting for their turn: they bound the memory."""


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread for torch, BLAS and OpenMP while it lasts."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def ctrl_c_for_this_process_alone() -> Iterator[None]:
    """A process that is started meanwhile does not see Ctrl-C: it ends with its run, without a word."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def default_workers(device: str = "cpu") -> int:
    """Workers if nobody says how many: one for each processor that this process may use, or one on a GPU."""
    from joblib import cpu_count

    return int(cpu_count()) if device == "cpu" else 1


def require_workers(workers: int) -> None:
    """Refuse to work with nobody.

    Raises:
        RunError: if there is no worker.
    """
    if workers < 1:
        raise RunError(f"{workers} workers can do nothing; give at least 1")


def in_order(
    work: Callable[[Item], Made], items: Iterable[Item], *, workers: int, died: Callable[[Item], Made]
) -> Iterator[Made]:
    """What the work makes of each item, in order; a few items are in flight, whatever their number.

    Args:
        work: a function of a module, or a `partial` of one; what it raises ends all.
        items: to work on; may be an iterator without an end.
        workers: processes, with one thread each; no more are started than there are items.
        died: gives what stands for an item at which two processes died, or raises.
    """
    require_workers(workers)
    remaining, made = iter(items), dict[int, Made]()
    taken = given_back = 0
    with Crew[tuple[int, Item]](workers, ahead=2, grace=0) as crew:
        while True:
            for item in islice(remaining, min(crew.free, AHEAD * workers - (taken - given_back))):
                crew.give((taken, item), work, item)
                taken += 1
            if not crew.busy:
                return
            for news in crew.listen():
                place, item = news.task
                if news.kind == "done":
                    made[place] = news.content
                elif news.kind == "died":
                    made[place] = died(item)
            while given_back in made:
                yield made.pop(given_back)
                given_back += 1


@dataclass(frozen=True, slots=True)
class TaskNews(Generic[Item]):
    """What became of a task.

    Attributes:
        task: as it was given.
        kind: `"told"` by the task itself; `"done"`; `"again"`, as its process died and another one tries it; `"died"`,
            as that one died as well.
        content: what was told, or the result.
    """

    task: Item
    kind: Literal["told", "done", "again", "died"]
    content: Any = None


@dataclass(slots=True)
class _Given(Generic[Item]):
    task: Item
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: "Future[Any]"
    deaths: int = 0


class Crew(Generic[Item]):
    """Workers, and what each is at; one that dies is replaced, and its task tried once more.

    At the end of the `with` block workers end: those that are idle at once, others within the grace.

    Args:
        size: workers; each starts with its first task.
        ahead: tasks that a worker may be given before it has done the first.
        grace: seconds for what is at work to clean up, when nobody wants it any more.
    """

    def __init__(self, size: int, *, ahead: int = 1, grace: float = GRACE_SECONDS) -> None:
        self._ahead, self._grace = ahead, grace
        self._given: dict[_Worker, deque[_Given[Item]]] = {_Worker(grace): deque() for _ in range(size)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.busy:  # Ctrl-C, an error, or a caller who has heard enough
            for worker in self._given:
                worker.hang_up()
        for worker in self._given:
            worker.close()

    @property
    def busy(self) -> bool:
        """Whether anybody is at work."""
        return any(self._given.values())

    @property
    def free(self) -> int:
        """How many tasks more can be given."""
        return sum(self._ahead - len(tasks) for tasks in self._given.values())

    def give(self, task: Item, work: Callable[..., Any], *arguments: Any) -> None:
        """Give a task to the worker who has the fewest: `work(*arguments)`, a function of a module."""
        worker = min(self._given, key=lambda one: len(self._given[one]))
        self._given[worker].append(_Given(task, work, arguments, worker.submit(work, arguments)))

    def listen(self, *, seconds: float | None = None) -> list[TaskNews[Item]]:
        """Wait until a task has ended, or for so long; what was told, and what became of tasks.

        Raises:
            Exception: that a task raised.
        """
        wait(
            [one.future for tasks in self._given.values() for one in tasks],
            timeout=seconds,
            return_when=FIRST_COMPLETED,
        )
        found: list[TaskNews[Item]] = []
        for worker, tasks in list(self._given.items()):
            if tasks:
                found += [TaskNews(tasks[0].task, "told", told) for told in worker.news()]
            while tasks and tasks[0].future.done():
                if isinstance(tasks[0].future.exception(), BrokenExecutor):
                    found.append(self._replace(worker))
                    break
                found.append(TaskNews(tasks[0].task, "done", tasks[0].future.result()))
                tasks.popleft()
        return found

    def _replace(self, worker: "_Worker") -> TaskNews[Item]:
        """Its tasks go to a new worker: the first, at which it died, once; the others did no harm."""
        tasks, new = self._given.pop(worker), _Worker(self._grace)
        worker.hang_up()
        worker.close()
        tasks[0].deaths += 1
        news = TaskNews(tasks[0].task, "again" if tasks[0].deaths == 1 else "died")
        if news.kind == "died":
            tasks.popleft()
        for one in tasks:
            one.future = new.submit(one.work, one.arguments)
        self._given[new] = tasks
        return news


class _Worker:
    """A process that does one task after the other.

    It is a pool of its own, so that its death is known to be its own, and disturbs no other.
    """

    def __init__(self, grace: float) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self._line, self._far_end = Pipe()
        self._pool: Any = ProcessPoolExecutor(1, initializer=_join, initargs=(self._far_end, grace), env=ONE_THREAD)

    def submit(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> "Future[Any]":
        """Start a task; the future has an error if the process died. The first task starts it."""
        future: Future[Any] = Future()
        try:
            with ctrl_c_for_this_process_alone():
                future = self._pool.submit(_do, work, arguments)
        except (BrokenExecutor, OSError) as error:  # it died while it was idle, or the system starts no more
            future.set_exception(BrokenExecutor(str(error)))
        return future

    def news(self) -> Iterator[Any]:
        """What its task has told since the last time."""
        with suppress(EOFError, OSError):
            while self._line.poll():
                yield self._line.recv()

    def hang_up(self) -> None:
        """Let it end soon, in the middle of a task, too."""
        self._line.close()

    def close(self) -> None:
        """Wait until it has ended."""
        self._pool.shutdown(wait=True)
        self._line.close()
        self._far_end.close()


# In a worker

_lines: list[Connection] = []  # to the process that this one works for, once it is a worker


def tell(content: object) -> None:
    """Say how the task goes; in a process that is no worker, nothing happens."""
    for line in _lines:
        with suppress(OSError):  # nobody listens any more
            line.send(content)


def _join(line: Connection, grace: float) -> None:
    _lines[:] = [line]
    atexit.register(os._exit, 0)  # idle, at its end: nothing is left to tidy up, and torch takes its time
    end_with(line, grace=grace)


def _do(work: Callable[..., Made], arguments: tuple[Any, ...]) -> Made:
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # on the way out it removes temporary files
    try:
        return work(*arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with(connection: "Connection", *, grace: float = GRACE_SECONDS) -> None:
    """End this process soon after the other end of a connection, on which nothing is ever said, has gone.

    Args:
        connection: from the process without which this one is of no use.
        grace: seconds for what is at work to clean up.
    """
    threading.Thread(target=_end_at_hang_up, args=(connection, grace), daemon=True).start()


def _end_at_hang_up(connection: "Connection", grace: float) -> None:
    """Nothing is ever said on this line but that it breaks: the run has ended, or was killed."""
    with suppress(EOFError, OSError):
        connection.recv()
    if grace > 0:
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(grace)
    os._exit(1)
