"""In what a sound differs, in words: from what a detector knows of normal sound, or by the map of a model alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.detector.contents import NEARLY, Contents, Machine
from auscult.detector.difference import Difference
from auscult.detector.normal import LEAST, Array, Normal, runs_of, statistics_of
from auscult.errors import DetectorError
from auscult.features.log_mel import LogMel
from auscult.sound.audio import heard_of
from auscult.sound.windows import Waveform

BANDS, FRAME_SECONDS = 64, 0.064
"""Of the log-mel by which a detector says what differs, whatever its members hear."""


def of_map(values: Array, frequencies: Array | None, frame_rate: float) -> list[Difference]:
    """Where an error map `[N, F]` alone stands out of its own median, by `LEAST` of its own spreads: no decibels."""
    known = np.isfinite(values)
    if not known.any():
        return []
    filled = np.where(known, values, np.nanmedian(values))
    claim, found = Difference("unlike"), False
    for axis in (0, 1):
        series = filled.mean(axis=axis)
        spread = 1.4826 * float(np.median(np.abs(series - np.median(series)))) or np.inf
        above = (series - np.median(series)) / spread
        runs = [run for run in runs_of(above > LEAST, bridged=1) if run[0] <= int(above.argmax()) < run[1]]
        if not runs or (axis == 0 and frequencies is None):
            continue
        (first, last), found = runs[0], True
        strength = max(claim.strength, float(above.max()) / LEAST)
        if axis == 0 and frequencies is not None:
            claim = replace(claim, low_hz=float(frequencies[first]), high_hz=float(frequencies[last - 1]))
        else:
            claim = replace(claim, start=first / frame_rate, end=last / frame_rate)
        claim = replace(claim, strength=strength)
    return [claim] if found else []


def differences_of(detector: Contents, machine: Machine, waveform: Waveform) -> list[Difference]:
    """In what a window `[T]` of a machine differs from its normal sound; nothing is said of less than a window.

    Where the detector's file does not know its normal sound, the map of the weightiest member says where.

    Raises:
        DetectorError: if what the file says of normal sound is damaged.
    """
    rate = detector.sample_rate
    if len(waveform) < NEARLY * detector.samples(detector.window_seconds):
        return []
    if machine.normal is None:
        part, features = detector.leading, detector.leading.front_end.features
        values = part.model.error_map([part.frames(waveform, sample_rate=rate)], [machine.machine_id])[0]
        return of_map(values, features.bin_frequencies, features.frame_rate)
    try:
        return Normal.of_arrays(machine.normal).differences(hearing(rate)(heard_of(waveform)))
    except (ArithmeticError, LookupError, ValueError) as error:
        raise DetectorError(f"what the detector says of normal sound is damaged ({error}); learn again") from error


def statistics_heard(waveform: Waveform, *, sample_rate: int, seconds: float) -> dict[str, NDArray[np.float32]]:
    """The statistics of one sound `[T]` at a rate in Hz, as part of normal sounds of so many seconds; small."""
    ear = hearing(sample_rate)
    found = statistics_of(ear(heard_of(waveform)), ear.frame_rate, seconds)
    return {name: values.astype(np.float32) for name, values in found.items()}


def normal_of(rows: Sequence[Mapping[str, NDArray[Any]]], sample_rate: int, seconds: float) -> Normal | None:
    """What normal sounds have in common, of their statistics at a rate in Hz; none of too few."""
    ear = hearing(sample_rate)
    return Normal.among(rows, ear.bin_frequencies, ear.frame_rate, seconds)


@cache
def hearing(sample_rate: int) -> LogMel:
    """The levels by which a detector says what differs, for sounds of a rate in Hz."""
    n_fft = 2 ** max(6, round(np.log2(FRAME_SECONDS * sample_rate)))
    return LogMel(sample_rate, n_fft=n_fft, hop_length=n_fft // 2, n_mels=BANDS)
