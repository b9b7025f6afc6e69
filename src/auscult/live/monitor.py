"""The monitor: sound in, windows, scores, alarms out; whatever happens to the source, the disk or the receivers."""

import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

from auscult.detector.alarms import AlarmState
from auscult.errors import AuscultError, MonitorError
from auscult.live.delivery import Delivery
from auscult.live.drift import Drift
from auscult.live.events import Event
from auscult.live.history import History
from auscult.live.sound import End, FileKey, Item, Samples, Solved, Source, SourceProblem, Start, Waiting
from auscult.live.troubles import Change, Troubles
from auscult.live.watch import Watch, WindowScorer
from auscult.sound.defects import SoundLevel
from auscult.sound.windows import Stream, Window

CHECKPOINT_SECONDS = 10.0
"""How often the monitor writes down where it is, besides at every event."""

TICK_SECONDS = 1.0
CLOCK_JUMP_SECONDS = 5.0
WINDOW_TROUBLES = ("samples", "silence", "clipping", "dropout", "score")


class Screen(Protocol):
    """What people or programs see besides events."""

    def window(self, window: dict[str, Any], *, heard: float, state: str) -> None:
        """A window was heard."""
        ...

    def event(self, event: Event) -> None:
        """Something new happened."""
        ...

    def waiting(self, state: str) -> None:
        """No sound comes."""
        ...


@dataclass(slots=True)
class MonitorSummary:
    """What a monitor did: windows, those with a score, alarms and warnings raised, troubles raised or noted."""

    windows: int = 0
    scored: int = 0
    alarms: int = 0
    troubles: int = 0
    highest: float = -math.inf
    warnings: int = 0

    def add(self, score: float | None) -> None:
        """Count a window; None if it could not be scored."""
        self.windows += 1
        if score is not None:
            self.scored += 1
            self.highest = max(self.highest, score)


