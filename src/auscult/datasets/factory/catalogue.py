"""Which clips a synthetic factory holds, and under which names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from auscult.clips import Label, Split
from auscult.datasets.factory.clean_sounds import CLEAN_SOUNDS
from auscult.datasets.years import YEARS

Size = Literal["tiny", "demo", "full"]

DEVELOPMENT_IDS, EVALUATION_IDS = YEARS[2020].development, YEARS[2020].evaluation
"""Machine ids of the official development set, and of the additional training and evaluation sets."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a factory holds.

    Attributes:
        seconds: length of each clip.
        development_ids: machines of each type in the development set, at most.
        evaluation_ids: machines of each type in the additional and the evaluation set, at most.
        train_clips: normal clips to train on, for each machine.
        test_clips: normal, and as many anomalous, test clips of each machine.
        clean_clips: clean sounds of each class.
    """

    seconds: float
    development_ids: int
    evaluation_ids: int
    train_clips: int
    test_clips: int
    clean_clips: int


EXTENTS: dict[Size, Extent] = {
    "tiny": Extent(seconds=2, development_ids=2, evaluation_ids=1, train_clips=4, test_clips=3, clean_clips=2),
    "demo": Extent(seconds=4, development_ids=2, evaluation_ids=1, train_clips=16, test_clips=10, clean_clips=6),
    "full": Extent(seconds=10, development_ids=4, evaluation_ids=3, train_clips=100, test_clips=50, clean_clips=40),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One clip to be written.

    Attributes:
        file: path relative to the factory's folder.
        machine_type: kind of machine.
        machine_id: the individual.
        split: part of the data.
        label: told by the file's name, but not in the evaluation set's test clips.
        index: of the clip among those of the same machine, split and label.
    """

    file: str
    machine_type: str
    machine_id: str
    split: Split
    label: Label
    index: int

    @property
    def original(self) -> str:
        """The file name that tells the label."""
        return f"{self.label}_{self.machine_id}_{self.index:08d}.wav"

    @property
    def is_hidden(self) -> bool:
        """Whether the file name keeps the label secret: the test clips of the evaluation set."""
        return not self.file.endswith(self.original)


def plan(extent: Extent, types: Sequence[str], *, seed: int) -> Iterator[Item]:
    """All clips of a factory, evaluation test clips in the shuffled order of their names."""
    for machine_type in types:
        for subset, ids in (
            ("dev_data", DEVELOPMENT_IDS[machine_type][: extent.development_ids]),
            ("eval_data", EVALUATION_IDS[machine_type][: extent.evaluation_ids]),
        ):
            for machine_id in ids:
                yield from _plan_machine(extent, subset, machine_type, machine_id, seed)


def _plan_machine(extent: Extent, subset: str, machine_type: str, machine_id: str, seed: int) -> Iterator[Item]:
    def item(split: Split, label: Label, index: int, file: str = "") -> Item:
        file = file or f"{label}_{machine_id}_{index:08d}.wav"
        return Item(f"{subset}/{machine_type}/{split}/{file}", machine_type, machine_id, split, label, index)

    for index in range(extent.train_clips):
        yield item("train", "normal", index)
    tests: list[tuple[Label, int]] = [
        (label, index) for label in ("normal", "anomaly") for index in range(extent.test_clips)
    ]
    if subset == "dev_data":
        yield from (item("test", label, index) for label, index in tests)
        return
    order = np.random.default_rng([seed, *f"order/{machine_type}/{machine_id}".encode()]).permutation(len(tests))
    for number, choice in enumerate(order):
        label, index = tests[choice]
        yield item("test", label, index, f"{machine_id}_{number:08d}.wav")


def clean_files(extent: Extent) -> Iterator[tuple[str, int, str]]:
    """The clean sounds of a factory: class, index, and path relative to the factory's folder."""
    for name in CLEAN_SOUNDS:
        for index in range(extent.clean_clips):
            yield name, index, f"clean/{name}/{index:08d}.wav"
