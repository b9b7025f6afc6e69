"""What a calibration found: threshold, promise, its support, its error, p-values; as JSON and in sentences."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auscult.detector.alarms import AlarmSettings
from auscult.detector.calibration.rates import format_rate
from auscult.errors import AlarmError, CalibrationError

Method = Literal["split", "cross-fitted"]

SUPPORT = 10
"""Alarms that the calibration must be expected to hold for a rate to be supported."""

PROBABILITIES = (np.arange(200) + 0.5) / 200
"""Of the stored quantiles of the true rate."""

METHODS: dict[str, str] = {
    "split": "Split: the deployed model is exactly the one that scored the calibration sound, which it had not heard.",
    "cross-fitted": "Cross-fitted: each part of the calibration sound was scored by a model that had not heard it, but "
    "the deployed model is another one, trained on all parts; the promise holds only as far as their scores agree.",
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """The threshold of one machine and what is known about it; `calibrate` makes it.

    Args:
        threshold: a window is above it when its score is greater.
        spread: of normal window scores (1.48 median absolute deviations), the unit of the release margin.
        settings: the alarm logic that the promise is about.
        method: "split" or "cross-fitted", see `METHODS`.
        promised: alarms per hour of scored sound, at most, in expectation.
        supported: whether the calibration is expected to hold `SUPPORT` alarms at that rate; else the threshold is an
            extrapolation of the tail.
        hours: of scored calibration sound.
        more_hours: that would support the rate; 0 if supported.
        recordings: contiguous ones.
        alarms: that the calibration sound itself raises at the threshold.
        tail_peaks: peaks that the tail was fitted to; 0 if supported.
        block_seconds: length of the disjoint blocks of time.
        blocks: their number.
        dispersion: variance of blocks' counts over their mean that the intervals assume, at least 1.
        dispersions: pairs of a block length in seconds and the dispersion found with it: the blocks, doubled and
            doubled again.
        rate_quantiles: of the true rate of alarms per hour, at `PROBABILITIES`.
        window_seconds: length of a window.
        step_seconds: distance of windows.
        reference: pairs of a normal score, from the highest down, and the number of greater ones, among windows that
            share no sound.
        references: how many such windows there were.
    """

    threshold: float
    spread: float
    settings: AlarmSettings
    method: Method
    promised: float
    supported: bool
    hours: float
    more_hours: float
    recordings: int
    alarms: int
    tail_peaks: int
    block_seconds: float
    blocks: int
    dispersion: float
    dispersions: tuple[tuple[float, float], ...]
    rate_quantiles: tuple[float, ...]
    window_seconds: float
    step_seconds: float
    reference: tuple[tuple[float, int], ...]
    references: int

    @property
    def expected_alarms(self) -> float:
        """Alarms that the promised rate means for the calibration's hours."""
        return self.promised * self.hours

    def rate_interval(self, *, level: float = 0.95) -> tuple[float, float]:
        """Bounds of the true rate of alarms per hour at the threshold, if normal sound stays as it was.

        Raises:
            CalibrationError: if the level is not between 0 and 1.
        """
        tails = [(1 - _level(level)) / 2, (1 + level) / 2]
        low, high = np.interp(tails, PROBABILITIES, self.rate_quantiles)
        return float(low), float(high)

    def p_value(self, score: float) -> float:
        """Conformal p-value of one window or clip: the share of normal windows at least as abnormal, itself included.

        (1 + number of reference scores >= score) / (1 + number of them); between stored scores the next greater number.
        It is never smaller than 1 / (1 + references), and says nothing about a choice among many windows.

        Raises:
            CalibrationError: if the score is not finite.
        """
        if not math.isfinite(score):
            raise CalibrationError(f"the score {score} has no p-value; it must be a finite number")
        greater = next((number for value, number in self.reference if value < score), self.references)
        return (1 + greater) / (1 + self.references)

    def describe(self) -> list[str]:
        """The calibration in sentences, for a report or `auscult info`."""
        rate, held = format_rate(self.promised), f"{self.hours:.3g} hours of calibration sound"
        if self.supported:
            first = (
                f"Supported: at {rate}, {held} are expected to hold {self.expected_alarms:.1f} alarms, and "
                f"{SUPPORT} are enough."
            )
        else:
            first = (
                f"Extrapolated: at {rate}, {held} are expected to hold {self.expected_alarms:.2g} alarms, fewer than "
                f"{SUPPORT}; the threshold comes from a generalised Pareto tail fitted to {self.tail_peaks} peaks. "
                f"{self.more_hours:.3g} more hours would support this rate."
            )
        low, high = (format_rate(bound, like=self.promised) for bound in self.rate_interval())
        sentences = [first, f"The true rate lies between {low} and {high} (95 %), if normal sound stays as it was."]
        if not self.dispersions:
            sentences.append("There is too little sound to see whether alarms come in bursts; none are assumed.")
        elif self.dispersion >= 1.05:
            sentences.append(
                f"Alarms of normal sound come unevenly: their counts vary {self.dispersion:.1f} times as much as "
                "counts of independent alarms; the intervals are that much wider."
            )
        return [*sentences, METHODS[self.method]]

    def to_json(self) -> dict[str, Any]:
        """The calibration as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Calibration":
        """What `to_json` gave.

        Raises:
            CalibrationError: if a field is missing, unknown or damaged.
        """
        kinds = {field.name: field.type for field in fields(cls)}
        wrong = sorted(set(data) ^ set(kinds))
        if wrong:
            raise CalibrationError(f"the calibration lacks or does not know {', '.join(wrong)}; calibrate again")
        try:
            values: dict[str, Any] = {
                name: kind(data[name]) if kind in (int, float) else data[name] for name, kind in kinds.items()
            }
            values["settings"] = AlarmSettings.from_json(data["settings"])
            values["dispersions"] = tuple((float(seconds), float(value)) for seconds, value in data["dispersions"])
            values["rate_quantiles"] = tuple(float(value) for value in data["rate_quantiles"])
            values["reference"] = tuple((float(value), int(greater)) for value, greater in data["reference"])
        except (AlarmError, TypeError, ValueError, OverflowError) as error:
            raise CalibrationError(f"the calibration is damaged ({error}); calibrate again") from error
        calibration = cls(**values)
        calibration._check()
        return calibration

    def _check(self) -> None:
        """Refuse numbers that `calibrate` cannot have made."""
        numbers = [self.threshold, self.spread, self.promised, self.hours, self.more_hours, self.dispersion]
        numbers += [*self.rate_quantiles, *(value for value, _ in self.reference), *np.ravel(self.dispersions)]
        ordered = (np.diff(self.rate_quantiles) >= 0).all() and self.rate_quantiles[:1] >= (0.0,)
        if (
            self.method not in METHODS
            or not isinstance(self.supported, bool)
            or not all(map(math.isfinite, numbers))
            or min(self.spread, self.promised, self.hours, self.dispersion) <= 0
            or len(self.rate_quantiles) != len(PROBABILITIES)
            or not ordered
        ):
            raise CalibrationError("the calibration is damaged (impossible numbers); calibrate again")


def prediction_interval(calibration: Calibration, hours: float, *, level: float = 0.99) -> tuple[int, int]:
    """Bounds, both included, of the number of alarms in new normal sound.

    They include three errors: chance in the new sound, bursts (the dispersion of blocks), and the calibration's own
    error in the rate. The number is negative binomial about each possible true rate.

    Args:
        calibration: of the machine.
        hours: of new scored sound.
        level: the chance that the number lies within, at least.

    Raises:
        CalibrationError: if hours are not above 0 or the level is not between 0 and 1.
    """
    if not (math.isfinite(hours) and hours > 0):
        raise CalibrationError(f"there is no prediction for {hours} hours; give a number above 0")
    tail = (1 - _level(level)) / 2
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


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise CalibrationError(f"the level is {level}; give a share between 0 and 1, such as 0.95")
    return level
