"""The far microphone: what it predicts of the near one is the noise of the place, and is subtracted. Needs numpy only.

A sound of two microphones is `[T, 2]`: near the machine, and far from it at the same time.
"""

import numpy as np
from numpy.typing import NDArray

N_FFT, HOP_LENGTH = 1024, 512

VERSION = 2
"""Of what is subtracted: part of the key of every stored bank that it made."""

TOLERANCE, SURE, LOUDER, LEAST, MOST_LEAK, CAUTION = 2**0.5, 0.7, 2.0, 0.02, 0.5, 8.0
"""Of the guard. Chosen on the labels of four machines of the synthetic factory (seed 0, 6 dB, see `benchmarks.far`)."""

Spectrum = NDArray[np.complex128]
Powers = NDArray[np.float64]


def without_far(sound: NDArray[np.float32], *, guard: bool = True) -> NDArray[np.float32]:
    """What a near microphone hears and a far one does not.

    At each frequency the near channel is predicted from the far one over the whole sound, by one complex factor
    `H[f] = sum_t near conj(far) / (sum_t |far|^2 + 1e-12)`, and `near - H far` remains. Both are scaled by their joint
    peak before, and back after.

    Where the far one hears the machine too, at a share `g` of its level, the bare prediction is up to `1 / g` and would
    remove the machine. The guard, see `_guarded`, needs neither labels nor other clips.

    Args:
        sound: of two microphones, `[T, 2]`.
        guard: whether `H` is held back where it may be of the machine.

    Returns:
        `[T]`.
    """
    if not np.any(sound[:, 1]):
        return sound[:, 0].copy()
    peak = np.abs(sound).max()
    near, far = _spectra(sound / peak)
    prediction = _prediction(near, far)
    factor = _guarded(*prediction) if guard else prediction[0]
    return np.asarray(_waveform(near - factor * far)[: len(sound)] * peak, dtype=np.float32)


def _guarded(factor: Spectrum, near: Powers, far: Powers) -> Spectrum:
    """Factors `[F]` that spare the machine; powers `[F]` of both channels.

    It supposes microphones of about equal gain, noise that is about as loud at both, and a machine that is louder near
    by. A factor above `TOLERANCE` is therefore of the machine, and falls with its fourth power.

    At frequencies at which one source is nearly all that both hear (coherence above `SURE`), and is heard more softly
    far away by over `LOUDER`, that source is the machine: their powers give the leakage `g^2`. If they hold at least
    `LEAST` of what is common, noise and machine at the far microphone follow at every frequency from both powers, and
    the factor falls where the machine is not well below the noise there.
    """
    size = np.abs(factor)
    coherence = size**2 * far / near
    held: Spectrum = factor * np.minimum(1.0, TOLERANCE / np.maximum(size, 1e-12)) ** 4
    loud, common = (coherence > SURE) & (size > LOUDER), coherence * far
    if not loud.any() or common[loud].sum() < LEAST * common.sum():
        return held
    leak = min(MOST_LEAK, common[loud].sum() / near[loud].sum())
    machine, noise = leak * np.maximum(near - far, 0.0), np.maximum(far - leak * near, 1e-3 * far)
    guarded: Spectrum = held / (1 + (CAUTION * machine / noise) ** 2)
    return guarded


def prediction_of(sound: NDArray[np.float32]) -> tuple[Spectrum, Powers, Powers]:
    """Factor by which the far channel predicts the near one at each frequency, and the powers of both `[F]` each.

    The powers are those of the sound `[T, 2]` over its peak.
    """
    return _prediction(*_spectra(sound / max(float(np.abs(sound).max(initial=0.0)), 1e-12)))


def _prediction(near: Spectrum, far: Spectrum) -> tuple[Spectrum, Powers, Powers]:
    """As above, of both spectra `[N, F]`."""
    powers: list[Powers] = [np.sum(np.abs(one) ** 2, axis=0) + 1e-12 for one in (near, far)]
    return np.sum(near * far.conj(), axis=0) / powers[1], powers[0], powers[1]


def _window() -> NDArray[np.float64]:
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi / N_FFT * np.arange(N_FFT))
    return window


def _spectra(sound: NDArray[np.float32]) -> Spectrum:
    """Spectra `[2, N, F]` of both channels `[T, 2]`, with half a window of silence before and as much or more after."""
    n_frames = 1 + max(1, -(-len(sound) // HOP_LENGTH))
    padded = np.zeros((2, (n_frames + 1) * HOP_LENGTH))
    padded[:, HOP_LENGTH : HOP_LENGTH + len(sound)] = sound.T
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT, axis=1)[:, ::HOP_LENGTH]
    spectra: Spectrum = np.fft.rfft(frames * _window(), axis=2)
    return spectra


def _waveform(spectrum: Spectrum) -> NDArray[np.float64]:
    """The waveform of a spectrum `[N, F]`, by overlap and addition; the inverse of `_spectra`."""
    window = _window()
    halves = np.fft.irfft(spectrum, axis=1) * window
    first, second = halves[1:, :HOP_LENGTH], halves[:-1, HOP_LENGTH:]
    added: NDArray[np.float64] = (first + second) / (window[:HOP_LENGTH] ** 2 + window[HOP_LENGTH:] ** 2)
    return added.reshape(-1)
