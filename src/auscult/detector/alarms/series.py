"""The alarm logic over a whole series of window scores, for any number of thresholds."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from auscult.detector.alarms.logic import AlarmSettings, whole
from auscult.errors import AlarmError

CHUNK = 1 << 22
"""Scores that are sorted at once."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowScores:
    """Scores of the sliding windows of one contiguous recording of one machine.

    Args:
        times: `[W]`, of the windows' ends, in seconds.
        scores: `[W]`; not looked at where a window is not valid.
        window_seconds: length of a window.
        step_seconds: distance of the windows.
        valid: `[W]`; False for windows that are reported but not scored. All are valid if none are given.

    Raises:
        AlarmError: if shapes differ, a time or a valid score is not finite, or a length is not positive.
    """

    times: NDArray[np.float64]
    scores: NDArray[np.float64]
    window_seconds: float
    step_seconds: float
    valid: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for name in ("times", "scores"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        given = np.ones(self.scores.shape, bool) if self.valid is None else np.asarray(self.valid, dtype=bool)
        object.__setattr__(self, "valid", given)
        if self.times.ndim != 1 or not self.times.shape == self.scores.shape == given.shape:
            shapes = self.times.shape, self.scores.shape, given.shape
            raise AlarmError(f"times, scores and validity have the shapes {shapes}; give one of each per window")
        if not np.isfinite(self.times).all() or not np.isfinite(self.scores[given]).all():
            raise AlarmError(
                "a window has a time or a score that is not finite; mark what cannot be scored as not valid"
            )
        if not (0 < self.step_seconds < 1e9 and 0 < self.window_seconds < 1e9):
            lengths = f"{self.window_seconds} s every {self.step_seconds} s"
            raise AlarmError(f"windows of {lengths} make no series; give positive lengths")

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which windows `[W]` have a score."""
        return np.ones(self.scores.shape, bool) if self.valid is None else self.valid

    @property
    def hours(self) -> float:
        """Hours of sound that was scored: valid windows times their step."""
        return float(np.count_nonzero(self.scored)) * self.step_seconds / 3600


class AlarmStatistic:
    """What the alarm logic sees in a series, for any threshold: computed once, then each threshold is fast.

    Attributes:
        level: `[S]`, the k-th largest of the last n scores at each scored window; an alarm needs it above the
            threshold.
        calm: `[S]`, the release_k-th largest; infinite until there are n, so that nothing is cleared before.
        listened: `[S]`, microseconds listened until then.
        places: `[S]`, the scored windows' places in the series.
    """

    def __init__(self, series: WindowScores, settings: AlarmSettings) -> None:
        self.settings = settings
        self.places = np.flatnonzero(series.scored)
        steps = np.clip(np.diff(series.times, prepend=series.times[:1]), 0.0, settings.gap_seconds)
        self.listened = np.cumsum(np.rint(steps * 1e6).astype(np.int64))[self.places]
        silent = np.diff(self.listened, prepend=0) >= whole(settings.gap_seconds)
        starts = [0, *np.flatnonzero(silent[1:]) + 1, len(self.places)] if len(self.places) else [0]
        scores = series.scores[self.places]
        ranks = [settings.k, settings.release_k]
        parts = [largest(scores[a:b], n=settings.n, ranks=ranks) for a, b in pairwise(starts)]
        for part in parts:
            part[1, : settings.n - 1] = np.inf
        self.level, self.calm = np.concatenate([np.empty((2, 0)), *parts], axis=1)

    def raised(self, threshold: float, *, spread: float) -> NDArray[np.int64]:
        """Places in the scored windows where alarms are raised at a threshold."""
        above: list[int] = (self.level > threshold).nonzero()[0].tolist()
        release = self.settings.release_level(threshold, spread=spread)
        cool_down = whole(self.settings.cool_down_seconds)
        raised, start = [], 0
        while (place := bisect_left(above, start)) < len(above):
            raised.append(above[place])
            cleared = _first_at_most(self.calm, release, above[place])
            if cleared is None:
                break
            start = max(cleared + 1, int(self.listened.searchsorted(self.listened[cleared] + cool_down)))
        return np.array(raised, dtype=np.int64)


def largest(scores: NDArray[np.float64], *, n: int, ranks: Sequence[int]) -> NDArray[np.float64]:
    """Of the last n scores at each score of `[S]`, those of some ranks, 1 for the largest `[R, S]`.

    Where there are fewer scores than a rank, it is infinitely low.
    """
    places = [n - rank for rank in ranks]
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.full(n - 1, -np.inf), scores]), n)
    found, size = np.empty((len(ranks), len(scores))), max(1, CHUNK // n)
    for start in range(0, len(scores), size):
        part = slice(start, start + size)
        found[:, part] = np.partition(windows[part], places, axis=1)[:, places].T
    return found


def _first_at_most(values: NDArray[np.float64], limit: float, start: int) -> int | None:
    """The first place from `start` on whose value is at most the limit."""
    width = 64
    while start < len(values):
        low = values[start : start + width] <= limit
        if low[first := int(low.argmax())]:
            return start + first
        start, width = start + width, 4 * width
    return None
