"""The terminal: a live trend of the scores, or plain lines where nobody watches."""

import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from auscult.errors import plain
from auscult.live.events import Event
from auscult.live.summary import MonitorSummary

TREND = 40
BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-:=+*#"

REDRAWN_SECONDS = 0.1
SUMMARY_SECONDS = 60.0
"""Without a terminal, a line about this often."""

SPREADS = 8.0
"""The lowest bar lies so many spreads of normal scores below the threshold."""


class Terminal:
    """What people see.

    Args:
        stream: to write to.
        threshold: of scores.
        spread: of normal scores.
        name: of the machine.
        live: redraw one line; else write lines only.
        refused: is called when the stream does not take a line.
        warning: lower threshold of warnings, if there is one.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        threshold: float,
        spread: float,
        name: str,
        live: bool,
        refused: Callable[[OSError], None],
        warning: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream, self.threshold, self.spread, self.name, self.live = stream, threshold, spread, name, live
        self._warning, self._refused = warning, refused
        self._clock = clock
        self._bars = BARS if "utf" in (getattr(stream, "encoding", "") or "").lower() else PLAIN_BARS
        self._trend: deque[float | None] = deque(maxlen=TREND)
        self._drawn_at = -math.inf
        self._width = 0
        self._since = MonitorSummary()  # of the last line without a terminal

    def window(self, window: Mapping[str, Any], *, heard: float, state: str) -> None:
        """The next window.

        Args:
            window: its score, None if it could not be scored.
            heard: seconds of sound until then.
            state: in a word: "normal", "warning", "ALARM" or the troubles.
        """
        score = window["score"]
        self._trend.append(score)
        self._since.add(score)
        now = self._clock()
        if now - self._drawn_at < (REDRAWN_SECONDS if self.live else SUMMARY_SECONDS):
            return
        self._drawn_at = now
        self._draw(score, heard, state) if self.live else self._summary(heard, state)

    def waiting(self, state: str) -> None:
        """No sound comes."""
        now = self._clock()
        if self.live and now - self._drawn_at >= 1.0:
            self._drawn_at = now
            self._redraw(f"{self.name}  {state}")

    def event(self, event: Event) -> None:
        """An alarm, a warning or a trouble, in a line that stays."""
        self._line(describe(event.to_json()))

    def begin(self, facts: Mapping[str, Any]) -> None:
        """What is about to be watched."""
        warning = "" if self._warning is None else f"warning {self._warning:.3f}, "
        self._line(
            f"listening to {facts['source']}: {facts['machine_id']}, {warning}threshold {facts['threshold']:.3f}, an "
            f"alarm at {facts['k']} of {facts['n']} windows of {facts['window_seconds']:g} s every "
            f"{facts['step_seconds']:g} s"
        )

    def end(self, facts: Mapping[str, Any]) -> None:
        """What was heard."""
        highest = f", highest score {facts['highest']:.3f}" if facts["scored"] else ""
        warnings = "" if self._warning is None else f"{facts['warnings']} warnings, "
        self._line(
            f"{duration(facts['heard_seconds'])} heard, {facts['scored']} of {facts['windows']} windows scored{highest}"
            f", {facts['alarms']} alarms, {warnings}{facts['troubles']} troubles"
        )

    def _draw(self, score: float | None, heard: float, state: str) -> None:
        number = "   -   " if score is None else f"{score:7.3f}"
        head = f"{self.name}  {state:<6}  {number} / {self.threshold:.3f}  {duration(heard)}  "
        room = max(0, min(TREND, shutil.get_terminal_size().columns - 1 - len(head)))
        self._redraw(head + "".join(self._bar(value) for value in self._trend)[-room:] * (room > 0))

    def _summary(self, heard: float, state: str) -> None:
        since, self._since = self._since, MonitorSummary()
        highest = f", highest score {since.highest:.3f}" if since.scored else ""
        self._line(
            f"{self.name}: {duration(heard)} heard, {since.scored} of {since.windows} windows scored since the last "
            f"line{highest}, threshold {self.threshold:.3f}, {state}"
        )

    def _bar(self, score: float | None) -> str:
        if score is None:
            return "?"
        if score > self.threshold:
            return "!"
        if self._warning is not None and score > self._warning:
            return "^"
        depth = (self.threshold - score) / (SPREADS * self.spread) if self.spread > 0 else 0.0
        return self._bars[max(0, min(len(self._bars) - 1, int((1 - depth) * len(self._bars))))]

    def _line(self, text: str) -> None:
        self._write("\r" + " " * self._width + "\r" if self._width else "")
        self._width = 0
        self._write(plain(text) + "\n")

    def _redraw(self, text: str) -> None:
        text = plain(text)[: shutil.get_terminal_size().columns - 1]
        self._write("\r" + text.ljust(self._width))
        self._width = len(text)

    def _write(self, text: str) -> None:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        try:
            self.stream.write(text.encode(encoding, "replace").decode(encoding))
            self.stream.flush()
        except OSError as error:
            self._refused(error)


def describe(event: Mapping[str, Any]) -> str:
    """An event, as JSON, in a line."""
    where = f" in {event['file']} at {event['file_seconds']:g} s" if "file" in event else ""
    head = f"{event['time']}  {event['type'].upper()} {event['event']}{where}"
    if event["type"] in ("alarm", "warning"):
        words = f": {event['words']}" if event.get("words") else ""
        return f"{head}: score {event['score']:.3f}, threshold {event['threshold']:.3f} ({event['id']}){words}"
    over = "no more: " if event["event"] == "cleared" else ""
    return f"{head}: {event['kind']}: {over}{event['message']}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3725)
    '1:02:05'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
