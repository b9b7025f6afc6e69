"""The machines of a plant as the server sees them: state and listener of each, which is started again if it fails."""

import contextlib
import math
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from auscult.live.serve.settings import MachineTable, OutputsTable, Plant
from auscult.live.serve.starting import context, listen
from auscult.processes import ctrl_c_for_this_process_alone

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a listener that failed is started again; they double, and begin anew after a quiet while."""

QUIET_SECONDS = 120.0
STOP_SECONDS = 10.0
"""That a listener may take to end when it is asked to."""

SILENT_SECONDS = 300.0
"""After which a listener that says nothing hangs; it says that it is there every few seconds."""

POLL_SECONDS = 0.5


@dataclass(slots=True)
class Live:
    """What is known of a machine just now.

    Attributes:
        state: starting, normal, warning, alarm, trouble, waiting, stopped or upload (nothing to listen to).
        since: when it came to be so, in seconds since 1970 by the machine's clock.
        message: why, for people; may be empty.
        score: of the last window; none if it has none.
        threshold, warning: in force.
        last_window: when the last window ended, by the machine's clock.
        heard_seconds: of sound.
        windows, restarts: how many since the server was started.
        troubles: of the last window.
    """

    state: str = "starting"
    since: float = 0.0
    message: str = ""
    score: float | None = None
    threshold: float | None = None
    warning: float | None = None
    last_window: float | None = None
    heard_seconds: float = 0.0
    windows: int = 0
    restarts: int = 0
    troubles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Errand:
    """What a listener is sent out with.

    Attributes:
        name: of the machine.
        table: of the machine.
        outputs: of the plant, for machines that have none of their own.
        state: folder of the history, whose lock the server holds.
        threshold: in force by a user's decision; none for the detector's or the table's.
    """

    name: str
    table: MachineTable
    outputs: OutputsTable
    state: Path
    threshold: float | None = None


Publish = Callable[[str, str, dict[str, Any]], None]
"""Takes the kind of news, the machine and the news."""


class Listening:
    """One machine's listener, followed by a thread.

    Args:
        name: of the machine.
        table: of the machine.
        plant: that it belongs to.
        facts: what its detector says of it.
        threshold: gives the one that a user has decided on, if any.
        raised: gives when the alarm or warning that lasts was raised, by the machine's clock, if one does.
        publish: takes what happens.

    Attributes:
        live: what is known of it just now.
        pid: of its listener, if there is one.
    """

    def __init__(
        self,
        name: str,
        table: MachineTable,
        plant: Plant,
        facts: Mapping[str, Any],
        *,
        threshold: Callable[[], float | None],
        raised: Callable[[str], float | None],
        publish: Publish,
    ) -> None:
        self.name, self.table, self.facts = name, table, dict(facts)
        self._plant, self._decided, self._raised, self._publish = plant, threshold, raised, publish
        state = "upload" if table.source is None else "starting"
        self.live = Live(state, threshold=facts.get("threshold"), warning=facts.get("warning"))
        self.live.since = self.clock()
        self._ended = threading.Event()
        self._line: Connection | None = None
        self.pid: int | None = None
        self._mutex = threading.Lock()
        self._watchers, self._changed = 0, False
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"auscult-{name}")

    def clock(self) -> float:
        """Now, by the clock of its events: that of the computer, or of the sound in a replay."""
        return time.time() if self.table.begins is None else self.table.begins + self.live.heard_seconds

    @property
    def running(self) -> bool:
        """Whether there is a listener."""
        return self._line is not None

    def start(self) -> None:
        """Begin to listen, if there is something to listen to."""
        if self.table.source is not None:
            self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the listener end; `join` waits for it."""
        self._ended.set()
        self._order({"order": "stop"})

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS + 2)

    def watch(self, more: int) -> None:
        """So many more people look on (or fewer): pictures are made while there are any."""
        with self._mutex:
            self._watchers += more
        self._order({"order": "watched", "watched": self._watchers > 0})

    def set_threshold(self, threshold: float, warning: float | None) -> None:
        """From the next window on."""
        self._changed = True
        self.live.threshold, self.live.warning = threshold, warning
        self._order({"order": "threshold", "threshold": threshold, "warning": warning})
        self._tell()

    def _order(self, order: dict[str, Any]) -> None:
        line = self._line
        if line is not None:
            with contextlib.suppress(OSError, ValueError):  # it has just gone; the next one is told at its start
                line.send(order)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._ended.is_set():
            begun = time.monotonic()
            try:
                good = self._follow()
            except Exception as error:  # noqa: BLE001 - such as no more processes: it is listened to again, whatever it was
                good = self._ended.is_set()
                self._become("trouble", f"no listener could be followed ({error!r}); it is tried again")
            if good:
                break
            if time.monotonic() - begun > QUIET_SECONDS:
                pause = FIRST_PAUSE
            self.live.restarts += 1
            self._ended.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _follow(self) -> bool:
        """One listener from its start to its end; whether that was a good one."""
        self._changed, decided = False, self._decided()
        errand = Errand(self.name, self.table, self._plant.outputs, self._plant.state, decided)
        own, other = multiprocessing.Pipe()
        process = context().Process(target=listen, args=(errand, other), daemon=True, name=f"auscult-{self.name}")
        failed, good = "", False
        try:
            with other, ctrl_c_for_this_process_alone():
                process.start()
            self._line, self.pid = own, process.pid
            self._catch_up(decided)
            for message in self._said(own):
                if message["type"] in ("failed", "ended"):
                    failed, good = message.get("message", ""), message["type"] == "ended"
                else:
                    self._take(message)
        finally:
            self._line = self.pid = None
            own.close()
            if process.pid is not None:
                process.join(1.0)
                process.kill()  # nothing, if it has ended
                process.join()
        if good or self._ended.is_set():
            self._become("stopped", "the source has ended" if good and not self._ended.is_set() else "")
            return True
        reason = failed or f"the listener was ended by the system (exit code {process.exitcode})"
        self._become("trouble", f"{reason}; it is tried again")
        return False

    def _catch_up(self, decided: float | None) -> None:
        """Tell a listener what was ordered while it was started."""
        if self._watchers:
            self._order({"order": "watched", "watched": True})
        if self._decided() != decided:
            self._order({"order": "threshold", "threshold": self.live.threshold, "warning": self.live.warning})

    def _said(self, line: Connection) -> Iterator[dict[str, Any]]:
        """What a listener says until it has gone; one that hangs, or does not end when it is asked to, is given up."""
        last, ends = time.monotonic(), math.inf
        with contextlib.suppress(EOFError, OSError):
            while time.monotonic() < ends:
                if line.poll(POLL_SECONDS):
                    yield line.recv()
                    last = time.monotonic()
                elif time.monotonic() - last > SILENT_SECONDS:
                    yield {"type": "failed", "message": f"the listener was silent for {SILENT_SECONDS:.0f} s"}
                    return
                if self._ended.is_set() and ends == math.inf:
                    ends = time.monotonic() + STOP_SECONDS
                    self._order({"order": "stop"})  # it may not have been there when all were asked

    def _take(self, message: dict[str, Any]) -> None:
        """What the listener says."""
        live = self.live
        match message["type"]:
            case "start":
                if not self._changed:  # else it was told since
                    live.threshold, live.warning = message["threshold"], message["warning"]
                self._become(*_state(message["state"], waiting=True))
                if (raised := self._raised(live.state)) is not None:  # before the listener was started
                    live.since = raised
                    self._tell()
            case "window":
                live.windows += 1
                live.heard_seconds, live.score = message["heard"], message["score"]
                live.troubles, live.last_window = message["troubles"], self.clock()
                self._become(*_state(message["state"]))
                news = {"time": live.last_window, "score": live.score, "troubles": live.troubles}
                self._publish("window", self.name, news)
                if columns := message.get("columns"):
                    self._publish("columns", self.name, {"time": live.last_window, **columns})
            case "waiting":
                self._become(*_state(message["state"], waiting=live.last_window is None))
            case "event":
                self._publish("event", self.name, message)

    def _become(self, state: str, message: str) -> None:
        live = self.live
        if (state, message) == (live.state, live.message):
            return
        if state != live.state:
            live.since = self.clock()
        live.state, live.message = state, message
        self._tell()

    def _tell(self) -> None:
        self._publish("machine", self.name, {})


def _state(said: str, *, waiting: bool = False) -> tuple[str, str]:
    """The state and its message, of what a monitor says of itself (see `Monitor.state`).

    >>> _state("warning + TROUBLE: clipping"), _state("normal, waiting for sound", waiting=True)
    (('warning', 'clipping'), ('waiting', ''))
    """
    alarm, _, trouble = said.removesuffix(", waiting for sound").partition("TROUBLE: ")
    for name in ("ALARM", "warning"):
        if alarm.startswith(name):
            return name.lower(), trouble
    if trouble:
        return "trouble", trouble
    return ("waiting" if waiting else "normal"), ""
