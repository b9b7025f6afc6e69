"""What is made at some cost, once for all who ask for it, and kept for a while."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

Content = dict[str, Any]


class Kept:
    """The evidence that was asked for of late: what is being made, or was made, is not made again soon."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._tasks: OrderedDict[str, asyncio.Task[Content]] = OrderedDict()

    async def get(self, name: str, make: Callable[[], Coroutine[Any, Any, Content]]) -> Content:
        """What is kept under a name; it is made if nothing is, and forgotten if that fails."""
        if name not in self._tasks:
            self._tasks[name] = task = asyncio.create_task(make())
            task.add_done_callback(lambda done: self._forget_failed(name, done))
        self._tasks.move_to_end(name)
        while len(self._tasks) > self._most:
            self._tasks.popitem(last=False)
        return await asyncio.shield(self._tasks[name])  # others may wait for it, too

    def _forget_failed(self, name: str, task: asyncio.Task[Content]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._tasks.get(name) is task:
            del self._tasks[name]
