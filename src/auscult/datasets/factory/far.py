"""The far microphone of the synthetic factory: the noise of the hall, and what leaks of the machine."""

import numpy as np

from auscult.datasets.factory.sounds import SAMPLE_RATE, Band, Signal, noise, rms

ECHOES = 0.5
"""Root mean square of the echoes on the way to the far microphone, over the direct sound."""

OWN_NOISE = 0.1
"""Root mean square of what the far microphone alone hears, over that of the noise that both hear."""


def heard_far(
    machine: Signal, background: Signal, *, rng: np.random.Generator, place: np.random.Generator, leakage: float
) -> tuple[Signal, Signal]:
    """What a far microphone hears while a near one hears `machine` and `background`, `[T]` each.

    The noise of the hall is as loud at both and comes a little later, with other echoes; a little more noise, 20 dB
    weaker, is at the far one alone.

    Args:
        machine: the machine at the near microphone `[T]`.
        background: all else at the near microphone `[T]`.
        rng: of the recording.
        place: of the microphone, which decides about delays and echoes.
        leakage: amplitude of the machine at the far microphone over that at the near one, 0 to 1.

    Returns:
        Machine and background at the far microphone, `[T]` each.
    """
    n, level = len(machine), rms(background)
    own = noise(rng, n, Band(900, 1.5, OWN_NOISE * level))
    return _carried(machine, leakage * rms(machine), place), _carried(background, level, place) + own


def _carried(sound: Signal, level: float, place: np.random.Generator) -> Signal:
    """A sound `[T]` on its way through the hall, with a root mean square of `level` at the end of it."""
    from scipy.signal import oaconvolve

    path = place.standard_normal(SAMPLE_RATE // 20) * np.exp(-np.arange(SAMPLE_RATE // 20) / (0.01 * SAMPLE_RATE))
    path *= ECHOES / np.linalg.norm(path)
    path[0] += 1.0
    delay = round(place.uniform(0.001, 0.003) * SAMPLE_RATE)
    late = np.concatenate([np.zeros(delay), path]).astype(np.float32)
    there: Signal = oaconvolve(sound, late)[: len(sound)]
    return there * np.float32(level / max(rms(there), 1e-12))
