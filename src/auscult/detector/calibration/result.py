"""What a calibration found: thresholds, promise, its support, its error, p-values; as JSON and in sentences.

A rate of alarms is written as "1/day", which is one in 24 hours of scored sound.
"""

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, FailFast, Field

from auscult.detector.alarms import AlarmSettings
from auscult.errors import CalibrationError, nearest

HOURS = {"hour": 1.0, "day": 24.0, "week": 168.0, "month": 720.0, "year": 8760.0}
"""Hours in each unit; a month has 30 days, a year 365."""

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


def parse_rate(text: str) -> float:
    """Alarms per hour.

    Args:
        text: a number, a slash and a unit of `HOURS`.

    Raises:
        CalibrationError: if the text is no such rate or the number is not above 0.

    >>> parse_rate("12/day")
    0.5
    """
    match = re.fullmatch(r"\s*([^/\s]+)\s*/\s*([A-Za-z]+)\s*", text)
    units = ", ".join(HOURS)
    if not match:
        raise CalibrationError(
            f'the rate {text!r} is not understood; write it as "1/day", with one of the units {units}'
        )
    unit = match[2].lower()
    if unit not in HOURS:
        raise CalibrationError(f"the rate {text!r} has an unknown unit{nearest(unit, HOURS)}; use one of {units}")
    try:
        number = float(match[1])
    except ValueError:
        raise CalibrationError(f'the rate {text!r} has no number before the slash; write it as "0.5/{unit}"') from None
    rate = number / HOURS[unit]
    if not (math.isfinite(rate) and rate > 0):
        raise CalibrationError(
            f"the rate {text!r} must be a number above 0: no threshold can promise that there is never a false alarm"
        )
    return rate


def format_rate(per_hour: float, *, like: float | None = None) -> str:
    """A rate in words, in the shortest of hour, day, week, month and year that holds at least one, or per year.

    Args:
        per_hour: the rate.
        like: another rate, per hour, whose unit is to be used.

    >>> format_rate(2 / 168), format_rate(0), format_rate(30), format_rate(2, like=1 / 24)
    ('2/week', '0/year', '30/hour', '48/day')
    """
    measure = per_hour if like is None else like
    unit = next((unit for unit, hours in HOURS.items() if measure * hours >= 0.9995), "year")
    return f"{per_hour * HOURS[unit]:.3g}/{unit}"


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(later < earlier for earlier, later in pairwise(values)):
        raise ValueError("quantiles must not fall")
    return values


@dataclass(frozen=True, slots=True)
class WarningLevel:
    """What lies between normal and alarm where the threshold is extrapolated: what the recording itself supports.

    Args:
        threshold: lower than that of alarms.
        alarms: that the calibration sound is expected to hold above it: `SUPPORT`, or fewer where it has no more.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    threshold: Finite
    alarms: Annotated[int, Field(ge=1, le=SUPPORT)]


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
        warning: the level of warnings; none where the promise is supported, or in files older than warnings.
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
    warning: WarningLevel | None = None

    @property
    def expected_alarms(self) -> float:
        """Alarms that the promised rate means for the calibration's hours."""
        return self.promised * self.hours

    @property
    def warning_rate(self) -> float | None:
        """Warnings per hour that normal sound raises, about; none without a level."""
        return None if self.warning is None else self.warning.alarms / self.hours

    @property
    def caveat(self) -> str:
        """What everyone who reads a decision must know of an extrapolated threshold; empty for a supported one."""
        if self.supported:
            return ""
        rate, misses = format_rate(self.promised), "most faults" if self.expected_alarms < 1 else "weak faults"
        return (
            f"the threshold for {rate} is extrapolated and would miss {misses}; {self.more_hours:.3g} more hours of "
            f"normal sound would support {rate}"
        )

    def decide(self, score: float) -> Literal["normal", "warning", "anomalous"]:
        """What a score means to the alarm logic."""
        if score > self.threshold:
            return "anomalous"
        return "warning" if self.warning is not None and score > self.warning.threshold else "normal"

    def rate_interval(self) -> tuple[float, float]:
        """Bounds of the true rate of alarms per hour at the threshold (95 %), if normal sound stays as it was."""
        low, high = np.interp([(1 - 0.95) / 2, (1 + 0.95) / 2], PROBABILITIES, self.rate_quantiles)
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
            sentences = [
                f"Supported: at {rate}, {held} are expected to hold {self.expected_alarms:.1f} alarms, and "
                f"{SUPPORT} are enough."
            ]
        else:
            sentences = [
                f"Extrapolated: at {rate}, {held} are expected to hold {self.expected_alarms:.2g} alarms, fewer than "
                f"{SUPPORT}; the threshold is an estimate from how the {self.tail_peaks} most abnormal moments "
                f"fall off. So {self.caveat}."
            ]
        low, high = (format_rate(bound, like=self.promised) for bound in self.rate_interval())
        sentences.append(f"The true rate lies between {low} and {high} (95 %), if normal sound stays as it was.")
        if not self.supported:
            sentences.append(self._on_warnings())
        if not self.dispersions:
            sentences.append("There is too little sound to see whether alarms come in bursts; none are assumed.")
        elif self.dispersion >= 1.05:
            sentences.append(
                f"Alarms of normal sound come unevenly: their counts vary {self.dispersion:.1f} times as much as "
                "counts of independent alarms; the intervals are that much wider."
            )
        return [*sentences, METHODS[self.method]]

    def _on_warnings(self) -> str:
        if self.warning is None or self.warning_rate is None:
            return "There is no warning level between normal and alarm; learn again, with more sound, to get one."
        level, rate = f"{self.warning.threshold:.4g}", format_rate(self.warning_rate)
        few = "" if self.warning.alarms == SUPPORT else f", and {SUPPORT} would be needed to be sure of that rate"
        return (
            f"A warning stands between normal and alarm, above {level}: normal sound raises about {rate}, for it "
            f"raised {self.warning.alarms} in what was recorded{few}."
        )


def warning_text(calibration: Calibration) -> str:
    """The warning level and its rate, for a table."""
    if calibration.warning is None or calibration.warning_rate is None:
        return "none"
    return f"{calibration.warning.threshold:.4g} ({format_rate(calibration.warning_rate)})"
