"""The far microphone: what it predicts of the near one is the noise of the place, and is subtracted."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.errors import AudioError
from auscult.sound.audio import probe

N_FFT, HOP_LENGTH = 1024, 512


def without_far(near: ArrayLike, far: ArrayLike, *, guard: bool = True) -> NDArray[np.float32]:
    """What a near microphone hears and a far one does not.

    At each frequency the near channel is predicted from the far one over the whole clip, by one complex factor
    `H[f] = sum_t near conj(far) / (sum_t |far|^2 + 1e-12)`, and `near - H far` remains. Both are scaled by their joint
    peak before, and back after.

    The guard takes no more of the far channel away than it holds, `|H| <= 1`: the noise of a place is about as loud at
    both microphones, while a machine is louder near by. Where the far one hears mainly the machine, at a share `g` of
    its level, the bare prediction is `1 / g` and would remove the machine; with the guard `1 - g` of it remains. It
    supposes microphones of equal gain, and needs neither labels nor other clips.

    Args:
        near: `[T]`.
        far: `[T]`, at the same time.
        guard: whether `|H|` is limited.

    Returns:
        `[T]`.

    Raises:
        AudioError: if the two are not of one length, or empty.
    """
    from scipy.signal import istft

    one, other = np.asarray(near, dtype=np.float32), np.asarray(far, dtype=np.float32)
    peak = _peak(one, other)
    if not np.any(other):
        return one.copy()
    spectra = _spectra(one / peak, other / peak)
    near_bins, far_bins = spectra  # [F, N] each
    power = np.sum(np.abs(far_bins) ** 2, axis=1) + 1e-12
    factor = np.sum(near_bins * far_bins.conj(), axis=1) / power
    if guard:
        factor = factor / np.maximum(1.0, np.abs(factor))
    residual = near_bins - factor[:, None] * far_bins
    _, waveform = istft(residual, nperseg=N_FFT, noverlap=N_FFT - HOP_LENGTH)
    return np.ascontiguousarray(waveform[: len(one)] * peak, dtype=np.float32)


def require_far(paths: Iterable[Path], channel: int) -> None:
    """Refuse recordings that lack the far microphone's channel, counted from 0.

    Raises:
        AudioError: at the first one that lacks it or cannot be read.
    """
    for path in paths:
        if (channels := probe(path).channels) <= channel:
            raise AudioError(
                f"{path} has {channels} channel{'' if channels == 1 else 's'}, and the recipe's reference_channel is "
                f"{channel}, counted from 0; remove reference_channel from the recipe, or give recordings of both "
                "microphones"
            )


def _peak(near: NDArray[np.float32], far: NDArray[np.float32]) -> np.float32:
    if near.ndim != 1 or near.shape != far.shape or not len(near):
        raise AudioError(
            f"the two channels have the shapes {near.shape} and {far.shape}; give two of one length, [T], not empty"
        )
    return np.float32(max(float(np.abs(near).max()), float(np.abs(far).max())) or 1.0)


def _spectra(near: NDArray[np.float32], far: NDArray[np.float32]) -> NDArray[np.complex128]:
    """Spectra `[2, F, N]` of both channels."""
    from scipy.signal import stft

    both = np.stack([near, far]).astype(np.float64)
    both = np.pad(both, ((0, 0), (0, max(0, N_FFT - both.shape[1]))))
    found: NDArray[np.complex128] = stft(both, nperseg=N_FFT, noverlap=N_FFT - HOP_LENGTH)[2]
    return found
