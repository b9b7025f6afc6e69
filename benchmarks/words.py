"""What is said of the factory's faults: how often something, how often the fault's own band or rhythm.

`python -m benchmarks.words` prints it.

The bands and rhythms of a fault are those by which the factory makes it. No figure here chose a threshold.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.machine_types import TYPES
from auscult.datasets.factory.machines import FactoryMachine
from auscult.datasets.factory.sounds import SAMPLE_RATE
from auscult.detector.difference import Difference, sentence
from auscult.detector.normal import Normal
from auscult.detector.words import hearing

SECONDS, NORMALS, SOUNDS = 10, 40, 10
NEAR = 1.15
"""A band is a fault's own if it reaches within this factor of one of its frequencies; so is a rhythm."""

RHYTHMS = ("swing", "missing")


def truth(machine: FactoryMachine, fault: str) -> tuple[list[float], list[float]]:
    """Frequencies of the bands in which a fault sounds, or takes sound away, and its rhythms, in Hz."""
    tone, turn, cycle = machine.tone, machine.rotation_hz, machine.cycle_hz
    mesh = [turn * machine.elements * order for order in range(1, 5)]
    modes = [mode.hz for mode in machine.modes]
    slow = [*mesh, *(0.87 * hz for hz in mesh)]
    bands: dict[tuple[str, str], Sequence[float]] = {
        ("ToyCar", "imbalance"): [turn],
        ("ToyCar", "gear damage"): [1900 * tone],
        ("ToyCar", "low voltage"): slow,
        ("ToyConveyor", "belt slip"): [1700 * tone, 3400 * tone, 5100 * tone, 1.12 * mesh[0], 1.12 * mesh[1]],
        ("ToyConveyor", "contamination"): [140 * tone, 700 * tone, 1900 * tone, 3300 * tone],
        ("ToyConveyor", "low voltage"): slow,
        ("fan", "imbalance"): [turn],
        ("fan", "clogging"): [150 * tone, 1900 * tone],
        ("fan", "low voltage"): slow,
        ("pump", "leakage"): [5200 * tone],
        ("pump", "contamination"): [2600 * tone, *modes],
        ("pump", "clogging"): [3800 * tone, 700 * tone, 2300 * tone],
        ("slider", "rail damage"): [900 * tone, 2700 * tone],
        ("slider", "belt slip"): [480 * tone, 1700 * tone],
        ("slider", "dry rail"): [2300 * tone, 4600 * tone, 6900 * tone],
        ("valve", "contamination"): [1500 * tone, 3300 * tone, 2400 * tone, 4300 * tone],
        ("valve", "leakage"): [5200 * tone],
        ("valve", "low voltage"): [1500 * tone, 3300 * tone],
    }
    pitting = [3100 * tone, 4700 * tone]
    rhythms = [cycle, 2 * cycle, cycle / 0.87]
    return list(bands.get((machine.machine_type, fault), pitting)), rhythms


def named(one: Difference, bands: Sequence[float], rhythms: Sequence[float]) -> bool:
    """Whether a difference names one of a fault's bands, or its rhythm where it is one."""
    if one.kind in RHYTHMS:
        return one.rate_hz is not None and any(hz / NEAR <= one.rate_hz <= hz * NEAR for hz in rhythms)
    if one.low_hz is None or one.high_hz is None:
        return False
    return any(one.low_hz / NEAR <= hz <= one.high_hz * NEAR for hz in bands)


def said_of(
    machine_type: str, *, seed: int = 1, normals: int = NORMALS, sounds: int = SOUNDS, snr_db: float = 6.0
) -> tuple[dict[str, list[list[Difference]]], FactoryMachine]:
    """Fault, or "healthy", -> the differences of each of some sounds; and the machine."""
    hall, ear, rng = Hall(seed=seed, snr_db=snr_db), hearing(SAMPLE_RATE), np.random.default_rng([seed, 5])

    def levels(one: np.random.Generator, fault: str | None = None) -> np.ndarray:
        heard = hall.hear(one, machine_type, "id_00", n_samples=SECONDS * SAMPLE_RATE, fault=fault, strength=1.0)
        return ear(heard.mix)

    normal = Normal.learned((levels(one) for one in rng.spawn(normals)), ear.bin_frequencies, ear.frame_rate)
    assert normal is not None
    said = {"healthy": [normal.differences(levels(one)) for one in rng.spawn(2 * sounds)]}
    for fault in TYPES[machine_type].faults:
        said[fault] = [normal.differences(levels(one, fault)) for one in rng.spawn(sounds)]
    return said, hall.machine(machine_type, "id_00")


def main() -> None:
    """Print a line for each fault."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"{'':12} {'':16} {'said':>5} {'right':>5} {'first':>5}  of sounds; for instance")
    for machine_type in TYPES:
        said, machine = said_of(machine_type)
        for fault, found in said.items():
            bands, rhythms = truth(machine, fault)
            anything = sum(map(bool, found))
            right = sum(any(named(one, bands, rhythms) for one in claims) for claims in found)
            first = sum(bool(claims) and named(claims[0], bands, rhythms) for claims in found)
            hits = f"{right:5} {first:5}" if fault != "healthy" else " " * 11
            example = next((sentence(claims) for claims in found if claims), "")
            print(f"{machine_type:12} {fault:16} {anything:5} {hits}  of {len(found)}; {example}")


if __name__ == "__main__":
    main()
