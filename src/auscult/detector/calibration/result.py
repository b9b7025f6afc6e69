"""What a calibration found: threshold, promise, its support, its error, p-values; as JSON and in sentences."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, FailFast, Field

from auscult.detector.alarms import AlarmSettings
from auscult.errors import CalibrationError

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


MOST = 1e15
"""Greatest number that a file may hold, whatever it counts."""

Finite = Annotated[float, Field(ge=-MOST, le=MOST)]
Positive = Annotated[float, Field(gt=0, le=MOST)]
NotNegative = Annotated[float, Field(ge=0, le=MOST)]
Count = Annotated[int, Field(ge=0, le=int(MOST))]


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(later < earlier for earlier, later in pairwise(values)):
        raise ValueError("quantiles must not fall")
    return values


@dataclass(frozen=True, slots=True)
class Calibration:
    """The threshold of one machine and what is known about it; `calibrate` makes it, and files have its limits.

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

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    threshold: Finite
    spread: Positive
    settings: AlarmSettings
    method: Method
    promised: Positive
    supported: bool
    hours: Positive
    more_hours: NotNegative
    recordings: Count
    alarms: Count
    tail_peaks: Count
    block_seconds: Positive
    blocks: Count
    dispersion: Annotated[float, Field(ge=1, le=MOST)]
    dispersions: Annotated[tuple[tuple[Positive, NotNegative], ...], Field(max_length=64), FailFast()]
    rate_quantiles: Annotated[
        tuple[NotNegative, ...],
        Field(min_length=len(PROBABILITIES), max_length=len(PROBABILITIES)),
        FailFast(),
        AfterValidator(_rising),
    ]
    window_seconds: Positive
    step_seconds: Positive
    reference: Annotated[tuple[tuple[Finite, Count], ...], Field(max_length=100_000), FailFast()]
    references: Count

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
        from auscult.detector.calibration.rates import format_rate

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


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise CalibrationError(f"the level is {level}; give a share between 0 and 1, such as 0.95")
    return level
