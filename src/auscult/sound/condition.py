"""Whether the sound still comes as it was learned: level, noise floor and spectrum, against normal blocks of time.

A threshold holds for the microphone, gain and surroundings that it was set with. `changed` says in sentences what is no
longer so. It cannot tell a new microphone from a machine that has changed in the same bands; it is a warning beside the
alarm, never instead of one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from auscult.errors import CalibrationError
from auscult.sound.audio import RATES, Codec

FRAME_SECONDS = 0.125
LOWEST_EDGE = 62.5
"""Lower edge of the lowest octave band, in Hz."""

FLOOR_PERCENTILE = 10
SILENCE = 1e-12
"""Power that is added before the logarithm: -120 dB of full scale."""

LEAST_DECIBELS, LEAST_OCTAVES = 2.0, 0.25
"""Changes that are never warned of, however steady the sound: too small to matter."""

FALSE_WARNINGS = 0.001
"""Chance of a warning for a normal block, were its statistics normally distributed."""

FEWEST_BLOCKS = 3
REPEATS = 1.25
"""A change must exceed the greatest one among the normal blocks so many times."""

SOMETHING, NOTHING = -75.0, -93.0
"""Levels of bands, as white noise of so many dB of full scale has: above is sound; below what 16 bits can hold."""

CLIFF, SLACK = 1 / 8, 1.5 / 64
"""Parts of half the rate: a sound that falls from something to nothing within the first was cut off there by a filter;
a sound that is cut off lower than others by less than the second is not told from them."""

EXTENT_BINS, EXTENT_BANDS = 1024, 64
EXTENT_SECONDS = 10.0
"""Of a recording that is resampled, so much of its beginning is looked at as it is."""

NO_END = 1e6
"""In Hz: a sound that holds something up to half its rate."""

ADVICE = "Until this is undone or the detector has learned again, its threshold does not keep its promise."


Statistics = Annotated[tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...], Field(min_length=4, max_length=64)]
"""`[3 + F]`, within what files may hold."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How normal sound came when a detector learned.

    Statistics, in this order: level (dB), noise floor (dB), spectral centroid (octaves above 1 Hz), the bands (dB).

    Args:
        centre: `[3 + F]`, the median block.
        tolerance: `[3 + F]`, the greatest difference from it that is not warned of.
        frames: of the shortest block.
        blocks: of normal sound that it is made of.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    centre: Statistics
    tolerance: Statistics
    frames: Annotated[int, Field(ge=1, le=10**9)]
    blocks: Annotated[int, Field(ge=FEWEST_BLOCKS, le=10**9)]

    def __post_init__(self) -> None:
        if len(self.centre) != len(self.tolerance):
            raise CalibrationError("the learned condition is damaged (other bands than tolerances); learn again")


