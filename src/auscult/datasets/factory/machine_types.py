"""How the six machine types of the synthetic factory sound, and what each fault changes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from auscult.datasets.factory.machines import FactoryMachine, Take
from auscult.datasets.factory.sounds import (
    SAMPLE_RATE,
    Band,
    Mode,
    Signal,
    blows,
    crossings,
    harmonics,
    noise,
    ring,
    smooth,
    turns,
    wander,
)
from auscult.errors import DatasetError


def fan(machine: FactoryMachine, run: Take) -> Signal:
    """Blade-pass tones over the turbulence of the blades.

    Imbalance raises the line at the rotation and beats all else with it. Clogging throttles the flow: its bright noise
    fades, the unloaded motor runs faster, and the stalled flow rumbles. Sound pressure falls with the speed to the 2.5.
    """
    rng, n = run.rng, run.n_samples
    unbalance, clogging = run.of("imbalance"), run.of("clogging")
    phase = turns(run.speed(machine.rotation_hz) * (1 + 0.05 * clogging), n, rng)
    partials = np.full(12 * machine.elements, 0.004)
    partials[:4] = 0.05, 0.03, 0.02, 0.01
    partials[0] += 0.35 * unbalance
    partials[machine.elements - 1 :: machine.elements] = 0.3 / np.arange(1, 13) ** 1.3
    tones = run.tones(phase, partials)
    flow = run.flow(Band(420 * machine.tone, 0.9, 0.7), Band(1900 * machine.tone, 0.8, 0.25 * (1 - 0.6 * clogging)))
    hum = run.tones(turns(100.0, n, rng), [0.06, 0.03, 0.0, 0.02])
    sound = tones + flow * (1 + 0.15 * run.tones(phase * machine.elements, [1.0]))
    if clogging:
        stall = noise(run.fault_rng, n, Band(150 * machine.tone, 0.5, 0.5 * clogging))
        sound += stall * (1 + 0.6 * wander(run.fault_rng, n, hz=6.0)).astype(np.float32)
    sound *= (1 + 0.5 * unbalance * np.sin(2 * np.pi * phase)).astype(np.float32)
    sound *= run.voltage**2.5
    return run.casing(sound, machine) + run.pitting(machine, phase) + hum


def pump(machine: FactoryMachine, run: Take) -> Signal:
    """Vane-pass pulsation, flow in the pipes, motor hum.

    Leakage adds the hiss of a jet and takes pressure from the pulsation; contamination is grit that strikes the casing;
    clogging on the suction side makes the flow thin and lets bubbles collapse, most as each vane passes.
    """
    rng, n = run.rng, run.n_samples
    leakage, grit, clogging = run.of("leakage"), run.of("contamination"), run.of("clogging")
    phase = turns(run.speed(machine.rotation_hz, spread=0.006, drift=0.002), n, rng)
    partials = np.full(14 * machine.elements, 0.015)
    partials[:3] = 0.15, 0.08, 0.04
    partials[machine.elements - 1 :: machine.elements] = (1 - 0.3 * leakage) * 0.45 / np.arange(1, 15) ** 0.9
    flow = run.flow(Band(700 * machine.tone, 0.7, 0.45), Band(2300 * machine.tone, 0.5, 0.2))
    flow *= 1 - 0.4 * clogging
    hum = run.tones(turns(100.0, n, rng), [0.12, 0.08, 0.02, 0.04, 0.0, 0.02])
    sound = run.tones(phase, partials) + flow
    extra = np.zeros(n, dtype=np.float32)
    if leakage:
        jet = noise(run.fault_rng, n, Band(5200 * machine.tone, 0.35, 0.17 * leakage))
        extra += jet * (1 + 0.15 * wander(run.fault_rng, n, hz=8.0)).astype(np.float32)
    if grit:
        extra += 0.65 * grit * ring(run.scattered(25.0), [Mode(2600 * machine.tone, 0.004, 1.0), *machine.modes])
    if clogging:
        bubbles = ring(run.scattered(600.0, spread=1.0), [Mode(3800 * machine.tone, 0.0006, 0.5)])
        extra += 0.5 * clogging * bubbles * (1 + np.sin(2 * np.pi * phase * machine.elements)).astype(np.float32)
    return run.casing(sound, machine) + extra + 0.8 * run.pitting(machine, phase) + hum


def slider(machine: FactoryMachine, run: Take) -> Signal:
    """A carriage that runs to and fro: whine and rolling noise follow its speed, a clunk at each reversal.

    Rail damage is a knock wherever the carriage passes the damaged place, both ways. A slipping belt slaps after each
    reversal and lets the speed flutter. A dry rail squeals while the carriage moves.
    """
    rng, n = run.rng, run.n_samples
    damage, slip, dry = run.of("rail damage"), run.of("belt slip"), run.of("dry rail")
    cycle = turns(run.speed(machine.cycle_hz, spread=0.01), n, rng)
    velocity = np.clip(2.2 * np.sin(2 * np.pi * cycle), -1, 1)
    pace = np.abs(velocity) * (1 + 0.12 * slip * np.sin(2 * np.pi * 17 * np.arange(n) / SAMPLE_RATE))
    whine = turns(np.maximum(machine.rotation_hz * machine.elements * pace, 0.5), n, rng)
    tones = run.tones(whine, 0.35 / np.arange(1, 13) ** 1.1) * pace.astype(np.float32)
    rolling = run.flow(Band(1100 * machine.tone, 0.8, 0.5), Band(3600 * machine.tone, 0.4, 0.2))
    rolling *= (pace**1.3).astype(np.float32)
    ends = crossings(2 * cycle)
    clunk = (Mode(210 * machine.tone, 0.02, 1.2), Mode(1300 * machine.tone, 0.006, 0.6))
    sound = tones + rolling + ring(blows(ends, rng.lognormal(0, 0.2, len(ends)), n), clunk)
    if damage:
        passes = np.concatenate([crossings(cycle - machine.place / 2), crossings(cycle + machine.place / 2)])
        knock = (Mode(900 * machine.tone, 0.012, 1.0), Mode(2700 * machine.tone, 0.005, 0.8))
        sound += ring(blows(passes, 3.5 * damage * run.fault_rng.lognormal(0, 0.2, len(passes)), n), knock)
    if slip:
        late = np.concatenate([ends + SAMPLE_RATE * delay for delay in (0.05, 0.085, 0.11)])
        slap = (Mode(480 * machine.tone, 0.01, 1.0), Mode(1700 * machine.tone, 0.003, 1.0))
        sound += ring(blows(late, slip * run.fault_rng.lognormal(0, 0.4, len(late)), n), slap)
    if dry:
        pitch = 2300 * machine.tone * (1 + 0.02 * wander(run.fault_rng, n, hz=12.0))
        squeal = harmonics(turns(pitch, n, run.fault_rng), [0.4, 0.2, 0.1], run.fault_rng)
        sound += 0.9 * dry * squeal * (pace * np.clip(0.5 + wander(run.fault_rng, n, hz=8.0), 0, 2)).astype(np.float32)
    return run.casing(sound, machine)


def valve(machine: FactoryMachine, run: Take) -> Signal:
    """A solenoid valve: a click as it opens, hum and flow while it is open, a harder click as it closes.

    Contamination keeps the plunger from seating: it bounces and grates. Leakage hisses while the valve is closed. Low
    voltage strikes late and softly, and the armature chatters at twice the mains frequency.
    """
    rng, n = run.rng, run.n_samples
    dirt, leakage, weak = run.of("contamination"), run.of("leakage"), run.of("low voltage")
    cycle_hz = run.speed(machine.cycle_hz, spread=0.02, drift=0.02) / run.voltage  # its controller keeps time
    cycle = turns(cycle_hz, n, rng)
    gate = (cycle % 1.0) < 0.3 + 0.3 * machine.place
    opens = crossings(cycle) + SAMPLE_RATE * 0.02 * weak
    closes = crossings(cycle - 0.3 - 0.3 * machine.place)
    click = (Mode(2400 * machine.tone, 0.004, 1.0), Mode(4300 * machine.tone, 0.002, 0.6))
    clack = (Mode(1500 * machine.tone, 0.005, 1.3), Mode(3300 * machine.tone, 0.003, 0.8))
    sound = ring(blows(opens, (1 - 0.6 * weak) * rng.lognormal(0, 0.12, len(opens)), n), click)
    sound += ring(blows(closes, rng.lognormal(0, 0.12, len(closes)), n), clack)
    opening = smooth(gate, seconds=0.012)
    flow = run.flow(Band(1700 * machine.tone, 0.6, 0.05), Band(4500 * machine.tone, 0.4, 0.03))
    sound += flow * opening
    sound += opening * run.tones(turns(100.0, n, rng), [0.03, 0.02, 0.015, 0.01])
    if dirt:
        bounce = np.concatenate([closes + SAMPLE_RATE * delay for delay in (0.018, 0.031, 0.04, 0.046)])
        heights = 0.45 * dirt * run.fault_rng.lognormal(0, 0.4, len(bounce))
        sound += ring(blows(bounce, heights, n), clack)
        sound += 0.05 * dirt * ring(run.scattered(120.0), click) * opening
    if leakage:
        sound += (1 - opening) * noise(run.fault_rng, n, Band(5200 * machine.tone, 0.3, 0.02 * leakage))
    if weak:
        chatter = crossings(turns(100.0, n, run.fault_rng))
        sound += 0.25 * weak * opening * ring(blows(chatter, 1.0, n), clack)
    return run.casing(sound, machine)


def toy_car(machine: FactoryMachine, run: Take) -> Signal:
    """A small motor, its gears, and wheels that roll on the spot.

    Imbalance of the rotor raises the line at the rotation and puts side bands on the gear mesh. Gear damage is a knock,
    and a stumble of the mesh, once a revolution of the big gear. Low voltage slows and quiets motor, gears and wheels.
    """
    rng, n = run.rng, run.n_samples
    unbalance, damage = run.of("imbalance"), run.of("gear damage")
    phase = turns(run.speed(machine.rotation_hz, spread=0.025, drift=0.006), n, rng)
    big_gear = phase / 4
    stumble = 1 - 0.5 * damage * (big_gear % 1.0 < 0.15)
    mesh = run.tones(phase * machine.elements, 0.5 / np.arange(1, 9) ** 1.0)
    brushes = run.tones(phase, [0.1 + 0.7 * unbalance, 0.05, 0.2, 0.02, 0.02, 0.12, 0.0, 0.0, 0.06])
    wheels = phase * (machine.cycle_hz / machine.rotation_hz)
    rolling = run.flow(Band(600 * machine.tone, 0.8, 0.35), Band(2600 * machine.tone, 0.7, 0.25))
    rolling *= (1 + 0.3 * np.sin(2 * np.pi * wheels)).astype(np.float32)
    sound = mesh * (stumble * (1 + 0.7 * unbalance * np.sin(2 * np.pi * phase))).astype(np.float32) + brushes + rolling
    if damage:
        knocks = crossings(big_gear)
        heights = 2.6 * damage * run.fault_rng.lognormal(0, 0.2, len(knocks))
        sound += ring(blows(knocks, heights, n), [Mode(1900 * machine.tone, 0.003, 1.0)])
    sound *= run.voltage**1.5
    return run.casing(sound, machine)


def toy_conveyor(machine: FactoryMachine, run: Take) -> Signal:
    """A belt that rumbles over its rollers, its seam that thumps, and the geared motor that pulls it.

    A slipping belt lets go again and again: the motor races and the belt squeals. Contamination is a lump on the belt
    that thumps over both end rollers and scrapes in each revolution. Low voltage slows everything.
    """
    rng, n = run.rng, run.n_samples
    slip, lump = run.of("belt slip"), run.of("contamination")
    letting_go = smooth(wander(run.fault_rng, n, hz=3.0) > 0.4, seconds=0.03) if slip else np.zeros(n, dtype=np.float32)
    speed = run.speed(machine.rotation_hz, spread=0.02)
    phase = turns(speed * (1 + 0.12 * slip * letting_go), n, rng)
    belt = turns(speed * (machine.cycle_hz / machine.rotation_hz), n, rng)
    tones = run.tones(phase, [0.2, 0.1, 0.1, 0.04, 0.04, 0.02])
    tones += run.tones(phase * machine.elements, 0.35 / np.arange(1, 11) ** 1.2)
    rumble = run.flow(Band(230 * machine.tone, 0.7, 0.5), Band(1200 * machine.tone, 0.9, 0.35))
    rumble *= (1 + 0.25 * np.sin(2 * np.pi * 9 * belt)).astype(np.float32)
    thump = (Mode(140 * machine.tone, 0.03, 1.0), Mode(700 * machine.tone, 0.008, 0.6))
    seam = crossings(belt)
    sound = tones + rumble * (1 - 0.3 * slip * letting_go) + ring(blows(seam, 0.8, n), thump)
    if slip:
        pitch = 1700 * machine.tone * (1 + 0.03 * wander(run.fault_rng, n, hz=10.0))
        sound += 0.35 * slip * letting_go * harmonics(turns(pitch, n, run.fault_rng), [1.0, 0.5, 0.3], run.fault_rng)
    if lump:
        at_rollers = np.concatenate([crossings(belt - machine.place), crossings(belt - machine.place - 0.5)])
        knock = (*thump, Mode(1900 * machine.tone, 0.006, 1.0))
        sound += ring(blows(at_rollers, 3.5 * lump * run.fault_rng.lognormal(0, 0.2, len(at_rollers)), n), knock)
        under_plate = smooth((belt - machine.place) % 1.0 < 0.25, seconds=0.02)
        sound += under_plate * noise(run.fault_rng, n, Band(3300 * machine.tone, 0.5, 0.4 * lump))
    sound *= run.voltage**1.5
    return run.casing(sound, machine) + run.pitting(machine, phase)


@dataclass(frozen=True, slots=True)
class MachineType:
    """The limits within which the individuals of a type differ, how they sound, and how they fail.

    Attributes:
        sound: makes a recording.
        faults: that it can have.
        rotation_hz: lowest and highest, as are the next two.
        cycle_hz: see `FactoryMachine`.
        elements: see `FactoryMachine`.
    """

    sound: Callable[[FactoryMachine, Take], Signal]
    faults: tuple[str, ...]
    rotation_hz: tuple[float, float]
    cycle_hz: tuple[float, float]
    elements: tuple[int, int]


TYPES = {
    "ToyCar": MachineType(toy_car, ("imbalance", "gear damage", "low voltage"), (70, 130), (5, 9), (8, 13)),
    "ToyConveyor": MachineType(
        toy_conveyor, ("belt slip", "contamination", "low voltage", "bearing pitting"), (45, 85), (0.7, 1.3), (9, 15)
    ),
    "fan": MachineType(fan, ("imbalance", "bearing pitting", "clogging", "low voltage"), (17, 38), (1, 1), (5, 9)),
    "pump": MachineType(pump, ("leakage", "contamination", "clogging", "bearing pitting"), (22, 50), (1, 1), (3, 7)),
    "slider": MachineType(slider, ("rail damage", "belt slip", "dry rail"), (15, 32), (0.6, 1.3), (24, 36)),
    "valve": MachineType(valve, ("contamination", "leakage", "low voltage"), (50, 50), (1.6, 3.4), (1, 1)),
}
"""The six machine types, with the faults that they can have in the order in which test clips show them."""

_SOUND_LIKE = {
    "ToyCar": "ToyCarEmu ToyRCCar ToyTank",
    "ToyConveyor": "ToyTrain ToyNscale ToyCircuit AutoTrash",
    "fan": "BlowerDustCollector HairDryer HoveringDrone ToyDrone Vacuum",
    "pump": "bearing bearingEmu gearbox gearboxEmu grinder AirCompressor BrushlessMotor CoffeeGrinder Polisher Sander",
    "slider": "sliderEmu bandsaw shaker 3DPrinter BandSealer RoboticArm Scanner SewingMachine ToothBrush",
    "valve": "valveEmu HomeCamera ScrewFeeder ToyPet",
}

KINDS = {name: kind for kind, names in _SOUND_LIKE.items() for name in (kind, *names.split())}
"""Machine type of any year -> the one of the six whose sounds and faults it has; its name decides about the rest."""


def kind_of(machine_type: str) -> str:
    """The key of `TYPES` that tells how a machine type of any year sounds.

    Raises:
        DatasetError: if there is no such machine type.
    """
    if machine_type not in KINDS:
        raise DatasetError(f"the factory has no machine of type {machine_type!r}; it has {', '.join(KINDS)}")
    return KINDS[machine_type]


def build_machine(machine_type: str, machine_id: str, *, seed: int) -> FactoryMachine:
    """The individual with this id in the factory with this seed.

    The speeds of successive ids are spread evenly over their range (by the golden section), so that no two are alike.

    Raises:
        DatasetError: if there is no such machine type.
    """
    kind = TYPES[kind_of(machine_type)]
    rng = np.random.default_rng([seed, *f"machine/{machine_type}".encode()])
    number = int(machine_id.rpartition("_")[2])
    golden = (rng.random(3) + number * np.array([0.618034, 0.754878, 0.569840])) % 1.0
    rng = np.random.default_rng([seed, *f"machine/{machine_type}/{machine_id}".encode()])

    def between(limits: tuple[float, float], part: float) -> float:
        return float(limits[0] * (limits[1] / limits[0]) ** part)

    modes = tuple(
        Mode(hz * 2 ** float(rng.uniform(-0.6, 0.6)), decay, float(rng.uniform(0.6, 3.0)))
        for hz, decay in ((350, 0.012), (900, 0.006), (2100, 0.004))
    )
    return FactoryMachine(
        machine_type=machine_type,
        machine_id=machine_id,
        rotation_hz=between(kind.rotation_hz, golden[0]),
        cycle_hz=between(kind.cycle_hz, golden[1]),
        elements=int(rng.integers(kind.elements[0], kind.elements[1], endpoint=True)),
        balls=int(rng.integers(7, 11)),
        tone=between((0.7, 1.35), golden[2]),
        modes=modes,
        place=float(rng.uniform(0.25, 0.75)),
    )
