"""The monitor: sound in, windows, scores, alarms out; whatever happens to the source, the disk or the receivers."""

import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from auscult.errors import AuscultError
from auscult.live.clock import MonitorClock
from auscult.live.delivery import Delivery
from auscult.live.drift import Drift
from auscult.live.events import Event
from auscult.live.history import History, Retention, Sound, WindowScore
from auscult.live.kept import KeptSound
from auscult.live.levels import AlarmLevels
from auscult.live.saved import SavedMonitor
from auscult.live.sound import End, FileKey, Item, Samples, Solved, Source, SourceProblem, Start, Waiting
from auscult.live.summary import MonitorSummary, Screen
from auscult.live.troubles import Change, Troubles
from auscult.live.watch import Watch, WindowScorer
from auscult.sound.defects import SoundLevel
from auscult.sound.windows import Stream, Window

CHECKPOINT_SECONDS = 10.0
"""How often the monitor writes down where it is, besides at every event."""

LIVE_CHECKPOINT_SECONDS = 2.0
"""The same where sound is lost that is not taken in time: windows since then cannot be heard again."""

TIDY_SECONDS = 600.0
"""How often it lets go of what the history need not keep."""

TICK_SECONDS = 1.0
WINDOW_TROUBLES = ("samples", "silence", "clipping", "dropout", "score")


