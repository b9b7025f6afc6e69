"""Mel filters: triangles between frequencies at equal distances on Slaney's mel scale, or on HTK's."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mels = Literal["htk", "slaney"]
"""The scale: `2595 log10(1 + f / 700)`, or linear up to 1 kHz and logarithmic above (Slaney's Auditory Toolbox)."""

HZ_PER_MEL = 200.0 / 3
LOG_FROM_HZ = 1000.0
LOG_FROM_MEL = LOG_FROM_HZ / HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27.0
"""Of Slaney's scale: its linear part, where the logarithmic part begins, and the logarithm of its step."""


def mel_of_hz(hz: ArrayLike, *, mels: Mels = "slaney") -> NDArray[np.float64]:
    """Frequencies in Hz on the mel scale.

    >>> mel_of_hz([200.0, 1000.0])
    array([ 3., 15.])
    """
    hz = np.asarray(hz, dtype=np.float64)
    if mels == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    logarithmic = LOG_FROM_MEL + np.log(np.maximum(hz, LOG_FROM_HZ) / LOG_FROM_HZ) / LOG_STEP
    return np.where(hz >= LOG_FROM_HZ, logarithmic, hz / HZ_PER_MEL)


def hz_of_mel(mel: ArrayLike, *, mels: Mels = "slaney") -> NDArray[np.float64]:
    """The inverse of `mel_of_hz`.

    >>> hz_of_mel([3.0, 15.0])
    array([ 200., 1000.])
    """
    mel = np.asarray(mel, dtype=np.float64)
    if mels == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    logarithmic = LOG_FROM_HZ * np.exp(LOG_STEP * (np.maximum(mel, LOG_FROM_MEL) - LOG_FROM_MEL))
    return np.where(mel >= LOG_FROM_MEL, logarithmic, HZ_PER_MEL * mel)


def mel_frequencies(n_mels: int, *, fmin: float, fmax: float, mels: Mels = "slaney") -> NDArray[np.float64]:
    """So many frequencies from `fmin` to `fmax`, in Hz, at equal distances on the mel scale `[n_mels]`."""
    first, last = mel_of_hz([fmin, fmax], mels=mels)
    return hz_of_mel(np.linspace(first, last, n_mels), mels=mels)


def mel_filters(
    sample_rate: int, *, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None, mels: Mels = "slaney"
) -> NDArray[np.float32]:
    """Triangular filters of equal area (Slaney's normalisation), each from its neighbour's centre to the other's.

    A filter that is narrower than the distance of the FFT's bins can be empty.

    Args:
        sample_rate: in Hz.
        n_fft: length of the FFT, in samples.
        n_mels: number of filters.
        fmin: lower edge of the lowest filter, in Hz.
        fmax: upper edge of the highest filter, in Hz; half the sample rate if none is given.
        mels: the scale, `"slaney"` or `"htk"`.

    Shape:
        `[n_mels, n_fft // 2 + 1]`, the same numbers as `librosa.filters.mel`.
    """
    edges = mel_frequencies(n_mels + 2, fmin=fmin, fmax=sample_rate / 2 if fmax is None else fmax, mels=mels)
    ramps = np.subtract.outer(edges, np.fft.rfftfreq(n_fft, 1.0 / sample_rate))  # [n_mels + 2, n_fft // 2 + 1]
    widths = np.diff(edges)[:, None]
    rising, falling = -ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]
    triangles: NDArray[np.float32] = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    triangles *= 2.0 / (edges[2:] - edges[:-2])[:, None]  # float32 times float64, rounded once
    return triangles
