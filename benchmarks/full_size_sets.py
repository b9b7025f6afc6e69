"""The sets of `benchmarks.full_size`: features that others computed from every clip, as banks of one-frame clips."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auscult.features.bank import Bank, bank_of
from benchmarks.places import DATA
from benchmarks.real import sounds

FILES = ("modulation_spectra.npz", "dcase2025_tda.npz", "toycar_logmel.npz")
SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Machines:
    """The clips of one machine type.

    Attributes:
        name: of the type.
        train: normal clips.
        test: test clips, whose domains no model reads.
        labels: which of these are anomalies `[C]`.
        domains: of these `[C]`; empty where they have none.
    """

    name: str
    train: Bank
    test: Bank
    labels: NDArray[np.bool_]
    domains: NDArray[np.str_]


def modulation() -> list[Machines]:
    """Logarithms of modulation spectra, a clip of one frame each."""
    with np.load(DATA / FILES[0]) as file:
        arrays = {name: file[name] for name in file.files}
    found = []
    for name in [key.removesuffix("_train") for key in arrays if key.endswith("_train")]:
        train, test = (
            bank_of(np.log(arrays[f"{name}_{split}"])[:, None], arrays[f"{name}_{split}_ids"].tolist())
            for split in ("train", "test")
        )
        found.append(Machines(name, train, test, arrays[f"{name}_test_labels"] == 1, np.array([])))
    return found


def descriptors() -> list[Machines]:
    """Descriptors of DCASE 2025 as they are; training clips know their domains, test clips for the judge alone."""
    with np.load(DATA / FILES[1]) as file:
        arrays = {name: file[name] for name in file.files}
    found = []
    for key in [key.removesuffix("_train") for key in arrays if key.endswith("_train")]:
        train, test = (bank_of(arrays[f"{key}_{s}"][:, None], ["00"] * len(arrays[f"{key}_{s}"])) for s in SPLITS)
        domains = [[name.split("_")[2] for name in arrays[f"{key}_{split}_names"].tolist()] for split in SPLITS]
        labels = np.array(["_anomaly_" in name for name in arrays[f"{key}_test_names"].tolist()])
        known = replace(train, domains=tuple(domains[0]))
        found.append(Machines(key.removeprefix("dev_"), known, test, labels, np.array(domains[1])))
    return found


def toy_cars() -> Machines:
    """Log-mels of toy cars, clips of 200 frames."""
    names, banks = sounds()
    labels = np.array([name.startswith("anomaly") for name in names["test"]])
    return Machines("ToyCar", banks["train"], banks["test"], labels, np.array([]))
