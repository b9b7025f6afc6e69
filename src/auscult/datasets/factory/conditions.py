"""Conditions under which a machine of the synthetic factory is recorded: what makes a source and a target domain."""

from dataclasses import dataclass

import numpy as np

from auscult.datasets.factory.sounds import Mode

USUAL_NOISE = (0.8, 0.4, 0.25, 0.12)
"""Levels of the bands of the hall's noise, from the lowest to the highest."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a machine runs and is heard.

    Attributes:
        attributes: what names say of it, names and values in order.
        speed: factor on the machine's speeds.
        load: mean, in standard deviations from the middling.
        microphone: resonances that colour what it hears; none of a flat one.
        noise: levels of the bands of the hall's noise.
    """

    attributes: tuple[tuple[str, str], ...] = ()
    speed: float = 1.0
    load: float = 0.0
    microphone: tuple[Mode, ...] = ()
    noise: tuple[float, ...] = USUAL_NOISE


USUAL = Conditions()
"""Where no domains are told apart."""

SPEEDS = {"28V": 1.0, "31V": 1.1, "34V": 1.25}
LOADS = {"1": -1.0, "2": 0.0, "3": 2.0}
MICROPHONES: dict[str, tuple[Mode, ...]] = {"1": (), "2": (Mode(800, 0.002, 1.0), Mode(3200, 0.0006, 1.5))}
NOISES = {"1": USUAL_NOISE, "2": (0.4, 0.3, 0.5, 0.3)}

ATTRIBUTES = {"spd": tuple(SPEEDS), "ld": tuple(LOADS), "mic": tuple(MICROPHONES), "noise": tuple(NOISES)}
"""What conditions differ in, with all values: the last one is that of the target domain, the others of the source."""

_DIFFER = 2
"""In so many attributes the domains of a machine differ."""


def conditions_of(machine_type: str, machine_id: str, domain: str | None, index: int, *, seed: int) -> Conditions:
    """The conditions of a clip: by two attributes, which the machine's name and the seed choose, and its domain.

    Args:
        machine_type: the machine's.
        machine_id: the machine's.
        domain: `"source"`, `"target"`, or none.
        index: of the clip; those of the source take each value in turn.
        seed: of the factory.
    """
    if domain is None:
        return USUAL
    rng = np.random.default_rng([seed, *f"domains/{machine_type}/{machine_id}".encode()])
    chosen = sorted(rng.choice(len(ATTRIBUTES), _DIFFER, replace=False).tolist())
    told = {}
    for name, values in (list(ATTRIBUTES.items())[number] for number in chosen):
        told[name] = values[-1] if domain == "target" else values[index % (len(values) - 1)]
    return Conditions(
        tuple(told.items()),
        SPEEDS.get(told.get("spd", ""), 1.0),
        LOADS.get(told.get("ld", ""), 0.0),
        MICROPHONES.get(told.get("mic", ""), ()),
        NOISES.get(told.get("noise", ""), USUAL_NOISE),
    )
