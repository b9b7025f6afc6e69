"""The service behind the endpoints: the machines, their history, the desk of scoring workers, news for open pages."""

import contextlib
import itertools
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from auscult import __version__
from auscult.errors import AuscultError, MonitorError, nearest
from auscult.live.history import Glance, History, Incident, Notes, Reader
from auscult.live.history.opening import writing_engine
from auscult.live.history.retention import DAY
from auscult.live.network import is_url, without_secrets
from auscult.live.serve.desk import BusyError, Desk
from auscult.live.serve.hub import Hub
from auscult.live.serve.kept import Kept
from auscult.live.serve.machines import Listening
from auscult.live.serve.metrics import Metrics
from auscult.live.serve.pinned import Pinned, emptied
from auscult.live.serve.settings import Plant
from auscult.live.serve.thresholds import Thresholds
from auscult.live.sources import is_microphone

TREND_POINTS, MOST_OPEN = 96, 500
"""Of the little line of the last day; incidents that last, of which words are told."""

UPLOADS, MOST_UPLOADS = ".uploads", 48
"""Folder in that of the history, emptied at each start, so of a name that nobody gives to one of their own; recordings
that may be on their way at once."""

FACTS = ("caveat", "promised", "window_seconds", "step_seconds", "sample_rate")
"""Of a detector, that the page shows."""

FIRST_TIDY_SECONDS, TIDY_SECONDS = 60.0, 3600.0
"""Until what is older than wanted goes: after the start, and from then on."""

LEAST_FREE_BYTES = 200 * 10**6
"""Below it, the page warns of a full disk."""


class AbsentError(MonitorError):
    """What was asked for is not there."""


