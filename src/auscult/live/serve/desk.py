"""The desk: requests hand in tasks, scoring workers do them, a dead worker is replaced."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

from auscult.errors import MonitorError
from auscult.live.serve.work import Answer
from auscult.processes import Crew, TaskNews

LISTEN_SECONDS = 0.01
"""How long the desk looks at its workers before it looks for new tasks."""

IDLE_SECONDS = 0.5

DIED = "scoring it took too much time or memory, or broke the process that read it; nothing else was disturbed"


class BusyError(MonitorError):
    """As much waits for the workers as may."""


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    work: Callable[..., Answer]
    arguments: tuple[Any, ...]
    future: "Future[Answer]" = field(default_factory=Future)


class Desk:
    """Gives tasks to scoring workers from a thread of its own; to be closed.

    Args:
        workers: processes.
        most: tasks that may wait or be worked at; more are refused.
    """

    def __init__(self, workers: int, *, most: int = 64) -> None:
        self._workers, self._most = workers, most
        self._waiting: queue.Queue[_Task] = queue.Queue()
        self._count = 0
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="auscult-desk", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Refuse more than may wait.

        Raises:
            BusyError: if as much waits as may.
        """
        if self._count >= self._most:
            raise BusyError("too many recordings wait; try again in a second")

    async def ask(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        """What a worker makes of a task: a function of a module, and what it is given.

        Raises:
            BusyError: if as much waits as may.
        """
        self.check()
        return await asyncio.wrap_future(self.give(work, *arguments))

    def give(self, work: Callable[..., Answer], *arguments: Any) -> "Future[Answer]":
        """Hand in a task; its answer comes."""
        task = _Task(work, arguments)
        with self._mutex:
            self._count += 1
        self._waiting.put(task)
        return task.future

    def close(self) -> None:
        """End the workers; what waits is answered with an error."""
        self._ended.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        with Crew[_Task](self._workers, ahead=2, grace=0) as crew:
            while not self._ended.is_set():
                while crew.free and (task := self._next(wait=not crew.busy)) is not None:
                    crew.give(task, task.work, *task.arguments)
                if crew.busy:
                    for news in crew.listen(seconds=LISTEN_SECONDS if crew.free else IDLE_SECONDS):
                        self._settle(news)
        while not self._waiting.empty():
            self._answer(self._waiting.get(), Answer(error="the server is stopping"))

    def _next(self, *, wait: bool) -> _Task | None:
        try:
            return self._waiting.get(timeout=IDLE_SECONDS) if wait else self._waiting.get_nowait()
        except queue.Empty:
            return None

    def _settle(self, news: TaskNews[_Task]) -> None:
        if news.kind == "done":
            self._answer(news.task, news.content)
        elif news.kind == "died":
            self._answer(news.task, Answer(error=DIED))

    def _answer(self, task: _Task, answer: Answer) -> None:
        with self._mutex:
            self._count -= 1
        with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
            task.future.set_result(answer)
