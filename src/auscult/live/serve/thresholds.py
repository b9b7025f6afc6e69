"""Thresholds that users decide on: proposed, taken, taken back, forgotten with the detector they were decided for."""

import math
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from auscult.errors import MonitorError
from auscult.live.history import MOST_POINTS, History, Incident, Note, Reader, ThresholdRow, file_hash
from auscult.live.serve.hub import Hub
from auscult.live.serve.machines import Listening
from auscult.live.serve.proposals import Proposal, level_of, propose

EVER = 1e12
"""Behind all times, in seconds since 1970."""


class Thresholds:
    """The thresholds of a plant's machines.

    Args:
        reader: of the history.
        state: folder of the history.
        machines: name -> machine.
        hub: that tells the pages.
    """

    def __init__(self, reader: Reader, state: Path, machines: Mapping[str, Listening], hub: Hub) -> None:
        self._reader, self._state, self._machines, self._hub = reader, state, machines, hub

    def at_start(self, one: Listening, checkpoint: Mapping[str, Any]) -> float | None:
        """In force as the server starts: by a user's decision for this detector, else as the plant or it says.

        Args:
            one: the machine.
            checkpoint: where its last monitor stood; empty if there was none.
        """
        own, decided = _own(one), self.decided(one.name)
        if decided is None:
            return own
        if not checkpoint or checkpoint.get("detector") == file_hash(one.table.detector):
            return decided
        if own is not None:
            with closing(History(self._state, machine=one.name, locked=False)) as history:
                history.threshold(self._now(one), own, one.facts["warning"], why="another detector")
        return own

    def decided(self, machine: str) -> float | None:
        """The threshold that a user has decided on, if it is in force."""
        last = self._last(machine)
        return last.threshold if last is not None and last.note is not None else None

    def change(self, one: Listening, threshold: float, *, why: str, note: int | None, author: str) -> float:
        """Another threshold from the next window on; the one before.

        Raises:
            MonitorError: if there is none to change, or the history cannot be written.
        """
        before = one.live.threshold
        if before is None:
            raise MonitorError(f"{one.name} has no threshold to change; calibrate its detector")
        warning = one.facts["warning"]
        warning = warning if warning is not None and warning < threshold else None
        with closing(History(self._state, machine=one.name, locked=False)) as history:
            history.threshold(self._now(one), threshold, warning, why=why, note=note, author=author)
            if history.problem:
                raise MonitorError(history.problem)
        one.set_threshold(threshold, warning)
        self._hub.publish("threshold", one.name, {"threshold": threshold, "warning": warning, "before": before})
        return before

    def take(self, one: Listening, threshold: float, *, note: int, author: str) -> float:
        """The threshold that a user decides on by a note that stands; the one before.

        Raises:
            MonitorError: if there is no such note of the machine, or it was taken back.
        """
        if not self._stands(one.name, note):
            raise MonitorError(f"{one.name} has no note {note} that stands; say first that a sound was normal")
        return self.change(one, threshold, why=f"note {note}", note=note, author=author)

    def proposal(self, one: Listening, note: Note, about: Incident | None) -> Proposal | None:
        """What a note means for the threshold; nothing unless it says that an alarm was of normal sound."""
        if note.verdict != "normal" or about is None or about.kind != "alarm" or one.live.threshold is None:
            return None
        said = self._reader.notes(machine=one.name, verdict="normal", limit=500).rows
        names = {other.incident for other in said if other.undone is None and other.incident is not None}
        alarms = [found for found in map(self._reader.incident, sorted(names)) if found and found.kind == "alarm"]
        levels = {alarm.id: self._level(one, alarm) for alarm in alarms}
        return propose(
            note.number,
            [*levels.values()],
            level=levels[about.id] if about.id in levels else self._level(one, about),
            before=one.live.threshold,
            hours=one.live.heard_seconds / 3600,
            rate=one.facts["promised_per_hour"],
            promised=one.facts["promised"],
        )

    def take_back(self, note: Note, *, author: str) -> dict[str, float] | None:
        """The last threshold by no other note that was taken back, in force again; none if one came after it."""
        one, last = self._machines.get(note.machine), self._last(note.machine)
        if one is None or last is None or last.note != note.number:
            return None
        rows = [row for row in self._reader.thresholds(note.machine, 0.0, EVER)[::-1] if row.note != note.number]
        earlier = next((row for row in rows if row.note is None or self._stands(note.machine, row.note)), None)
        own = _own(one)
        threshold = own if earlier is None else earlier.threshold
        assert threshold is not None  # one was in force
        of = None if earlier is None else earlier.note
        before = self.change(one, threshold, why=f"note {note.number} was taken back", note=of, author=author)
        return {"before": before, "after": threshold}

    def _stands(self, machine: str, number: int) -> bool:
        """Whether a machine has a note of a number that was not taken back."""
        found = self._reader.note(number)
        return found is not None and found.machine == machine and found.undone is None

    def _last(self, machine: str) -> ThresholdRow | None:
        rows = self._reader.thresholds(machine, EVER, EVER)
        return rows[-1] if rows else None

    def _now(self, one: Listening) -> float:
        """By the machine's clock; in a replay that begins anew, no earlier than what was decided before."""
        last = self._last(one.name)
        return one.clock() if last is None else max(one.clock(), last.time)

    def _level(self, one: Listening, alarm: Incident) -> float:
        """The lowest threshold at which what was heard during an alarm would have raised none, as far as it is kept."""
        facts = one.facts
        span = facts["n"] * facts["step_seconds"] + facts["window_seconds"]
        end = one.clock() if alarm.cleared is None else alarm.cleared
        columns = self._reader.scores(one.name, alarm.raised - span, end + 1, points=MOST_POINTS)
        highs = [float(high) for high in columns.high if high is not None]
        known = alarm.score if alarm.score is not None else -math.inf
        if not highs:
            return known
        fine = columns.step <= max(1.0, facts["step_seconds"])
        return max(known, level_of(highs, k=facts["k"], n=facts["n"]) if fine else max(highs))


def _own(one: Listening) -> float | None:
    """The threshold of the plant's table or of the detector; none if neither has one."""
    found: float | None = one.facts["threshold"] if one.table.threshold is None else one.table.threshold
    return found
