"""Building blocks of synthetic sounds: harmonics, coloured noise, blows, and the bodies that ring with them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SAMPLE_RATE = 16_000
"""Samples per second of everything that the synthetic factory writes: the rate of DCASE 2020 Task 2."""

Signal = NDArray[np.float32]
Track = NDArray[np.float64]


class Band(NamedTuple):
    """A band of noise: bell-shaped over log frequency.

    Attributes:
        hz: its centre.
        octaves: the standard deviation of its power.
        level: its root mean square.
    """

    hz: float
    octaves: float
    level: float


class Mode(NamedTuple):
    """A resonance.

    Attributes:
        hz: its frequency.
        decay: time in seconds in which its ringing falls to 1 / e.
        level: its amplitude after a blow of height 1, or its gain at resonance.
    """

    hz: float
    decay: float
    level: float


def wander(rng: np.random.Generator, n_samples: int, *, hz: float) -> Track:
    """A slow random course `[T]` about 0 with a standard deviation of about 1 and `hz` independent values a second."""
    knots = rng.standard_normal(int(np.ceil(n_samples * hz / SAMPLE_RATE)) + 2)
    time = np.arange(n_samples) * (hz / SAMPLE_RATE) + rng.random()
    course: Track = np.interp(time, np.arange(len(knots)), knots)
    return course


def turns(speed_hz: ArrayLike, n_samples: int, rng: np.random.Generator) -> Track:
    """Revolutions made until each sample `[T]` at a speed in Hz, one number or `[T]`, from a random angle on."""
    steps = np.broadcast_to(np.asarray(speed_hz, dtype=np.float64) / SAMPLE_RATE, n_samples)
    return np.cumsum(steps) + rng.random()


def harmonics(phase: Track, amplitudes: ArrayLike, rng: np.random.Generator) -> Signal:
    """A periodic sound `[T]`: partial `k` has `amplitudes[k - 1]` and a random phase.

    Partials that would come near or above half the sample rate are left out.

    Args:
        phase: revolutions until each sample `[T]`.
        amplitudes: of the partials 1, 2, ...
        rng: draws one phase a partial.
    """
    n_table = 8192
    levels = np.asarray(amplitudes, dtype=np.float64)
    angles = rng.random(len(levels)) * 2 * np.pi
    fastest = float(np.diff(phase).max())
    n_partials = min(len(levels), int(0.48 / max(fastest, 1e-9)), n_table // 32)
    spectrum = np.zeros(n_table // 2 + 1, dtype=np.complex128)
    spectrum[1 : n_partials + 1] = levels[:n_partials] * np.exp(1j * angles[:n_partials])
    table = np.fft.irfft(spectrum, n_table) * (n_table / 2)
    closed = np.append(table, table[0]).astype(np.float32)
    position = phase - np.floor(phase)
    position *= n_table
    left = position.astype(np.intp)
    sound: Signal = (position - left).astype(np.float32)
    sound *= np.diff(closed).take(left)
    sound += closed.take(left)
    return sound


def noise(rng: np.random.Generator, n_samples: int, *bands: Band) -> Signal:
    """Stationary Gaussian noise `[T]`, the sum of bands whose powers add."""
    import scipy.fft

    hz = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)[1:].astype(np.float32)
    octave = np.log2(hz)
    power = np.zeros_like(octave)
    for band in bands:
        shape = np.exp(-0.5 * ((octave - np.float32(np.log2(band.hz))) / np.float32(band.octaves)) ** 2)
        power += shape * np.float32(band.level**2 / max(float(shape.sum()), 1e-9))
    spectrum = np.zeros(len(hz) + 1, dtype=np.complex64)
    parts = rng.standard_normal((len(hz), 2), dtype=np.float32)
    spectrum[1:] = parts.view(np.complex64)[:, 0] * np.sqrt(power)
    sound: Signal = scipy.fft.irfft(spectrum, n_samples) * np.float32(n_samples / 2)
    return sound


def crossings(phase: Track) -> Track:
    """Times in samples, with fractions, at which a rising phase `[T]` passes a whole number."""
    before = np.flatnonzero(np.floor(phase[1:]) > np.floor(phase[:-1]))
    target = np.floor(phase[before + 1])
    return before + (target - phase[before]) / (phase[before + 1] - phase[before])


def blows(times: Track, heights: ArrayLike, n_samples: int) -> Signal:
    """Impulses `[T]` at `times` in samples, each shared by the two nearest samples; those outside the clip are lost."""
    heights = np.broadcast_to(np.asarray(heights, dtype=np.float64), len(times))
    inside = (times >= 0) & (times < n_samples - 1)
    left = times[inside].astype(np.int64)
    fraction = times[inside] - left
    train = np.bincount(left, heights[inside] * (1 - fraction), n_samples)
    train += np.bincount(left + 1, heights[inside] * fraction, n_samples)
    return train.astype(np.float32)


def ring(train: Signal, modes: Sequence[Mode]) -> Signal:
    """What modes sound like that are struck by a train of impulses `[T]` -> `[T]`; each starts to ring when struck."""
    from scipy.signal import oaconvolve

    longest = max(mode.decay for mode in modes)
    time = np.arange(int(6 * longest * SAMPLE_RATE) + 1) / SAMPLE_RATE
    response = np.zeros_like(time)
    for mode in modes:
        response += mode.level * np.exp(-time / mode.decay) * np.sin(2 * np.pi * mode.hz * time)
    sound: Signal = oaconvolve(train, response.astype(np.float32))[: len(train)]
    return sound


def body(sound: Signal, modes: Sequence[Mode]) -> Signal:
    """The sound `[T]` -> `[T]` as a casing passes it on: as it is, plus what each resonance of the casing adds."""
    import scipy.fft

    n_padded = scipy.fft.next_fast_len(len(sound) + SAMPLE_RATE // 10, real=True)
    hz = np.fft.rfftfreq(n_padded, 1 / SAMPLE_RATE).astype(np.float32)
    hz[0] = hz[1]
    response = np.ones(len(hz), dtype=np.complex64)
    for mode in modes:
        quality = np.pi * mode.hz * mode.decay
        response += mode.level / (1 + 1j * np.float32(quality) * (hz / mode.hz - mode.hz / hz))
    shaped: Signal = scipy.fft.irfft(scipy.fft.rfft(sound, n_padded) * response, n_padded)[: len(sound)]
    return shaped


def smooth(gate: ArrayLike, *, seconds: float) -> Signal:
    """A gate `[T]` -> `[T]` whose edges rise and fall with a time constant, as pressure and heat do."""
    from scipy.signal import lfilter

    levels = np.asarray(gate, dtype=np.float64)
    keep = float(np.exp(-1 / (seconds * SAMPLE_RATE)))
    smoothed, _ = lfilter([1 - keep], [1, -keep], levels, zi=[keep * levels[0]])
    return np.asarray(smoothed, dtype=np.float32)


def rms(sound: Signal) -> float:
    """Root mean square of a sound `[T]`."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
