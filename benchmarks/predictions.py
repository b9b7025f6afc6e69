"""How many alarms a calibration lets expect in new normal sound: what the benchmarks of false alarms compare with."""

import math

import numpy as np
from numpy.typing import NDArray

from auscult.detector.alarms import AlarmStatistic, WindowScores
from auscult.detector.calibration.result import Calibration


def alarm_count(series: WindowScores, calibration: Calibration) -> int:
    """How many alarms the monitor raises over a series of windows at the threshold."""
    statistic = AlarmStatistic(series, calibration.settings)
    return len(statistic.raised(calibration.threshold, spread=calibration.spread))


def prediction_interval(calibration: Calibration, hours: float, *, level: float = 0.99) -> tuple[int, int]:
    """Bounds, both included, of the number of alarms in new normal sound.

    They include three errors: chance in the new sound, bursts (the dispersion of blocks), and the calibration's own
    error in the rate. The number is negative binomial about each possible true rate.

    Args:
        calibration: of the machine.
        hours: of new scored sound.
        level: the chance that the number lies within, at least.
    """
    if not (math.isfinite(hours) and hours > 0 and 0 < level < 1):
        raise ValueError(
            f"no prediction for {hours} hours with {level}; give more than 0 hours, a level between 0 and 1"
        )
    tail = (1 - level) / 2
    means = hours * np.array(calibration.rate_quantiles)
    return _least(means, calibration.dispersion, tail, strict=True), _least(means, calibration.dispersion, 1 - tail)


def _least(means: NDArray[np.float64], dispersion: float, probability: float, *, strict: bool = False) -> int:
    """The least number whose distribution function reaches (or, if strict, exceeds) a probability."""
    from scipy.stats import nbinom, poisson

    def reached(number: int) -> bool:
        if dispersion <= 1 + 1e-9:
            below = poisson.cdf(number, means)
        else:
            below = nbinom.cdf(number, np.maximum(means, 1e-300) / (dispersion - 1), 1 / dispersion)
        share = float(np.mean(below))
        return share > probability if strict else share >= probability

    low, high = -1, 1
    while not reached(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
