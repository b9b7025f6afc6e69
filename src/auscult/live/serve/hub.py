"""The hub: what listeners say goes to every page that is open, as server-sent events."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

QUEUED = 500
"""Pieces of news that may wait for a page; one that does not take them is cut off, and asks again."""

ALIVE_SECONDS = 15.0
"""A comment goes out at least this often, so that proxies keep the connection, and pages know that it is there."""

DETAILED = "columns"
"""News that only those get who look at that machine."""


@dataclass(eq=False, slots=True)
class _Page:
    listens: str | None
    loop: asyncio.AbstractEventLoop
    news: "asyncio.Queue[str | None]" = field(default_factory=lambda: asyncio.Queue(QUEUED))


class Hub:
    """Pages that are open; news may come from any thread.

    Args:
        most: pages at the same time.
        watch: called with a machine and 1 or -1 as pages look at it, or no longer do.
    """

    def __init__(self, most: int, watch: Callable[[str, int], None]) -> None:
        self._most, self._watch = most, watch
        self._pages: set[_Page] = set()
        self._mutex = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether no more pages can be open."""
        return len(self._pages) >= self._most

    def publish(self, kind: str, machine: str, news: dict[str, Any]) -> None:
        """Tell all pages."""
        with self._mutex:
            pages = [one for one in self._pages if kind != DETAILED or one.listens == machine]
        if not pages:
            return
        text = f"event: {kind}\ndata: {json.dumps({'machine': machine, **news}, allow_nan=False)}\n\n"
        for page in pages:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                page.loop.call_soon_threadsafe(_put, page, text)

    async def follow(self, listens: str | None) -> AsyncIterator[str]:
        """The news from now on, as text of an event stream, with those of one machine in detail."""
        page = _Page(listens, asyncio.get_running_loop())
        with self._mutex:
            self._pages.add(page)
        if listens is not None:
            self._watch(listens, 1)
        try:
            yield "retry: 2000\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(page.news.get(), ALIVE_SECONDS)
                except TimeoutError:
                    text = ": alive\n\n"
                if text is None:
                    return
                yield text
        finally:
            with self._mutex:
                self._pages.discard(page)
            if listens is not None:
                self._watch(listens, -1)

    def close(self) -> None:
        """Send all pages away."""
        with self._mutex:
            pages = [*self._pages]
        for page in pages:
            with contextlib.suppress(RuntimeError):
                page.loop.call_soon_threadsafe(_put, page, None)


def _put(page: _Page, text: str | None) -> None:
    if page.news.full():
        while not page.news.empty():
            page.news.get_nowait()
        text = None
    page.news.put_nowait(text)
