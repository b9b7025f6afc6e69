"""An individual machine of the synthetic factory, and one recording of it with or without a fault."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from auscult.datasets.factory.sounds import (
    SAMPLE_RATE,
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
    wander,
)


@dataclass(frozen=True, slots=True)
class FactoryMachine:
    """One individual machine; its id and the factory's seed decide everything about it.

    Attributes:
        machine_type: kind of machine.
        machine_id: for instance `"id_00"`.
        rotation_hz: revolutions of its motor a second, when healthy.
        cycle_hz: its slow cycle: strokes there and back, belt or wheel revolutions, switchings, a second.
        elements: blades, vanes, gear teeth or motor poles, as its type has them.
        balls: in its bearing.
        tone: factor on the centre frequencies of its noises.
        modes: resonances of its casing.
        place: where on its rail or belt something can be wrong, as a fraction of the length.
    """

    machine_type: str
    machine_id: str
    rotation_hz: float
    cycle_hz: float
    elements: int
    balls: int
    tone: float
    modes: tuple[Mode, ...]
    place: float

    @property
    def defect_hz(self) -> float:
        """How often a second the balls pass a pit in the outer ring: 0.4 times balls times revolutions."""
        return 0.4 * self.balls * self.rotation_hz


class Take:
    """One recording of a machine: its length, its random numbers, and the fault if there is one.

    The fault's random numbers are drawn from a generator of their own, so that a recording with a fault is the
    recording without it plus what the fault changes.

    Args:
        rng: of the recording.
        n_samples: its length.
        fault: one of the machine type's faults, or none.
        strength: of the fault, from 0 (healthy) to 1.
        load: of the machine, in standard deviations from the middling; drawn if not given.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        n_samples: int,
        *,
        fault: str | None = None,
        strength: float = 0.0,
        load: float | None = None,
    ) -> None:
        self.rng = rng
        self.fault_rng = rng.spawn(1)[0]
        self.n_samples = n_samples
        self.fault = fault
        self.strength = strength
        self.load = float(rng.normal()) if load is None else load

    def of(self, fault: str) -> float:
        """The strength of a fault in this recording, 0 where it is absent."""
        return self.strength if self.fault == fault else 0.0

    @property
    def voltage(self) -> float:
        """Of the supply over its nominal value; motors run in proportion."""
        return 1 - 0.13 * self.of("low voltage")

    def tones(self, phase: Track, amplitudes: ArrayLike) -> Signal:
        """Harmonics `[T]` whose amplitudes differ by about 2.5 dB between recordings."""
        levels = np.asarray(amplitudes, dtype=np.float64)
        return harmonics(phase, levels * self.rng.lognormal(0.0, 0.28, len(levels)), self.rng)

    def flow(self, *bands: Band) -> Signal:
        """Noise `[T]` whose level follows the load, by about 1.5 dB, and whose bands differ by about 2 dB besides."""
        levels = 10 ** (0.075 * self.load) * self.rng.lognormal(0.0, 0.23, len(bands))
        varied = (Band(band.hz, band.octaves, band.level * level) for band, level in zip(bands, levels, strict=True))
        return noise(self.rng, self.n_samples, *varied)

    def casing(self, sound: Signal, machine: FactoryMachine) -> Signal:
        """The sound `[T]` as the casing passes it on; warmth and mounting shift its resonances a little."""
        modes = [
            Mode(mode.hz * (1 + 0.01 * self.rng.normal()), mode.decay, mode.level * self.rng.lognormal(0.0, 0.2))
            for mode in machine.modes
        ]
        return body(sound, modes)

    def speed(self, hz: float, *, spread: float = 0.012, drift: float = 0.003) -> Track:
        """A speed `[T]` in Hz that differs a little between recordings and drifts a little within one."""
        ratio = 1 + spread * self.rng.normal() + drift * wander(self.rng, self.n_samples, hz=1.5)
        return hz * self.voltage * np.maximum(ratio, 0.5)

    def pitting(self, machine: FactoryMachine, phase: Track) -> Signal:
        """A pit in the outer ring of the bearing: blows `[T]` of uneven height at the defect frequency, which ring."""
        strength = self.of("bearing pitting")
        if not strength:
            return np.zeros(self.n_samples, dtype=np.float32)
        rng = self.fault_rng
        times = crossings(phase * (0.4 * machine.balls))
        times = times + rng.normal(0, 0.01 * SAMPLE_RATE / machine.defect_hz, len(times))
        heights = 1.2 * strength * rng.lognormal(0, 0.25, len(times))
        modes = (Mode(3100 * machine.tone, 0.001, 1.4), Mode(4700 * machine.tone, 0.0008, 1.0))
        return ring(blows(times, heights, self.n_samples), modes)

    def scattered(self, rate_hz: float, *, spread: float = 0.6) -> Signal:
        """A fault's random blows `[T]`, `rate_hz` a second, of log-normal height about 1."""
        rng = self.fault_rng
        times = rng.random(rng.poisson(rate_hz * self.n_samples / SAMPLE_RATE)) * self.n_samples
        return blows(times, rng.lognormal(0, spread, len(times)), self.n_samples)
