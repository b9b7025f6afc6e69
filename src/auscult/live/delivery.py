"""Delivery at least once: what an output has not got is tried again, until it has."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from auscult.live.history import History

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until the next try; they double."""

REPORTED_SECONDS = 30.0
"""An output that has taken nothing for so long is a trouble of its own."""


class DeliveryError(Exception):
    """An output did not take a message; the delivery tries again."""


class Output(Protocol):
    """Where events go.

    Attributes:
        name: of this output in the outbox; the same after a restart.
    """

    name: str

    def send(self, key: str, line: str) -> None:
        """Hand over one event, a line of JSON; return when the receiver has it.

        Raises:
            DeliveryError: if it has not.
        """
        ...

    def close(self) -> None:
        """Say good-bye."""
        ...


class Delivery:
    """Hands the events of a history to one output, in order.

    Args:
        output: where to.
        history: where from.
        threaded: deliver in a thread of its own, for what can take long; else when `wake` is called.
    """

    def __init__(
        self, output: Output, history: History, *, threaded: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.output, self.history, self.threaded = output, history, threaded
        self._clock = clock
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._error: str | None = None
        self._failing_since: float | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing has been delivered for a while, if so."""
        since = self._failing_since
        if since is None or self._clock() - since < REPORTED_SECONDS:
            return None
        return f"{self._error}; it is tried again, nothing is lost"

    def start(self) -> None:
        """Begin with what is there; `wake` when there is more."""
        if not self.threaded:
            self.deliver()
            return
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"auscult-{self.output.name}")
        self._thread.start()

    def wake(self) -> None:
        """There is something to deliver."""
        if self.threaded:
            self._wake.set()
        else:
            self.deliver()

    def deliver(self) -> bool:
        """Try to hand over all that waits; False if the output failed."""
        while waiting := self.history.undelivered(self.output.name):
            for key, line in waiting:
                try:
                    self.output.send(key, line)
                except DeliveryError as error:
                    self._error = str(error)
                    if self._failing_since is None:
                        self._failing_since = self._clock()
                    return False
                self._failing_since = None
                self.history.delivered(self.output.name, key)
        return True

    def close(self, *, seconds: float) -> int:
        """Try once more for so long, and stop; gives the number of events that the output has not got."""
        end = self._clock() + seconds
        while self.history.waiting(self.output.name) and self._clock() < end and self._thread is not None:
            self._wake.set()
            time.sleep(0.05)
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1)
        self.output.close()
        return self.history.waiting(self.output.name)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._ended.is_set():
            if self.deliver():
                pause = FIRST_PAUSE
                self._wake.wait()
                self._wake.clear()
            else:
                self._ended.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