class Monitor:
    """Follows one machine. All times of the alarm logic are seconds of sound, which no clock can make jump.

    Args:
        scorer: of windows.
        watch: the machine and the rule.
        history: of events.
        deliveries: of the history's events to outputs.
        screen: shows windows and events.
        wall: clock of the events, in seconds since 1970.
        begins: of a replay, when its sound began, in seconds since 1970: the time of events and scores is that sound's.
        retention: what the history need not keep; none if somebody else sees to it.
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
        begins: float | None = None,
        retention: Retention | None = None,
    ) -> None:
        self.scorer, self.watch, self.history = scorer, watch, history
        self.deliveries, self.screen = deliveries, screen
        self.summary = MonitorSummary()
        self._clock, self._retention = MonitorClock(wall, monotonic, begins), retention
        self._scores: list[WindowScore] = []  # since the last checkpoint
        raised_by = (watch.settings.n - 1) * scorer.step_seconds + scorer.window_seconds
        self._kept = None if history.folder is None else KeptSound(scorer.sample_rate, raised_by=raised_by)
        self._drift = Drift(watch.condition, sample_rate=scorer.sample_rate) if watch.condition else None
        self._heard = 0.0  # seconds before the recording that is being heard
        self._key: FileKey | None = None
        self._done = 0  # windows of that recording which were scored
        self._stream: Stream | None = None
        self._ticked = self._written = self._tidied = monotonic()
        self._every = CHECKPOINT_SECONDS
        self._resumed: SavedMonitor | None = None  # in the middle of a file, of which nothing came as yet
        self._down = 0.0  # seconds for which no monitor was running
        name = f"{watch.machine_id}-{datetime.fromtimestamp(wall(), UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self.levels = AlarmLevels(watch, name=name)
        self.troubles = Troubles(name)
        saved = history.checkpoint()
        if saved is not None:
            self._resume(saved)

    def run(self, source: Source) -> MonitorSummary:
        """Listen until the source ends or is stopped; the state is written down, however it ends."""
        if source.live:
            self._every = LIVE_CHECKPOINT_SECONDS
            self._heard += min(max(self._down, 0.0), self.watch.settings.gap_seconds)
        self.levels.obey()
        self.history.threshold(self._clock.time(self.heard_seconds), *self.levels.thresholds, why="start")
        self._tidy()
        try:
            for item in source:
                self._take(item, source)
                self._tick()
        finally:
            self._write()
        return self.summary

    def set_threshold(self, threshold: float, warning: float | None) -> None:
        """Other thresholds from the next window on; an alarm that is raised stays raised. Any thread may call it.

        Args:
            threshold: of alarms.
            warning: of warnings; none takes that level away.

        Raises:
            MonitorError: if they are not finite, or warnings would not come before alarms.
        """
        self.levels.order(threshold, warning)

    def state(self) -> str:
        """How it is, in a word or some."""
        troubles = ", ".join(self.troubles.active)
        return " + ".join(filter(None, (self.levels.word(), troubles and f"TROUBLE: {troubles}"))) or "normal"

    @property
    def heard_seconds(self) -> float:
        """Sound and known gaps since monitoring began."""
        listened = 0.0 if self._resumed is None else self._resumed.listened
        return max(listened, self._heard + (0.0 if self._stream is None else self._stream.seconds))

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
        resumed, self._resumed = self._resumed, None
        if resumed is not None and resumed.file == item.key:
            self._done = resumed.windows
        elif resumed is not None:  # that file is gone, or another one by now; what was heard of it was heard
            self._heard = max(self._heard, resumed.listened)
        for follower in (self._drift, self._kept):
            if follower is not None:
                follower.restart()

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
        self._write(heard=item.key)

    def _window(self, window: Window, level: SoundLevel) -> None:
        if self._kept is not None:
            self._kept.add(window)
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
        self._decide(window, score, found, heard=self._heard + end)

    def _decide(self, window: Window, score: float | None, found: dict[str, str], *, heard: float) -> None:
        """What the score of a window, or what is wrong with it, raises and clears."""
        self.summary.add(score)
        self.levels.obey()
        if self._kept is not None:
            above = score is not None and score > self.levels.threshold
            self._scores.append(WindowScore(self._clock.time(heard), score, above))
        changes = self.troubles.update(heard, found, of=WINDOW_TROUBLES)
        if self._drift is not None and not found:
            changes += self._changed(self._drift.update(window), heard)
        where = {} if self._key is None else {"file": self._key.name, "file_seconds": round(heard - self._heard, 6)}
        events = [self._event_of(change, heard, where) for change in changes]
        raised = []
        for kind, alarm, threshold in self.levels.update(heard, score):
            said = self.scorer.words(window.samples) if alarm.kind == "raised" else {}
            details = {**where, "score": alarm.score, "threshold": threshold, **said}
            events.append(self._event(kind, alarm.alarm_id, alarm.kind, alarm.time, details))
            raised += [alarm.alarm_id] * (alarm.kind == "raised")
        if events:
            self._record(events, self._kept.sounds(raised, end=self._clock.time(heard)) if self._kept else {})
        if self.screen is not None:
            shown = {**where, "score": score, "threshold": self.levels.threshold, "troubles": list(found)}
            self.screen.window(shown, heard=heard, state=self.state())

    def _changed(self, message: str | None, time: float) -> list[Change]:
        if message is None:
            return []
        return self.troubles.begin("changed", message, time=time) if message else self.troubles.end("changed")

    def _emit(self, changes: Sequence[Change]) -> None:
        if changes:
            self._record([self._event_of(change, self.heard_seconds, {}) for change in changes])

    def _event_of(self, change: Change, heard: float, where: dict[str, Any]) -> Event:
        details = {**where, "kind": change.kind, "message": change.message}
        return self._event("trouble", change.id, change.phase, heard, details)

    def _event(self, kind: Any, key: str, phase: Any, heard: float, details: dict[str, Any]) -> Event:
        return Event(kind, key, phase, self._clock.time(heard), heard, self.watch.machine_id, details)

    def _write(
        self, events: Sequence[Event] = (), *, heard: FileKey | None = None, sounds: Mapping[str, Sound] | None = None
    ) -> list[Event]:
        """Where it is, and all that is new since the last time, at once."""
        scores, self._scores, self._written = self._scores, [], self._clock.monotonic()
        return self.history.record(events, checkpoint=self._checkpoint(), heard=heard, scores=scores, sounds=sounds)

    def _record(self, events: Sequence[Event], sounds: Mapping[str, Sound] | None = None) -> None:
        """Into the history, and from there to the outputs; what was there before a crash is not shown again."""
        for event in self._write(events, sounds=sounds):
            self.summary.alarms += event.kind == "alarm" and event.phase == "raised"
            self.summary.warnings += event.kind == "warning" and event.phase == "raised"
            self.summary.troubles += event.kind == "trouble" and event.phase != "cleared"
            if self.screen is not None:
                self.screen.event(event)
        for delivery in self.deliveries:
            delivery.wake()

    def _tick(self) -> None:
        """Now and then: the clocks, the disk, the outputs, the checkpoint."""
        now = self._clock.monotonic()
        if now - self._ticked < TICK_SECONDS:
            return
        self._ticked = now
        if now - self._written >= self._every:
            self._write()
        elif self.history.problem:
            self.history.flush()
        if now - self._tidied >= TIDY_SECONDS:
            self._tidy()
        if (message := self._clock.jump()) is not None:
            self._emit(self.troubles.note("clock", message))
        self._check("history", self.history.problem)
        for delivery in self.deliveries:
            self._check(delivery.output.name, delivery.problem)
            if not delivery.threaded:
                delivery.wake()

    def _tidy(self) -> None:
        self._tidied = self._clock.monotonic()
        if self._retention is not None and not self.history.problem:
            self.history.tidy(self._retention, self._clock.wall())

    def _check(self, kind: str, problem: str | None) -> None:
        self._emit(self.troubles.begin(kind, problem) if problem else self.troubles.end(kind))

    def _checkpoint(self) -> dict[str, Any]:
        file, windows = None if self._stream is None else self._key, self._done
        if (resumed := self._resumed) is not None:
            file, windows = resumed.file, resumed.windows
        return {
            "machine_id": self.watch.machine_id,
            "detector": self.watch.detector,
            **self.levels.to_json(),
            "troubles": self.troubles.to_json(),
            "heard": self.heard_seconds if file is None else self._heard,
            "listened": self.heard_seconds,
            "time": self._clock.wall(),
            "clock": self._clock.time(self.heard_seconds),
            "file": None if file is None else asdict(file),
            "windows": windows,
        }

    def _resume(self, checkpoint: dict[str, Any]) -> None:
        """Go on where the last monitor stood."""
        saved = SavedMonitor.of(checkpoint, self.watch)
        self._down, self._heard = self._clock.wall() - saved.time, saved.heard
        self._resumed = saved if saved.file is not None else None
        self.troubles = Troubles.from_json(saved.troubles)
        self.levels.resume(saved.alarm, saved.warning, same_detector=saved.detector == self.watch.detector)
