"""Clean mechanical sounds of the synthetic factory, from which a denoiser learns what to keep."""

from collections.abc import Callable

import numpy as np

from auscult.datasets.factory.sounds import (
    Band,
    Mode,
    Signal,
    Track,
    blows,
    body,
    crossings,
    harmonics,
    noise,
    ring,
    rms,
    smooth,
    turns,
    wander,
)

LEVEL = 0.05
"""Root mean square of a clean sound; full scale is 1."""


def clean_sound(name: str, rng: np.random.Generator, n_samples: int) -> Signal:
    """A sound `[T]` of one of `CLEAN_SOUNDS` without any background; each call is another machine of that kind."""
    sound = CLEAN_SOUNDS[name](rng, n_samples)
    sound *= np.float32(LEVEL * 10 ** (rng.normal(0.0, 2.0) / 20) / rms(sound))
    return np.clip(sound, -1.0, 1.0)


def engine(rng: np.random.Generator, n_samples: int) -> Signal:
    """A combustion engine at idle: uneven firing, exhaust resonance, valve train."""
    firing = turns(rng.uniform(18, 45) * (1 + 0.02 * wander(rng, n_samples, hz=2.0)), n_samples, rng)
    times = crossings(firing)
    shots = blows(times, rng.lognormal(0, 0.25, len(times)), n_samples)
    exhaust = [Mode(rng.uniform(70, 160), 0.015, 1.0), Mode(rng.uniform(250, 600), 0.006, 0.6)]
    rattle = noise(rng, n_samples, Band(rng.uniform(1500, 3000), 0.7, 0.06))
    return ring(shots, exhaust) + rattle * (1 + harmonics(firing, [0.8], rng))


def drill(rng: np.random.Generator, n_samples: int) -> Signal:
    """A drill or saw: a commutator motor that whines and drops in speed under load."""
    load = smooth(wander(rng, n_samples, hz=1.0) > 0.3, seconds=0.2)
    phase = turns(rng.uniform(150, 320) * (1 - rng.uniform(0.1, 0.3) * load), n_samples, rng)
    whine = harmonics(phase, rng.uniform(0.3, 1.0, 20) / np.arange(1, 21), rng)
    cutting = noise(rng, n_samples, Band(rng.uniform(1200, 4000), 0.8, 1.0)) * (0.15 + load)
    return body(whine + cutting, _modes(rng))


def clock(rng: np.random.Generator, n_samples: int) -> Signal:
    """A clockwork or relay: crisp ticks at a steady rate."""
    ticks = crossings(turns(rng.uniform(2.0, 9.0), n_samples, rng))
    heights = rng.lognormal(0, 0.1, len(ticks)) * np.where(np.arange(len(ticks)) % 2, 1.0, rng.uniform(0.5, 1.0))
    modes = [Mode(rng.uniform(1200, 6000), rng.uniform(0.001, 0.006), rng.uniform(0.4, 1.0)) for _ in range(3)]
    return ring(blows(ticks, heights, n_samples), modes)


def gears(rng: np.random.Generator, n_samples: int) -> Signal:
    """A gearbox: mesh harmonics with side bands of the shafts."""
    shaft = turns(rng.uniform(8, 60) * (1 + 0.005 * wander(rng, n_samples, hz=1.0)), n_samples, rng)
    mesh = harmonics(shaft * rng.integers(9, 30), rng.uniform(0.2, 1.0, 12) / np.arange(1, 13), rng)
    rolling = noise(rng, n_samples, Band(rng.uniform(400, 1500), 1.0, 0.3))
    return body(mesh * (1 + harmonics(shaft, [0.3, 0.15], rng)) + rolling, _modes(rng))


def ventilation(rng: np.random.Generator, n_samples: int) -> Signal:
    """A vacuum cleaner, hair dryer or blower: rushing air over a motor's tones."""
    phase: Track = turns(rng.uniform(60, 250), n_samples, rng)
    air = noise(rng, n_samples, Band(rng.uniform(500, 2500), 1.1, 1.0), Band(rng.uniform(3000, 6000), 0.5, 0.3))
    return body(air + harmonics(phase, rng.uniform(0.1, 0.5, 10) / np.arange(1, 11), rng), _modes(rng))


def _modes(rng: np.random.Generator) -> list[Mode]:
    return [Mode(hz * 2 ** rng.uniform(-0.5, 0.5), 3 / hz, rng.uniform(0.5, 2.5)) for hz in (300, 900, 2200)]


CLEAN_SOUNDS: dict[str, Callable[[np.random.Generator, int], Signal]] = {
    "clock": clock,
    "drill": drill,
    "engine": engine,
    "gears": gears,
    "ventilation": ventilation,
}
