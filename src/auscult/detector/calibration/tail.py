"""The tail beyond the calibration's own alarms: a generalised Pareto law on the peaks of the alarm statistic.

References:
    Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, chapter 4 (peaks over threshold).
"""

import numpy as np
from numpy.typing import NDArray

SHAPE_SPREAD = 0.2
"""Standard deviation of the shape before any peak is seen; 0 is the exponential tail. Ours."""

SHAPES = np.linspace(-0.5, 0.5, 81)
SCALES = np.geomspace(0.2, 5.0, 81)
"""Scales in units of the mean excess."""


class Tail:
    """How the rate of alarms falls with the threshold, above the lowest of some peaks.

    Shape and scale have a posterior on a grid: normal about 0 for the shape (see `SHAPE_SPREAD`), flat for the
    logarithm of the scale. So that few peaks give a wide answer, not a wrong one.

    Args:
        levels: `[J]`, the highest peaks, from the highest down; at least three, not all the same.
        hours: in which they occurred.
        dispersion: of the peaks' counts; that many count as one.
    """

    def __init__(self, levels: NDArray[np.float64], *, hours: float, dispersion: float) -> None:
        self.base, excesses = float(levels[-1]), levels[:-1] - levels[-1]
        self.rate, self.peaks = len(levels) / hours, len(levels) / dispersion
        shapes, scales = (grid.ravel() for grid in np.meshgrid(SHAPES, SCALES * float(excesses.mean())))
        likelihood = np.zeros(shapes.shape)
        for excess in excesses:
            likelihood += _log_survival(excess, shapes, scales) - _log_width(excess, shapes, scales)
        posterior = likelihood / dispersion - 0.5 * (shapes / SHAPE_SPREAD) ** 2
        weights = np.exp(posterior - posterior.max())
        kept = weights > 1e-9
        self._shapes, self._scales, self._weights = shapes[kept], scales[kept], weights[kept] / weights[kept].sum()

    def expected_rate(self, threshold: float) -> float:
        """Alarms per hour that are expected above a threshold, all shapes and scales considered."""
        return self.rate * float(self._weights @ self._survival(threshold))

    def threshold(self, rate: float) -> float:
        """The threshold whose expected rate, in alarms per hour, is as asked; at least the lowest peak."""
        low, high = self.base, self.base + float(self._scales.max())
        while self.expected_rate(high) > rate:
            low, high = high, high + 2 * (high - self.base)
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if self.expected_rate(middle) > rate else (low, middle)
        return high

    def rate_quantiles(self, threshold: float, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantiles of the true rate above a threshold, in alarms per hour."""
        from scipy.stats import gamma

        rates = gamma.ppf((np.arange(50) + 0.5) / 50, self.peaks) * self.rate / self.peaks
        values = np.outer(rates, self._survival(threshold)).ravel()
        order = np.argsort(values)
        mass = np.cumsum(np.tile(self._weights, 50)[order]) / 50
        return np.asarray(values[order][np.minimum(np.searchsorted(mass, probabilities), len(values) - 1)])

    def _survival(self, threshold: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(_log_survival(max(threshold - self.base, 0.0), self._shapes, self._scales)))


def _log_survival(excess: float, shapes: NDArray[np.float64], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the chance that a peak exceeds the base by more than `excess`."""
    ratio = excess / scales
    with np.errstate(divide="ignore", invalid="ignore"):
        pareto = -np.log1p(np.maximum(shapes * ratio, -1.0)) / shapes
    return np.where(np.abs(shapes) < 1e-9, -ratio, np.where(np.isnan(pareto), -np.inf, pareto))


def _log_width(excess: float, shapes: NDArray[np.float64], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of survival over density: the scale at this excess."""
    return np.log(np.maximum(scales + shapes * excess, 1e-300))
