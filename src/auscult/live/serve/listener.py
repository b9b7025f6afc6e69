"""A listener: the process that follows one machine, and tells the server what it hears."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch  # the process from which listeners are forked has it already

from auscult.detector import Detector
from auscult.detector.words import hearing
from auscult.errors import AuscultError
from auscult.live.delivery import Delivery
from auscult.live.events import Event
from auscult.live.history import History
from auscult.live.monitor import Monitor
from auscult.live.screens import Screens
from auscult.live.serve.grids import Grid, usual_limit
from auscult.live.serve.machines import Errand
from auscult.live.serve.settings import source_options
from auscult.live.serve.watching import watch_of
from auscult.live.session import Outputs
from auscult.live.sound import FileSource, Item, Samples, Source, Start
from auscult.live.sources import open_source
from auscult.live.watch import DetectorScorer
from auscult.sound.audio import heard_of
from auscult.sound.windows import Waveform

BEAT_SECONDS = 10.0
"""Without other news, after which a listener says that it is there."""

FADING = 0.998
"""Of the scale of live error maps, from one window to the next."""

LAST_SECONDS = 2.0
"""That outputs may take, at the end, for what they have not got."""


def listen(errand: Errand, line: Connection) -> None:
    """Follow one machine until its source ends, the server says so or is gone."""
    torch.set_num_threads(1)
    stop = threading.Event()
    wire = Wire(line, stop)
    try:
        with contextlib.closing(History(errand.state, machine=errand.name, locked=False)) as history:
            _follow(errand, wire, stop, history)
        wire.tell({"type": "ended"})
    except AuscultError as error:
        wire.tell({"type": "failed", "message": str(error)})
    except (OSError, MemoryError, RuntimeError) as error:  # what no stage foresaw; the server tries again
        wire.tell({"type": "failed", "message": f"the listener broke off ({error!r})"})


def _follow(errand: Errand, wire: "Wire", stop: threading.Event, history: History) -> None:
    table = errand.table
    detector = Detector.load(table.detector)
    watch = watch_of(errand.name, table, detector, errand.threshold)
    scorer = _Ear(detector, table.machine)
    opened = open_source(
        source_options(table, detector.listening(table.channel)),
        sample_rate=scorer.sample_rate,
        heard=history.heard_file,
        stop=stop,
    )
    outputs = _outputs(errand).remote(errand.name)
    history.deliver_to([output.name for output in outputs])
    deliveries = [Delivery(output, history) for output in outputs]
    screen = Screens.of(wire, outputs)
    monitor = Monitor(scorer, watch, history=history, deliveries=deliveries, screen=screen, begins=table.begins)
    wire.follow(monitor, scorer)
    threshold, warning = monitor.levels.thresholds
    wire.tell({"type": "start", "threshold": threshold, "warning": warning, "state": monitor.state()})
    for delivery in deliveries:
        delivery.start()
    try:
        over = isinstance(opened, FileSource) and opened.heard_before(history.heard_file)
        monitor.run(Beating(opened if table.speed is None else Paced(opened, table.speed), wire, over=over))
    finally:
        for delivery in deliveries:
            delivery.close(seconds=LAST_SECONDS)


def _outputs(errand: Errand) -> Outputs:
    """Those of the machine, or of the plant with the machine's name behind the topic."""
    own, plant = errand.table.outputs, errand.outputs
    topic = None if plant.mqtt is None else f"{plant.mqtt.rstrip('/')}/{errand.name}"
    mqtt = own.mqtt or topic
    told = mqtt is not None and (own.home_assistant or plant.home_assistant)
    return Outputs(mqtt=mqtt, webhook=own.webhook or plant.webhook, home_assistant=told)


class _Ear(DetectorScorer):
    """A scorer that keeps the last window, for whoever looks on."""

    def __init__(self, detector: Detector, machine: str | None) -> None:
        super().__init__(detector, machine)
        self.last: Waveform | None = None
        self._limit = 0.0  # of the colours of error maps

    def score(self, window: Waveform) -> float:
        """The score of one window."""
        self.last = window
        return super().score(window)

    def columns(self) -> dict[str, Any] | None:
        """Spectrogram and error map of the last window's newest part, once; none if it was not scored."""
        window, self.last = self.last, None
        if window is None:
            return None
        ear = hearing(self.sample_rate)
        share = min(1.0, self.step_seconds / self.window_seconds)
        levels = ear(heard_of(window))
        return {
            "seconds": min(self.step_seconds, self.window_seconds),
            "low_hz": 0.0,
            "high_hz": self.sample_rate / 2,
            "spectrogram": Grid.of_levels(_newest(levels, share), high=10.0).to_json(),
            "map": self._map(_newest(self._errors(window), share)).to_json(),
        }

    def _map(self, errors: Any) -> Grid:
        """On a scale that follows the loudest of the last minutes, so that normal sound stays dark beside a fault."""
        high = usual_limit(errors)
        self._limit = max(high, FADING * self._limit) if self._limit else 2 * high
        return Grid.of_errors(errors, high=self._limit)

    def _errors(self, window: Waveform) -> Any:
        part = self._detector.leading
        return part.model.error_map([part.frames(window, sample_rate=self.sample_rate)], [self._machine_id])[0]


