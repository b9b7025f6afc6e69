"""What waits in memory until it is written, and what is given up first when that takes long."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from auscult.live.events import Event
from auscult.live.history.rows import Sound, ThresholdRow, WindowScore
from auscult.live.history.tables import LEVELS
from auscult.live.sound import FileKey

MOST_PENDING = 10_000
"""Events that are kept in memory while the disk is full; then the oldest are lost, and the history says how many."""

MOST_BUCKETS = 20_000
"""Buckets of scores that are kept likewise, about 5 MB; then the oldest of the finest level are given up."""

MOST_SOUND_BYTES = 64 * 2**20
"""Of sounds that are kept likewise; then the oldest are given up."""

Place = tuple[int, int]
"""Of a bucket: its level and its start, in whole seconds since 1970."""


@dataclass(slots=True)
class Bucket:
    """Scores of the windows that end within some seconds; `low` and `high` are infinite where there are none."""

    count: int = 0
    scored: int = 0
    above: int = 0
    low: float = math.inf
    sum: float = 0.0
    high: float = -math.inf

    def add(self, window: WindowScore) -> None:
        """Count one more window."""
        self.count += 1
        self.above += window.above
        if window.score is not None:
            self.scored += 1
            self.sum += window.score
            self.low, self.high = min(self.low, window.score), max(self.high, window.score)

    def row(self, machine: str, place: Place) -> dict[str, Any]:
        """As a row of the table."""
        return {
            "machine": machine,
            "level": place[0],
            "time": place[1],
            "count": self.count,
            "scored": self.scored,
            "above": self.above,
            "low": self.low if self.scored else None,
            "sum": self.sum,
            "high": self.high if self.scored else None,
        }


def buckets_of(windows: Sequence[WindowScore], buckets: dict[Place, Bucket] | None = None) -> dict[Place, Bucket]:
    """Windows in the buckets of all levels; added to those that are given.

    >>> sorted(buckets_of([WindowScore(61.5, 0.25, False)]))
    [(1, 61), (60, 60), (600, 0), (3600, 0)]
    """
    buckets = {} if buckets is None else buckets
    for window in windows:
        second = math.floor(window.time)
        for level in LEVELS:
            buckets.setdefault((level, second - second % level), Bucket()).add(window)
    return buckets


@dataclass(slots=True)
class PendingEvent:
    """An event that is not yet on the disk, and the outputs that have not got it."""

    event: Event
    line: str
    missing: list[str]


@dataclass(slots=True)
class Pending:
    """All that waits to be written in one transaction.

    Attributes:
        events: by their keys, the oldest first.
        delivered: outputs and the numbers of events that they have got.
        files: heard to their end, by name.
        checkpoint: the last one, as JSON.
        buckets: of scores, the oldest first.
        sounds: by their incidents, the oldest first.
        thresholds: the oldest first.
        lost: events that were given up.
    """

    events: dict[str, PendingEvent] = field(default_factory=dict)
    delivered: set[tuple[str, int]] = field(default_factory=set)
    files: dict[str, FileKey] = field(default_factory=dict)
    checkpoint: str | None = None
    buckets: dict[Place, Bucket] = field(default_factory=dict)
    sounds: dict[str, Sound] = field(default_factory=dict)
    thresholds: list[ThresholdRow] = field(default_factory=list)
    lost: int = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return self.checkpoint is not None or any(self._collections())

    def clear(self) -> None:
        """Nothing waits any more."""
        self.checkpoint = None
        for waiting in self._collections():
            waiting.clear()

    def _collections(self) -> tuple[Any, ...]:
        return self.events, self.delivered, self.files, self.buckets, self.sounds, self.thresholds

    def bound(self) -> None:
        """Keep memory bounded: give up the finest scores first, the oldest sounds, and at last the oldest events."""
        while len(self.events) > MOST_PENDING:
            del self.events[next(iter(self.events))]
            self.lost += 1
        if len(self.buckets) > MOST_BUCKETS:
            for place in sorted(self.buckets)[: len(self.buckets) - MOST_BUCKETS * 9 // 10]:
                del self.buckets[place]
        while sum(len(sound.flac) for sound in self.sounds.values()) > MOST_SOUND_BYTES:
            del self.sounds[next(iter(self.sounds))]
        del self.thresholds[:-MOST_PENDING]
