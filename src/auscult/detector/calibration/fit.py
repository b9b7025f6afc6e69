"""From window scores of held-out normal sound to a threshold that keeps a promised rate of alarms."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auscult.detector.alarms import AlarmSettings, WindowScores
from auscult.detector.calibration.exceedances import FEWEST_BLOCKS, Exceedances
from auscult.detector.calibration.result import (
    METHODS,
    PROBABILITIES,
    SUPPORT,
    Calibration,
    Method,
    WarningLevel,
    format_rate,
)
from auscult.detector.calibration.tail import Tail
from auscult.errors import CalibrationError

FEWEST_PEAKS, MOST_PEAKS = 10, 60
"""Peaks that a tail is fitted to."""

LEAST_PEAKS = 5
"""That are enough where the sound has no more: the interval of the true rate is then very wide, and still holds it."""

MOST_LEVELS = 200
"""Levels that are looked at below a threshold for the sake of the dispersion alone."""

BLOCKS_PER_PEAK = 8
"""So that the peaks of a tail are its upper eighth."""

BLOCK_FACTOR = 2.0
"""Length of a block in units of what one alarm can span: window, n steps, cool-down."""

EXACT_RANKS = 200
"""Reference scores that are all kept; further down they thin out, 3 % more ranks from one to the next."""


def calibrate(
    series: Sequence[WindowScores], rate: float, *, settings: AlarmSettings, method: Method = "split"
) -> Calibration:
    """The threshold at which normal sound is expected to raise at most `rate` alarms an hour.

    The unit is the alarm of the monitor after its logic, which is simulated over the recordings. With H hours and
    m = rate * H of at least `SUPPORT`, the threshold is the m-th largest peak of the alarm statistic (between two
    peaks where m is no whole number): as of any m-th largest of independent values, the expected rate above it is
    m / H. Below that a `Tail` gives the threshold whose expected rate is as promised, and the `SUPPORT`-th largest peak
    the lower one of warnings, whose rate is supported.

    Args:
        series: held-out normal sound of one machine, one contiguous recording each, in the order of time.
        rate: alarms per hour of scored sound, as of `parse_rate`.
        settings: the alarm logic of the monitor.
        method: "split" if the deployed model made these scores, "cross-fitted" if models of folds did.

    Raises:
        CalibrationError: if there is too little sound, the scores do not vary, or the logic cannot alarm so often.
    """
    if not (math.isfinite(rate) and rate > 0) or method not in METHODS:
        raise CalibrationError(
            f"a rate of {rate} per hour by {method!r}; give a rate above 0 and one of {list(METHODS)}"
        )
    window, step = _geometry(series)
    scores = np.concatenate([part.scores[part.scored] for part in series])
    spread = 1.4826 * float(np.median(np.abs(scores - np.median(scores))))
    if not spread > 0:
        raise CalibrationError("half of the normal windows have the same score; no threshold can be set on such scores")
    found = Exceedances(series, settings, spread=spread)
    block_seconds = BLOCK_FACTOR * (window + settings.n * step + settings.cool_down_seconds)
    supported = rate * found.hours >= SUPPORT
    if supported:
        expected = math.ceil(rate * found.hours)
        levels = found.levels(max(expected + 1, min(3 * expected, MOST_LEVELS)))
        threshold, dispersions, quantiles = _from_peaks(found, levels, rate, block_seconds)
    else:
        blocks = len(found.blocks(math.inf, block_seconds=block_seconds)[0])
        levels = found.levels(int(np.clip(blocks / BLOCKS_PER_PEAK, FEWEST_PEAKS, MOST_PEAKS)))
        threshold, dispersions, quantiles = _from_tail(found, levels, rate, block_seconds)
    reference, references = _reference(series)
    return Calibration(
        threshold=threshold,
        spread=spread,
        settings=settings,
        method=method,
        promised=rate,
        supported=supported,
        hours=found.hours,
        more_hours=max(0.0, SUPPORT / rate - found.hours) if not supported else 0.0,
        recordings=len(series),
        alarms=found.count(threshold),
        tail_peaks=0 if supported else len(levels),
        block_seconds=block_seconds,
        blocks=len(found.blocks(threshold, block_seconds=block_seconds)[0]),
        dispersion=_worst(dispersions),
        dispersions=dispersions,
        rate_quantiles=tuple(quantiles.tolist()),
        window_seconds=window,
        step_seconds=step,
        reference=reference,
        references=references,
        warning=None if supported else _warning(levels, threshold),
    )


Dispersions = tuple[tuple[float, float], ...]


def _from_peaks(
    found: Exceedances, levels: NDArray[np.float64], rate: float, block_seconds: float
) -> tuple[float, Dispersions, NDArray[np.float64]]:
    """Threshold, dispersions and quantiles of the true rate, from as many peaks as alarms are expected."""
    from scipy.stats import gamma

    expected = rate * found.hours
    whole = math.floor(expected)
    if len(levels) <= whole:
        raise CalibrationError(
            f"the alarm logic raises at most {format_rate(len(levels) / found.hours)} on this sound, at any threshold "
            f"above the median; {format_rate(rate)} is no limit: ask for a lower rate, or give a shorter cool-down"
        )
    threshold = levels[whole - 1] + (expected - whole) * (levels[whole] - levels[whole - 1])
    dispersions = _dispersions(found, (levels[whole - 1], levels[-1]), block_seconds)
    shape = expected / _worst(dispersions)
    return float(threshold), dispersions, np.asarray(gamma.ppf(PROBABILITIES, shape) * rate / shape)


def _from_tail(
    found: Exceedances, levels: NDArray[np.float64], rate: float, block_seconds: float
) -> tuple[float, Dispersions, NDArray[np.float64]]:
    """The same by extrapolation from the highest peaks."""
    if len(levels) < LEAST_PEAKS or levels[0] == levels[-1]:
        raise CalibrationError(
            f"{found.hours:.3g} hours of calibration sound have {len(set(levels))} different peaks of the alarm "
            f"statistic, and a tail needs {LEAST_PEAKS}: record more normal sound, in recordings longer than "
            f"{found.settings.n} windows (or join short ones), or give a shorter cool-down"
        )
    dispersions = _dispersions(found, (levels[-1],), block_seconds)
    tail = Tail(levels, hours=found.hours, dispersion=_worst(dispersions))
    threshold = tail.threshold(rate)
    return threshold, dispersions, tail.rate_quantiles(threshold, PROBABILITIES)


def _warning(levels: NDArray[np.float64], threshold: float) -> WarningLevel | None:
    """The level of the rarest warnings that the sound supports: of its `SUPPORT`-th highest peak, or the lowest."""
    alarms = min(SUPPORT, len(levels))
    level = float(levels[alarms - 1])
    return WarningLevel(level, alarms) if level < threshold else None


def _dispersions(found: Exceedances, thresholds: Sequence[float], block_seconds: float) -> Dispersions:
    """Block lengths, each twice the one before, and the greatest dispersion at any of the thresholds."""
    pairs = []
    seconds, before = block_seconds, math.inf
    while FEWEST_BLOCKS <= (blocks := len(found.blocks(math.inf, block_seconds=seconds)[0])) < before:
        pairs.append((seconds, max(found.dispersion(float(value), block_seconds=seconds) for value in thresholds)))
        seconds, before = 2 * seconds, blocks
    return tuple(pair for pair in pairs if math.isfinite(pair[1]))


def _worst(dispersions: Dispersions) -> float:
    return max([1.0, *(value for _, value in dispersions)])


def _geometry(series: Sequence[WindowScores]) -> tuple[float, float]:
    """Length and distance of the windows, the same in all recordings."""
    shapes = {(part.window_seconds, part.step_seconds) for part in series}
    if len(shapes) > 1:
        raise CalibrationError(
            f"the recordings have windows and steps of {sorted(shapes)} s; score all in the same way"
        )
    if not shapes or not any(part.scored.any() for part in series):
        raise CalibrationError("there is no scored window to calibrate on; give held-out normal recordings")
    return shapes.pop()


def _reference(series: Sequence[WindowScores]) -> tuple[tuple[tuple[float, int], ...], int]:
    """Scores of windows that share no sound, from the highest down, with the number of greater ones; and how many."""
    apart = max(1, math.ceil(series[0].window_seconds / series[0].step_seconds - 1e-9))
    scores = np.concatenate([part.scores[part.scored][::apart] for part in series])
    values, counts = np.unique(scores, return_counts=True)
    values, greater = values[::-1], np.cumsum(np.append(0, counts[::-1]))[:-1]
    kept, place = [], 0
    while place < len(values):
        kept.append((float(values[place]), int(greater[place])))
        place += max(1, int(0.03 * (place - EXACT_RANKS)))
    return tuple(kept), len(scores)