def _newest(values: Any, share: float) -> Any:
    """The last frames of `[N, F]`, at least one."""
    return np.asarray(values)[-max(1, round(share * len(values))) :]


class Wire:
    """The screen of a listener: all goes to the server; orders come back.

    Args:
        line: to the server; when it is gone, so is the listener.
        stop: ends the source.
    """

    def __init__(self, line: Connection, stop: threading.Event) -> None:
        self._line, self._stop = line, stop
        self._mutex = threading.Lock()
        self._watched, self._told = False, 0.0
        self._monitor: Monitor | None = None
        self._thresholds: tuple[float, float | None] | None = None  # the last ones that were ordered
        self._ear: _Ear | None = None
        threading.Thread(target=self._obey, daemon=True, name="auscult-orders").start()

    def follow(self, monitor: Monitor, ear: _Ear) -> None:
        """From now on orders reach the monitor, also those that came before."""
        self._monitor, self._ear = monitor, ear
        if self._thresholds is not None:
            monitor.set_threshold(*self._thresholds)
            monitor.levels.obey()

    def alive(self) -> None:
        """Say that something goes on, if nothing else was said of late."""
        if time.monotonic() - self._told >= BEAT_SECONDS:
            self.tell({"type": "alive"})

    def tell(self, message: dict[str, Any]) -> None:
        """Say something to the server."""
        self._told = time.monotonic()
        with self._mutex, contextlib.suppress(OSError):  # `_obey` sees that it is gone
            self._line.send(message)

    def window(self, window: dict[str, Any], *, heard: float, state: str) -> None:
        """A window was heard."""
        message = {"type": "window", **window, "heard": heard, "state": state}
        if self._watched and self._ear is not None:
            with contextlib.suppress(AuscultError):  # a picture less
                message["columns"] = self._ear.columns()
        self.tell(message)

    def event(self, event: Event) -> None:
        """Something new happened."""
        self.tell({"type": "event", "id": event.id, "kind": event.kind, "phase": event.phase})

    def waiting(self, state: str) -> None:
        """No sound comes."""
        self.tell({"type": "waiting", "state": state})

    def _obey(self) -> None:
        while True:
            try:
                order = self._line.recv()
            except (EOFError, OSError):
                break
            if order["order"] == "stop":
                self._stop.set()
            elif order["order"] == "watched":
                self._watched = bool(order["watched"])
            elif order["order"] == "threshold":
                self._thresholds = order["threshold"], order["warning"]
                if self._monitor is not None:
                    self._monitor.set_threshold(*self._thresholds)
        self._stop.set()
        time.sleep(LAST_SECONDS + 5)
        os._exit(1)  # the server is gone, and something here does not end


class Beating:
    """A source that lets the server know that it is followed, whatever comes or does not come.

    Args:
        source: of sound.
        wire: to the server.
        over: whether it was heard to its end before the server was started again.
    """

    def __init__(self, source: Source, wire: Wire, *, over: bool = False) -> None:
        self._source, self._wire, self._over = source, wire, over
        self.name, self.live, self.stall_seconds, self.stop = (
            source.name,
            source.live,
            source.stall_seconds,
            source.stop,
        )

    def __iter__(self) -> Iterator[Item]:
        """What the source gives."""
        for item in () if self._over else self._source:
            self._wire.alive()
            yield item


class Paced:
    """A source whose recordings come at most so many times faster than life, as in a replay.

    Args:
        source: of recordings.
        speed: seconds of sound for each second.
    """

    def __init__(self, source: Source, speed: float) -> None:
        self._source, self._speed = source, speed
        self.name, self.live, self.stall_seconds, self.stop = source.name, False, source.stall_seconds, source.stop

    def __iter__(self) -> Iterator[Item]:
        """What comes, in order, not before its time."""
        begun, seconds, rate = time.monotonic(), 0.0, 1
        for item in self._source:
            if isinstance(item, Start):
                rate = item.sample_rate
            if not isinstance(item, Samples):
                yield item
                continue
            for first in range(0, len(item.samples), rate):
                piece = item.samples[first : first + rate]
                seconds += len(piece) / rate
                while (early := begun + seconds / self._speed - time.monotonic()) > 0 and not self.stop.is_set():
                    self.stop.wait(min(early, 0.2))
                yield Samples(piece)