class Service:
    """All that endpoints ask; the caller holds the lock of the history's folder, and closes it.

    Args:
        plant: what there is.
        facts: machine -> what its detector says of it (see `auscult.live.serve.work.facts_of`).
        desk: of scoring workers.
    """

    def __init__(self, plant: Plant, facts: Mapping[str, Mapping[str, Any]], desk: Desk) -> None:
        self.plant, self.desk = plant, desk
        History(plant.state, locked=False).close()  # made, or brought to this version
        self.reader, self.notes = Reader(plant.state), Notes(plant.state)
        self.pinned = Pinned(plant.state)
        self.hub = Hub(plant.server.clients, self._watch)
        self.machines = {
            name: Listening(
                name,
                table.model_copy(update={"detector": self.pinned.copy(table.detector)}),
                plant,
                facts[name],
                threshold=partial(self._decided, name),
                raised=partial(self._raised, name),
                publish=self._news,
            )
            for name, table in plant.machines.items()
        }
        self.thresholds = Thresholds(self.reader, plant.state, self.machines, self.hub)
        self.metrics = Metrics(self.machines, self._storage)
        self.evidence = Kept()
        self._uploads, self._count, self._receiving = emptied(plant.state / UPLOADS), itertools.count(), 0
        self._ended = threading.Event()
        self._tidy = threading.Thread(target=self._keep_tidy, daemon=True, name="auscult-tidy")

    def start(self) -> None:
        """Begin to listen."""
        for one in self.machines.values():
            self._go_on(one)
            one.start()
        self._tidy.start()

    def close(self) -> None:
        """End the listeners, what they have heard written down."""
        self._ended.set()
        self.hub.close()
        for one in self.machines.values():
            one.ask_to_stop()
        for one in self.machines.values():
            one.join()
        self.reader.close()
        self.notes.close()
        shutil.rmtree(self._uploads, ignore_errors=True)

    @contextlib.contextmanager
    def upload(self) -> Iterator[Path]:
        """A file for a recording that is sent in, while it is needed; its name is ours, and says nothing of its format.

        Raises:
            BusyError: if as many are at work or on their way as may.
        """
        self.desk.check()
        if self._receiving >= MOST_UPLOADS:
            raise BusyError("too many recordings come at once; try again in a second")
        file = self._uploads / f"{next(self._count)}.sound"
        self._receiving += 1
        try:
            yield file
        finally:
            self._receiving -= 1
            file.unlink(missing_ok=True)

    def machine(self, name: str) -> Listening:
        """The machine of a name.

        Raises:
            AbsentError: if there is none.
        """
        if name not in self.machines:
            known = ", ".join(self.machines)
            raise AbsentError(f"there is no machine {name!r}{nearest(name, self.machines)}; there are {known}")
        return self.machines[name]

    def status(self) -> dict[str, Any]:
        """The server and its disk."""
        limits, (size, free, problem) = self.plant.server, self._storage()
        return {
            "version": __version__,
            "time": time.time(),
            "machines": [*self.machines],
            "storage": {"bytes": size, "free_bytes": free, "problem": problem},
            "limits": {
                "upload_bytes": int(limits.upload_megabytes * 1e6),
                "upload_seconds": limits.upload_sound_seconds,
            },
        }

    def _storage(self) -> tuple[int, int, str | None]:
        return self.reader.size(), self.free_bytes(), self.problem()

    def free_bytes(self) -> int:
        """Of the history's disk."""
        return shutil.disk_usage(self.plant.state).free

    def problem(self) -> str | None:
        """What is wrong with the history or its disk."""
        for one in self.machines.values():
            if "history" in one.live.message.split(", "):
                return (
                    f"the history cannot be written, for {one.name}; free some space. Monitoring goes on, and what is "
                    "missing is written as soon as it can be"
                )
        if self.free_bytes() < LEAST_FREE_BYTES:
            return f"{self.free_bytes() / 1e6:.0f} MB are free on the disk of the history; free some space"
        return None

    def describe(self, *machines: Listening) -> list[dict[str, Any]]:
        """Machines as the page shows them."""
        ends = {one.name: one.clock() for one in machines}
        glances = self.reader.glance(ends, seconds=DAY, points=TREND_POINTS)
        alone = machines[0].name if len(machines) == 1 else None
        words: dict[str, str] = {}
        if any(glance.open for glance in glances.values()):
            for incident in self.reader.incidents(machine=alone, state="open", limit=MOST_OPEN).rows:
                if incident.kind != "trouble" and incident.words:
                    words.setdefault(incident.machine, incident.words)
        return [self._described(one, ends[one.name], glances[one.name], words.get(one.name, "")) for one in machines]

    def _described(self, one: Listening, now: float, glance: Glance, words: str) -> dict[str, Any]:
        table, facts, trend = one.table, one.facts, glance.trend
        detector = self.plant.machines[one.name].detector
        return {
            **self.short(one),
            "title": table.title or one.name,
            "detector": detector.name,
            "detector_file": self.pinned.since(detector),
            "source": "uploads alone" if table.source is None else _shown(table.source),
            "words": words,
            **{name: facts[name] for name in FACTS},
            "clock": now,
            "replay": table.begins is not None,
            "open": glance.open[::-1][:MOST_OPEN],
            "alarms_day": glance.alarms,
            "trend": {"time": trend.time, "high": trend.high, "step": trend.step},
            "faults": glance.faults.to_json(),
        }

    def short(self, one: Listening) -> dict[str, Any]:
        """What of a machine changes from moment to moment."""
        live = one.live
        return {
            "name": one.name,
            "state": live.state,
            "since": live.since,
            "message": live.message,
            "score": live.score,
            "threshold": live.threshold,
            "warning": live.warning,
            "last_window": live.last_window,
            "heard_seconds": live.heard_seconds,
        }

    def incident(self, name: str) -> Incident:
        """The alarm, warning or trouble of an id.

        Raises:
            AbsentError: if there is none.
        """
        found = self.reader.incident(name)
        if found is None:
            raise AbsentError(f"there is no alarm {name[:80]!r}; it may be older than what is kept")
        return found

    def _go_on(self, one: Listening) -> None:
        """Where its monitor stood before, if there was one."""
        checkpoint = self.reader.checkpoint(one.name)
        one.live.heard_seconds = float(checkpoint.get("listened", checkpoint.get("heard", 0.0)))
        one.live.since = one.clock()
        one.live.threshold = self.thresholds.at_start(one, checkpoint)

    def _raised(self, machine: str, state: str) -> float | None:
        """When what a machine is in began, for listeners that are started in the middle of it."""
        if state not in ("alarm", "warning"):
            return None
        rows = self.reader.incidents(machine=machine, kinds=(state,), state="open", limit=1).rows
        return rows[0].raised if rows else None

    def _decided(self, machine: str) -> float | None:
        """For listeners that are started."""
        return self.thresholds.decided(machine)

    def _news(self, kind: str, machine: str, news: dict[str, Any]) -> None:
        """From a listener to the pages; called by its thread, which what is wrong here must not end."""
        with contextlib.suppress(SQLAlchemyError, ValueError):  # the disk cannot be read: pages ask again
            self._tell(kind, machine, news)

    def _tell(self, kind: str, machine: str, news: dict[str, Any]) -> None:
        if kind == "machine":
            self.hub.publish("machine", machine, self.short(self.machines[machine]))
        elif kind == "event":
            found = self.reader.incident(news["id"])
            if found is not None:
                self.metrics.incident(machine, news["kind"], news["phase"])
                self.hub.publish("incident", machine, found.to_json())
        else:
            if kind == "window":
                self.metrics.window(machine)
            self.hub.publish(kind, machine, news)

    def _watch(self, machine: str, more: int) -> None:
        if machine in self.machines:
            self.machines[machine].watch(more)

    def _keep_tidy(self) -> None:
        """Now and then, what is older than wanted is thrown away."""
        pause = FIRST_TIDY_SECONDS
        while not self._ended.wait(pause):
            pause = TIDY_SECONDS
            with contextlib.suppress(AuscultError, SQLAlchemyError, sqlite3.Error):  # a full disk: `problem` says so
                engine = writing_engine(self.plant.state)
                try:
                    self.plant.retention.apply(engine, time.time())
                finally:
                    engine.dispose()


def _shown(source: str) -> str:
    """A source without passwords, and without folders above it."""
    if is_url(source):
        return without_secrets(source)
    return source if is_microphone(source) else Path(source).name