class Monitor:
    """Follows one machine. All times of the alarm logic are seconds of sound, which no clock can make jump.

    Args:
        scorer: of windows.
        watch: the machine and the rule.
        history: of events.
        deliveries: of the history's events to outputs.
        screen: shows windows and events.
        wall: clock of the events, in seconds since 1970.
    """

    def __init__(
        self,
        scorer: WindowScorer,
        watch: Watch,
        *,
        history: History,
        deliveries: Sequence[Delivery] = (),
        screen: Screen | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scorer, self.watch, self.history = scorer, watch, history
        self.deliveries, self.screen = deliveries, screen
        self.summary = MonitorSummary()
        self._wall, self._monotonic = wall, monotonic
        self._drift = Drift(watch.condition, sample_rate=scorer.sample_rate) if watch.condition else None
        self._heard = 0.0  # seconds before the recording that is being heard
        self._key: FileKey | None = None
        self._done = 0  # windows of that recording which were scored
        self._stream: Stream | None = None
        self._ticked = self._written = monotonic()
        self._offset = wall() - monotonic()
        self._resumed: tuple[FileKey, int] | None = None
        self._down = 0.0  # seconds for which no monitor was running
        name = f"{watch.machine_id}-{datetime.fromtimestamp(wall(), UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self.alarm = AlarmState(watch.threshold, watch.settings, spread=watch.spread, name=name)
        self.warning: AlarmState | None = None
        if watch.warning is not None:
            self.warning = AlarmState(watch.warning, watch.settings, spread=watch.spread, name=f"{name}-w")
        self.troubles = Troubles(name)
        saved = history.checkpoint()
        if saved is not None:
            self._resume(saved)

    def run(self, source: Source) -> MonitorSummary:
        """Listen until the source ends or is stopped; the state is written down, however it ends."""
        if source.live:
            self._heard += min(max(self._down, 0.0), self.watch.settings.gap_seconds)
        try:
            for item in source:
                self._take(item, source)
                self._tick()
        finally:
            self.history.record([], checkpoint=self._checkpoint())
        return self.summary

    def state(self) -> str:
        """How it is, in a word or some."""
        troubles = ", ".join(self.troubles.active)
        alarm = "ALARM" if self.alarm.active else "warning" if self.warning and self.warning.active else ""
        return " + ".join(part for part in (alarm, troubles and f"TROUBLE: {troubles}") if part) or "normal"

    @property
    def heard_seconds(self) -> float:
        """Sound and known gaps since monitoring began."""
        return self._heard + (0.0 if self._stream is None else self._stream.seconds)

    def _take(self, item: Item, source: Source) -> None:
        match item:
            case Start():
                self._start(item)
            case Samples():
                self._emit(self.troubles.end("stalled"))
                assert self._stream is not None, "sound before its start"
                for window, level in self._stream.measured(item.samples):
                    self._window(window, level)
            case End():
                self._end(item)
            case Waiting():
                if item.seconds >= source.stall_seconds:
                    message = f"no sound from {source.name} for {item.seconds:.0f} s; is the recorder running?"
                    self._emit(self.troubles.begin("stalled", message))
                if self.screen is not None:
                    self.screen.waiting(f"{self.state()}, waiting for sound")
            case SourceProblem():
                lasting = self.troubles.begin if item.lasts else self.troubles.note
                self._emit(lasting(item.kind, item.message))
            case Solved():
                self._emit(self.troubles.end(item.kind))

    def _start(self, item: Start) -> None:
        self._finish()
        self._heard += item.lost_seconds
        self._stream = Stream(
            sample_rate=self.scorer.sample_rate,
            window_seconds=self.scorer.window_seconds,
            step_seconds=self.scorer.step_seconds,
            source_rate=item.sample_rate,
            channels=1 if isinstance(self.scorer.channel, int) else 2,
        )
        self._key, self._done = item.key, 0
        if self._resumed is not None and item.key is not None and self._resumed[0] == item.key:
            self._done = self._resumed[1]
        self._resumed = None
        if self._drift is not None:
            self._drift.restart()

    def _finish(self) -> None:
        """The recording is over: its last windows, and its length."""
        if self._stream is None:
            return
        for window, level in self._stream.measured(np.empty(0, dtype=np.float32), last=True):
            self._window(window, level)
        if self._stream.index == 0 and self._key is not None:
            seconds = self._stream.seconds
            message = f"{self._key.name} lasts {seconds:.2f} s, less than a window of {self.scorer.window_seconds:g} s"
            self._emit(self.troubles.note("short", f"{message}; it was not scored. Record longer files"))
        self._heard += self._stream.seconds
        self._stream = None

    def _end(self, item: End) -> None:
        self._finish()
        self._key, self._done = None, 0
        self.history.record([], checkpoint=self._checkpoint(), heard=item.key)

    def _window(self, window: Window, level: SoundLevel) -> None:
        if window.index < self._done:  # heard before a restart
            return
        self._done = window.index + 1
        end = (window.start + len(window.samples)) / self.scorer.sample_rate
        found = level.problems()
        score: float | None = None
        if not found:
            try:
                score = float(self.scorer.score(window.samples))
            except AuscultError as error:
                found["score"] = f"a window cannot be scored: {error}"
        if score is not None and not math.isfinite(score):
            found["score"] = f"a window has the score {score}; the detector's file does not fit this sound"
            score = None
        self.summary.add(score)
        changes = self.troubles.update(self._heard + end, found, of=WINDOW_TROUBLES)
        if self._drift is not None and not found:
            changes += self._changed(self._drift.update(window), self._heard + end)
        where = {} if self._key is None else {"file": self._key.name, "file_seconds": round(end, 6)}
        events = [self._event_of(change, self._heard + end, where) for change in changes]
        for kind, state in (("warning", self.warning), ("alarm", self.alarm)):
            if state is not None and (alarm := state.update(self._heard + end, score)) is not None:
                said = self.scorer.words(window.samples) if alarm.kind == "raised" else {}
                details = {**where, "score": alarm.score, "threshold": state.threshold, **said}
                events.append(self._event(kind, alarm.alarm_id, alarm.kind, alarm.time, details))
        if events:
            self._record(events)
        if self.screen is not None:
            self.screen.window(self._shown(score, where, found), heard=self._heard + end, state=self.state())

    def _changed(self, message: str | None, time: float) -> list[Change]:
        if message is None:
            return []
        return self.troubles.begin("changed", message, time=time) if message else self.troubles.end("changed")

    def _shown(self, score: float | None, where: dict[str, Any], found: dict[str, str]) -> dict[str, Any]:
        return {**where, "score": score, "threshold": self.watch.threshold, "troubles": list(found)}

    def _emit(self, changes: Sequence[Change]) -> None:
        if changes:
            self._record([self._event_of(change, self.heard_seconds, {}) for change in changes])

    def _event_of(self, change: Change, heard: float, where: dict[str, Any]) -> Event:
        details = {**where, "kind": change.kind, "message": change.message}
        return self._event("trouble", change.id, change.phase, heard, details)

    def _event(self, kind: Any, key: str, phase: Any, heard: float, details: dict[str, Any]) -> Event:
        return Event(kind, key, phase, self._wall(), heard, self.watch.machine_id, details)

    def _record(self, events: Sequence[Event]) -> None:
        """Into the history, and from there to the outputs; what was there before a crash is not shown again."""
        for event in self.history.record(events, checkpoint=self._checkpoint()):
            self.summary.alarms += event.kind == "alarm" and event.phase == "raised"
            self.summary.warnings += event.kind == "warning" and event.phase == "raised"
            self.summary.troubles += event.kind == "trouble" and event.phase != "cleared"
            if self.screen is not None:
                self.screen.event(event)
        self._written = self._monotonic()
        for delivery in self.deliveries:
            delivery.wake()

    def _tick(self) -> None:
        """Now and then: the clocks, the disk, the outputs, the checkpoint."""
        now = self._monotonic()
        if now - self._ticked < TICK_SECONDS:
            return
        self._ticked = now
        if now - self._written >= CHECKPOINT_SECONDS:
            self._written = now
            self.history.record([], checkpoint=self._checkpoint())
        elif self.history.problem:
            self.history.flush()
        jump, self._offset = self._wall() - now - self._offset, self._wall() - now
        if abs(jump) > CLOCK_JUMP_SECONDS:
            message = (
                f"the clock was set {'forward' if jump > 0 else 'back'} by {abs(jump):.0f} s; alarms do not use it"
            )
            self._emit(self.troubles.note("clock", message))
        self._check("history", self.history.problem)
        for delivery in self.deliveries:
            self._check(delivery.output.name, delivery.problem)
            if not delivery.threaded:
                delivery.wake()

    def _check(self, kind: str, problem: str | None) -> None:
        self._emit(self.troubles.begin(kind, problem) if problem else self.troubles.end(kind))

    def _checkpoint(self) -> dict[str, Any]:
        in_file = self._key is not None and self._stream is not None
        return {
            "machine_id": self.watch.machine_id,
            "detector": self.watch.detector,
            "alarm": self.alarm.to_json(),
            "warning": None if self.warning is None else self.warning.to_json(),
            "troubles": self.troubles.to_json(),
            "heard": self._heard if in_file else self.heard_seconds,
            "time": self._wall(),
            "file": asdict(self._key) if self._key is not None and in_file else None,
            "windows": self._done if in_file else 0,
        }

    def _resume(self, saved: dict[str, Any]) -> None:
        """Go on where the last monitor stood."""
        try:
            machine, detector, heard = str(saved["machine_id"]), saved["detector"], float(saved["heard"])
            alarm, self._down = dict(saved["alarm"]), self._wall() - float(saved["time"])
            warning = dict(saved.get("warning") or {})
            troubles, windows = saved["troubles"], int(saved["windows"])
            if saved["file"] is not None:
                self._resumed = FileKey(**saved["file"]), windows
        except (KeyError, TypeError, ValueError) as error:
            raise MonitorError(f"the saved state of the monitor is damaged ({error!r}); name a new --state") from error
        if machine != self.watch.machine_id:
            raise MonitorError(
                f"the history belongs to the machine {machine}, not to {self.watch.machine_id}; name another folder "
                "with --state"
            )
        if detector != self.watch.detector:
            alarm["history"], warning["history"] = [], []
        self._heard = heard
        self.troubles = Troubles.from_json(troubles)
        rule, spread = self.watch.settings, self.watch.spread
        self.alarm = AlarmState.from_json(alarm, self.watch.threshold, rule, spread=spread)
        if self.watch.warning is not None and saved.get("warning"):
            self.warning = AlarmState.from_json(warning, self.watch.warning, rule, spread=spread)