@dataclass(frozen=True, slots=True)
class Origin:
    """From what kind of recordings a detector learned: sound of another kind differs though the machine does not.

    Args:
        slowest, fastest: of their sample rates, in Hz.
        codecs: of their files.
        reach: up to here they held something, in Hz.
        end: above this they held practically nothing, in Hz; `NO_END` if there was no such frequency.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    slowest: Annotated[int, Field(ge=RATES[0], le=RATES[1])]
    fastest: Annotated[int, Field(ge=RATES[0], le=RATES[1])]
    codecs: Annotated[tuple[Codec, ...], Field(min_length=1, max_length=2)]
    reach: Annotated[float, Field(ge=0, le=NO_END)]
    end: Annotated[float, Field(ge=0, le=NO_END)]

    def difference(self, extent: tuple[float, float], *, sample_rate: int, rate: int, codec: Codec | None) -> str:
        """In what a sound is of another kind, a sentence on what that means; empty if it is of the same.

        Args:
            extent: of the sound, see `extent_of`.
            sample_rate: of the detector, in Hz.
            rate: of the sound as it was given, in Hz.
            codec: of its file; none if there is none.
        """
        if codec is not None and codec not in self.codecs:
            return (
                f"the sound's file is {codec} and the detector learned from {self.codecs[0]} files: coding with loss "
                "changes a sound as a fault would; give the detector files as it learned from"
            )
        if not (self.fastest > sample_rate if rate > sample_rate else self.slowest <= sample_rate <= self.fastest):
            return (
                f"the sound has {rate} Hz and the detector learned from {self.fastest} Hz: their highest bands differ; "
                "record as for learning, or learn again from such recordings"
            )
        (reach, end), nyquist = extent, rate / 2
        if reach > 0 and is_cut_off(reach, end, rate=rate) and end < self.reach - SLACK * nyquist:
            return (
                f"the sound holds practically nothing above {end:.0f} Hz, and what the detector learned from reaches "
                f"{self.reach:.0f} Hz: it was coded with loss, or recorded at a lower rate than its file says"
            )
        if (
            self.end > nyquist / 4
            and is_cut_off(self.reach, self.end, rate=rate)
            and reach > self.end + CLIFF * nyquist
        ):
            return (
                f"the sound reaches {reach:.0f} Hz, and what the detector learned from held practically nothing above "
                f"{self.end:.0f} Hz: that was coded with loss, or recorded at a lower rate than its files said"
            )
        return ""


def is_cut_off(reach: float, end: float, *, rate: int) -> bool:
    """Whether sound falls so steeply to nothing, by frequencies in Hz as of `extent_of`, that a filter did it."""
    return reach >= end - CLIFF * rate / 2


def learn_origin(
    rates: Sequence[int], codecs: Iterable[Codec], extents: Sequence[tuple[float, float]]
) -> Origin | None:
    """The kind of the recordings that were learned, so wide that none of them is of another; none without sound.

    Args:
        rates: of the files, in Hz.
        codecs: of the files.
        extents: of parts of their sound.
    """
    if not extents:
        return None
    cut_off = [end for reach, end in extents if reach and is_cut_off(reach, end, rate=min(rates))]
    reach = float(np.median([reach for reach, _ in extents]))
    end = max(end for _, end in extents)
    return Origin(min(rates), max(rates), tuple(sorted(set(codecs))), min([reach, *cut_off]), end)


def extent_of(waveform: ArrayLike, *, sample_rate: int) -> tuple[float, float]:
    """Up to which frequency a sound `[T]` holds something, and above which practically nothing, in Hz.

    Between lies what could be either. By levels of 64 bands, each the lower quartile of its bins, so that no whistle
    counts. A sound that is too short for that reaches 0 Hz, and has no end.
    """
    samples, size = np.asarray(waveform, dtype=np.float64), 2 * EXTENT_BINS
    if len(samples) < size:
        return 0.0, NO_END
    window = np.hanning(size)
    power = np.zeros(EXTENT_BINS)
    for start in range(0, len(samples) - size + 1, size):
        power += np.abs(np.fft.rfft(samples[start : start + size] * window))[:EXTENT_BINS] ** 2
    bands = np.quantile(power.reshape(EXTENT_BANDS, -1), 0.25, axis=1) / (len(samples) // size) / np.sum(window**2)
    levels = 10 * np.log10(bands + SILENCE)
    reach, end = ((np.flatnonzero(levels > level) + 1).max(initial=0) for level in (SOMETHING, NOTHING))
    width = sample_rate / 2 / EXTENT_BANDS
    return float(reach * width), NO_END if end == EXTENT_BANDS else float(end * width)


def band_levels(waveform: ArrayLike, *, sample_rate: int) -> NDArray[np.float64]:
    """Levels of octave bands from 62.5 Hz up, in dB of full scale.

    Args:
        waveform: `[T]`.
        sample_rate: in Hz, at least 250.

    Returns:
        `[N, F]`: frames of an eighth of a second, without overlap; a last part of a frame is left out.

    Raises:
        CalibrationError: if the waveform is no `[T]` of at least one frame, or the rate is too low.
    """
    samples, length = np.asarray(waveform, dtype=np.float64), round(FRAME_SECONDS * sample_rate)
    count = math.floor(math.log2(max(sample_rate, 1) / 2 / LOWEST_EDGE) + 1e-9)
    if count < 1 or samples.ndim != 1 or len(samples) < length:
        raise CalibrationError(
            f"a waveform of shape {samples.shape} at {sample_rate} Hz has no band levels; give one channel of at least "
            f"{FRAME_SECONDS} s, at 250 Hz or more"
        )
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    window = np.hanning(length)
    power = np.abs(np.fft.rfft(frames * window)) ** 2 * 2 / (length * np.sum(window**2))
    edges = LOWEST_EDGE * 2.0 ** np.arange(count + 1)
    bins = np.searchsorted(np.fft.rfftfreq(length, 1 / sample_rate), edges)
    sums = np.stack([power[:, a:b].sum(axis=1) for a, b in pairwise(bins)], axis=1)
    return np.asarray(10 * np.log10(sums + SILENCE), dtype=np.float64)


def learn_condition(blocks: Sequence[NDArray[np.float64]]) -> Condition:
    """The condition of normal sound, and how far its blocks stray from it.

    Args:
        blocks: band levels `[N, F]` of disjoint blocks of normal sound, about as long as those that will be compared
            with them; better of several days and loads.

    Raises:
        CalibrationError: if there are fewer than three blocks or they differ in bands.
    """
    from scipy.stats import t

    if len(blocks) < FEWEST_BLOCKS or len({block.shape[1:] for block in blocks}) != 1:
        raise CalibrationError(
            f"{len(blocks)} blocks of bands {sorted({block.shape[1:] for block in blocks})} cannot be compared; give "
            f"at least {FEWEST_BLOCKS} blocks at one sample rate"
        )
    values = np.stack([_statistics(block) for block in blocks])
    centre = np.median(values, axis=0)
    quantile = t.ppf(1 - FALSE_WARNINGS / 2 / values.shape[1], len(blocks) - 1) * math.sqrt(1 + 1 / len(blocks))
    strayed = np.maximum(REPEATS * np.abs(values - centre).max(axis=0), quantile * values.std(axis=0, ddof=1))
    least = np.full(values.shape[1], LEAST_DECIBELS)
    least[2] = LEAST_OCTAVES
    tolerance = np.maximum(least, strayed)
    return Condition(
        tuple(centre.tolist()), tuple(tolerance.tolist()), min(len(block) for block in blocks), len(blocks)
    )


def changed(now: NDArray[np.float64], learned: Condition) -> list[str]:
    """What is not as it was when the detector learned, in sentences; empty if nothing is.

    Args:
        now: band levels `[N, F]` of a block of sound.
        learned: of the same machine.

    Raises:
        CalibrationError: if the bands differ or the block is shorter than half of those that were learned.
    """
    if now.ndim != 2 or now.shape[1] + 3 != len(learned.centre) or 2 * len(now) < learned.frames:
        raise CalibrationError(
            f"band levels of shape {now.shape} cannot be compared with blocks of {learned.frames} frames and "
            f"{len(learned.centre) - 3} bands; give as long a block at the same sample rate"
        )
    tolerance = np.array(learned.tolerance)
    difference = _statistics(now) - np.array(learned.centre)
    (level, floor, centroid), bands = difference[:3], difference[3:]
    common = float(np.median(bands))
    rest = np.abs(bands - common) > tolerance[3:]
    found = []
    if abs(common) > tolerance[0] and not rest.any():
        found.append(
            f"All bands are {_decibels(common)} than when the detector learned (normal: within {tolerance[0]:.1f} dB): "
            "the gain, or the place of the microphone, has changed."
        )
    elif (np.abs(bands) > tolerance[3:]).any():
        found += _bands(bands, tolerance[3:])
    elif abs(level) > tolerance[0]:
        found.append(f"The sound is {_decibels(level)} than when the detector learned (normal: {tolerance[0]:.1f} dB).")
    elif abs(centroid) > tolerance[2]:
        found.append(
            f"The spectrum's centre of mass has moved {'up' if centroid > 0 else 'down'} {abs(centroid):.1f} oct."
        )
    if abs(floor) > tolerance[1] and abs(floor - level) > tolerance[1]:
        found.append(
            f"The quietest moments are {_decibels(floor)} than when the detector learned (normal: within "
            f"{tolerance[1]:.1f} dB): the background noise, or the gain, has changed."
        )
    return [*found, ADVICE] if found else []


def _bands(differences: NDArray[np.float64], tolerance: NDArray[np.float64]) -> list[str]:
    """A sentence for each run of neighbouring bands that changed in the same direction."""
    signs = np.sign(differences) * (np.abs(differences) > tolerance)
    edges = np.flatnonzero(np.diff(signs, prepend=0.0, append=0.0))
    sentences = []
    for start, stop in pairwise(edges):
        if signs[start]:
            low, high = LOWEST_EDGE * 2.0 ** np.array([start, stop])
            change = _decibels(float(np.mean(differences[start:stop])))
            sentences.append(
                f"The sound from {low:.0f} to {high:.0f} Hz is {change} than when the detector learned (normal: within "
                f"{tolerance[start:stop].max():.1f} dB): the microphone, its mounting, the surroundings or the machine "
                "has changed."
            )
    return sentences


def _decibels(difference: float) -> str:
    return f"{abs(difference):.1f} dB {'louder' if difference > 0 else 'softer'}"


def _statistics(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level, noise floor, centroid, bands `[3 + F]` of band levels `[N, F]`; medians, so that a bang does no harm."""
    if levels.ndim != 2 or not len(levels) or not np.isfinite(levels).all():
        raise CalibrationError(
            f"band levels of shape {levels.shape} are empty or not finite; give `band_levels` of sound"
        )
    power = 10 ** (levels / 10)
    total = 10 * np.log10(power.sum(axis=1))
    centres = np.log2(LOWEST_EDGE * math.sqrt(2)) + np.arange(levels.shape[1])
    bands = np.median(levels, axis=0)
    weights = 10 ** ((bands - bands.max()) / 10)
    centroid = float(weights @ centres / weights.sum())
    return np.array([np.median(total), np.percentile(total, FLOOR_PERCENTILE), centroid, *bands])
