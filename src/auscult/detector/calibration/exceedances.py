"""The alarms of calibration series as a function of the threshold, in disjoint blocks of time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auscult.detector.alarms import AlarmSettings, AlarmStatistic, WindowScores

FEWEST_BLOCKS = 8
"""Blocks without which a spread of counts says nothing."""


class Exceedances:
    """The alarms that the monitor's logic raises over calibration series, at any threshold.

    Args:
        series: held-out normal sound, one contiguous recording each; the logic starts afresh with each.
        settings: the alarm logic.
        spread: of the scores, the unit of the release margin.

    Attributes:
        hours: of scored sound.
    """

    def __init__(self, series: Sequence[WindowScores], settings: AlarmSettings, *, spread: float) -> None:
        self.series, self.settings, self.spread = tuple(series), settings, spread
        self.hours = sum(part.hours for part in series)
        self._statistics = [AlarmStatistic(part, settings) for part in series]

    def count(self, threshold: float) -> int:
        """Alarms at a threshold."""
        return sum(len(statistic.raised(threshold, spread=self.spread)) for statistic in self._statistics)

    def levels(self, most: int) -> NDArray[np.float64]:
        """The thresholds at which the number of alarms grows, from the highest down.

        The j-th (j = 1, 2, ...) is the lowest at which there are fewer than j alarms, there and at all higher
        thresholds: the j-th largest *peak* of the alarm statistic, one peak for each alarm.

        Args:
            most: levels wanted.

        Returns:
            `[J]`, not increasing, J at most `most`; fewer where no threshold above the median of the alarm statistic
            gives so many alarms.
        """
        levels: list[float] = []
        for peak in self._peaks():
            count = self.count(float(np.nextafter(peak, -np.inf)))
            levels += [float(peak)] * (count - len(levels))
            if len(levels) >= most:
                break
        return np.array(levels[:most])

    def _peaks(self) -> NDArray[np.float64]:
        """Local maxima of the alarm statistic above its median, each value once, from the highest down."""
        found = []
        for statistic in self._statistics:
            level = statistic.level
            before, after = np.append(-np.inf, level[:-1]), np.append(level[1:], -np.inf)
            found.append(level[(level > before) & (level >= after)])
        levels = np.concatenate([np.empty(0), *(statistic.level for statistic in self._statistics)])
        values = np.unique(np.concatenate([np.empty(0), *found]))[::-1]
        return values[values > np.median(levels)] if len(levels) else values

    def blocks(self, threshold: float, *, block_seconds: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Alarms that begin in each disjoint block, and the blocks' lengths in hours.

        Each recording is cut into equal blocks of about the length asked for; a shorter recording is a block.
        """
        counts, hours = [], []
        for part, statistic in zip(self.series, self._statistics, strict=True):
            windows = len(statistic.places)
            if windows:
                number = max(1, round(windows * part.step_seconds / block_seconds))
                edges = np.linspace(0, windows, min(number, windows) + 1).round()
                counts.append(np.histogram(statistic.raised(threshold, spread=self.spread), edges)[0])
                hours.append(np.diff(edges) * part.step_seconds / 3600)
        return np.concatenate(counts), np.concatenate(hours)

    def dispersion(self, threshold: float, *, block_seconds: float) -> float:
        """Variance of the counts of blocks over their mean: 1 for alarms that come independently, more for bursts.

        NaN if there are too few blocks or no alarm.
        """
        counts, hours = self.blocks(threshold, block_seconds=block_seconds)
        if len(counts) < FEWEST_BLOCKS or not counts.any():
            return float("nan")
        expected = counts.sum() * hours / hours.sum()
        return float(np.sum((counts - expected) ** 2 / expected) / (len(counts) - 1))
