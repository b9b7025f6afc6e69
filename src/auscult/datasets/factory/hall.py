"""The synthetic factory's hall: its machines, recorded in the noise that they all stand in."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from auscult.clips import Label, Split
from auscult.datasets.factory.conditions import USUAL, USUAL_NOISE, Conditions, conditions_of
from auscult.datasets.factory.far import heard_far
from auscult.datasets.factory.machine_types import TYPES, build_machine, kind_of
from auscult.datasets.factory.machines import FactoryMachine, Take
from auscult.datasets.factory.sounds import (
    SAMPLE_RATE,
    Band,
    Mode,
    Signal,
    blows,
    body,
    harmonics,
    noise,
    ring,
    rms,
    turns,
)

LEVEL = 0.02
"""Root mean square of a healthy machine at the microphone; full scale is 1."""

NEIGHBOUR_SECONDS = 8
REFERENCES = 40


@dataclass(frozen=True, slots=True)
class HallRecording:
    """What the microphones hear, in its two parts: `[T]`, or `[T, 2]` of a near and a far one.

    Attributes:
        machine: the machine itself.
        background: everything else in the hall.
    """

    machine: Signal
    background: Signal

    @property
    def mix(self) -> Signal:
        """Both together, within full scale."""
        return np.asarray(np.clip(self.machine + self.background, -1.0, 1.0))


class Hall:
    """A factory hall with machines in it; the seed decides about all of them.

    Args:
        seed: of the factory, 0 or more.
        snr_db: mean power of a healthy machine over that of the background, in dB; at the near microphone.
        leakage: amplitude of the machine at a far microphone over that at the near one, 0 to 1; none without a far one.
    """

    def __init__(self, *, seed: int, snr_db: float, leakage: float | None = None) -> None:
        self.seed = seed
        self.snr_db = snr_db
        self.leakage = leakage
        self.machine = functools.cache(functools.partial(build_machine, seed=seed))
        self._level = functools.cache(self._measure_level)
        self._neighbour = functools.cache(self._record_neighbour)

    def anomaly(self, machine_type: str, machine_id: str, index: int) -> tuple[str, float]:
        """Fault and strength (0.3 to 1) of an anomalous test clip: each fault in turn, the strengths spread evenly."""
        faults = TYPES[kind_of(machine_type)].faults
        first = self._rng("strength", machine_type, machine_id).random()
        turn = index // len(faults) + index % len(faults) / len(faults)
        return faults[index % len(faults)], float(0.3 + 0.7 * ((first + 0.618034 * turn) % 1.0))

    def record(
        self,
        machine_type: str,
        machine_id: str,
        split: Split,
        label: Label,
        index: int,
        *,
        n_samples: int,
        domain: str | None = None,
    ) -> HallRecording:
        """One clip, decided by the seed and these arguments alone.

        Args:
            machine_type: of any year.
            machine_id: for instance `"id_00"`.
            split: `"train"` or `"test"`.
            label: anomalies get the fault and the strength that `anomaly` tells.
            index: counts the clips of this machine, split, label and domain.
            n_samples: its length.
            domain: `"source"`, `"target"`, or none where none are told apart.
        """
        rng = self._rng("clip", machine_type, machine_id, split, label, str(index), *([domain] if domain else []))
        fault, strength = self.anomaly(machine_type, machine_id, index) if label == "anomaly" else (None, 0.0)
        conditions = conditions_of(machine_type, machine_id, domain, index, seed=self.seed)
        who = machine_type, machine_id
        return self.hear(rng, *who, n_samples=n_samples, fault=fault, strength=strength, conditions=conditions)

    def hear(
        self,
        rng: np.random.Generator,
        machine_type: str,
        machine_id: str,
        *,
        n_samples: int,
        fault: str | None = None,
        strength: float = 0.0,
        conditions: Conditions = USUAL,
    ) -> HallRecording:
        """A recording that the random numbers decide, with a fault of a chosen strength (0 to 1) if one is named."""
        machine, kind = self.machine(machine_type, machine_id), kind_of(machine_type)
        faster = conditions.speed
        running = replace(machine, rotation_hz=machine.rotation_hz * faster, cycle_hz=machine.cycle_hz * faster)
        run = Take(rng.spawn(1)[0], n_samples, fault=fault, strength=strength)
        run.load += conditions.load
        gain = LEVEL * 10 ** (rng.normal(0.0, 0.5) / 20)
        sound = TYPES[kind].sound(running, run) * np.float32(gain / self._level(machine))
        background = self.background(rng, n_samples, without=kind, bands=conditions.noise)
        noise_gain = gain * 10 ** ((rng.normal(0.0, 1.0) - self.snr_db) / 20)
        heard = sound, background * np.float32(noise_gain)
        if conditions.microphone:
            heard = body(heard[0], conditions.microphone), body(heard[1], conditions.microphone)
        if self.leakage is None:
            return HallRecording(*heard)
        place = self._rng("far", machine_type, machine_id)
        far = heard_far(*heard, rng=rng.spawn(1)[0], place=place, leakage=self.leakage)
        return HallRecording(*(np.stack(both, axis=1) for both in zip(heard, far, strict=True)))

    def supplement(self, machine_type: str, machine_id: str, index: int, *, n_samples: int) -> HallRecording:
        """A recording of which the machine alone, or the noise alone, is a supplemental clip."""
        rng = self._rng("supplemental", machine_type, machine_id, str(index))
        return self.hear(rng, machine_type, machine_id, n_samples=n_samples)

    def background(
        self, rng: np.random.Generator, n_samples: int, *, without: str, bands: Sequence[float] = USUAL_NOISE
    ) -> Signal:
        """The hall's noise `[T]`, root mean square 1: broadband and mains hum, distant blows, other machines.

        Args:
            rng: decides about it.
            n_samples: its length.
            without: a key of `TYPES`, of which no machine is among the others.
            bands: levels of its four bands.
        """
        levels = np.array(bands) * rng.lognormal(0.0, 0.45, 4)
        centres = zip((120, 500, 1500, 4500), levels, strict=True)
        sound = noise(rng, n_samples, *(Band(hz, 1.0, level) for hz, level in centres))
        mains = 50.0 * (1 + 0.0004 * rng.normal())
        sound += harmonics(turns(mains, n_samples, rng), [0.25, 0.3, 0.08, 0.12, 0.0, 0.06], rng)
        count = rng.poisson(0.5 * n_samples / SAMPLE_RATE)
        train = blows(rng.random(count) * n_samples, rng.lognormal(0, 0.5, count), n_samples)
        sound += ring(train, [Mode(rng.uniform(180, 420), 0.09, 0.5), Mode(rng.uniform(600, 1300), 0.05, 0.25)])
        for machine_type in TYPES:
            start, level = int(rng.integers(NEIGHBOUR_SECONDS * SAMPLE_RATE)), rng.lognormal(0, 0.6)
            if machine_type != without:
                sound += np.float32(0.2 * level) * _looped(self._neighbour(machine_type), start, n_samples)
        return sound / np.float32(rms(sound))

    def _rng(self, *names: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *"/".join(names).encode()])

    def _measure_level(self, machine: FactoryMachine) -> float:
        """Root mean square of a machine when healthy and under middling load, over many short recordings."""
        rngs = self._rng("level", machine.machine_type, machine.machine_id).spawn(REFERENCES)
        runs = [Take(rng, SAMPLE_RATE // 4, load=0.0) for rng in rngs]
        sound = TYPES[kind_of(machine.machine_type)].sound
        return float(np.sqrt(np.mean([rms(sound(machine, run)) ** 2 for run in runs])))

    def _record_neighbour(self, machine_type: str) -> Signal:
        """A long recording of a machine that stands at the other end of the hall: dull and reverberant."""
        from scipy.signal import oaconvolve

        rng = self._rng("neighbour", machine_type)
        machine = build_machine(machine_type, "id_99", seed=self.seed)
        near = TYPES[machine_type].sound(machine, Take(rng, NEIGHBOUR_SECONDS * SAMPLE_RATE))
        echoes = noise(rng, SAMPLE_RATE // 2, Band(350, 1.2, 1.0))
        echoes *= np.exp(-np.arange(len(echoes)) / (0.12 * SAMPLE_RATE)).astype(np.float32)
        far: Signal = oaconvolve(near, echoes)[: len(near)]
        return far / np.float32(rms(far))


def _looped(sound: Signal, start: int, n_samples: int) -> Signal:
    """`n_samples` of a sound that is repeated without end, from `start` on."""
    return np.take(sound, np.arange(start, start + n_samples), mode="wrap")
