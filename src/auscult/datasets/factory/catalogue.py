"""Which clips a synthetic factory holds, and under which names: the layouts of all years."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from auscult.clips import LABELS, Label, Split
from auscult.datasets.factory.clean_sounds import CLEAN_SOUNDS
from auscult.datasets.factory.conditions import conditions_of
from auscult.datasets.years import YEARS, Year

Size = Literal["tiny", "demo", "full"]

FIRST = YEARS[2020]
DEVELOPMENT_IDS, EVALUATION_IDS = FIRST.development, FIRST.evaluation
"""Machine ids of the official development set, and of the additional training and evaluation sets, in 2020."""

LEAST_TARGET = 3
"""Training clips of the target domain, at least."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a factory holds.

    Attributes:
        seconds: length of each clip.
        development_ids: machines of each type in the development set, at most.
        evaluation_ids: machines of each type in the additional and the evaluation set, at most.
        train_clips: normal clips to train on, for each machine; where there are domains, of the source.
        test_clips: normal, and as many anomalous, test clips of each machine and domain.
        clean_clips: clean sounds of each class, and supplemental clips of each machine type.
    """

    seconds: float
    development_ids: int
    evaluation_ids: int
    train_clips: int
    test_clips: int
    clean_clips: int

    def of_domains(self, facts: Year) -> dict[str | None, int]:
        """Training clips of each domain, in the year's ratio, but at least `LEAST_TARGET`; one domain in 2020."""
        source, target = facts.train_clips
        if not target:
            return {None: self.train_clips}
        return {"source": self.train_clips, "target": max(LEAST_TARGET, round(self.train_clips * target / source))}


EXTENTS: dict[Size, Extent] = {
    "tiny": Extent(seconds=2, development_ids=2, evaluation_ids=1, train_clips=4, test_clips=3, clean_clips=2),
    "demo": Extent(seconds=4, development_ids=2, evaluation_ids=1, train_clips=16, test_clips=10, clean_clips=6),
    "full": Extent(seconds=10, development_ids=4, evaluation_ids=3, train_clips=100, test_clips=50, clean_clips=40),
}
"""Of 2020. Since 2021 a machine has other training clips, see `extent_of`."""


def extent_of(size: Size, facts: Year) -> Extent:
    """How much a factory of a size holds in a year's layout; `full` has as many training clips as the year."""
    extent = EXTENTS[size]
    if facts.year == 2020:
        return extent
    return replace(extent, train_clips=facts.train_clips[0] if size == "full" else 3 * extent.train_clips)


@dataclass(frozen=True, slots=True)
class Item:
    """One clip to be written.

    Attributes:
        file: path relative to the factory's folder.
        machine_type: kind of machine.
        machine_id: the individual.
        split: part of the data.
        label: told by the file's name, but not in the evaluation set's test clips.
        index: of the clip among those of the same machine, split, label and domain.
        original: the file name that tells the label.
        domain: since 2021; the names of most evaluation tests hide it.
        attributes: of its condition; none where they are secret.
    """

    file: str
    machine_type: str
    machine_id: str
    split: Split
    label: Label
    index: int
    original: str
    domain: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def is_hidden(self) -> bool:
        """Whether the file name keeps the label secret: the test clips of the evaluation set."""
        return not self.file.endswith(self.original)


def plan(extent: Extent, types: Sequence[str], *, seed: int, facts: Year = FIRST) -> Iterator[Item]:
    """All clips of a factory, evaluation test clips in the shuffled order of their names."""
    for machine_type in types:
        for subset, ids in (
            ("dev_data", facts.development.get(machine_type, ())[: extent.development_ids]),
            ("eval_data", facts.evaluation.get(machine_type, ())[: extent.evaluation_ids]),
        ):
            for machine_id in ids:
                yield from _plan_machine(extent, facts, f"{subset}/{machine_type}", machine_id, seed)


def _plan_machine(extent: Extent, facts: Year, home: str, machine_id: str, seed: int) -> Iterator[Item]:
    subset, machine_type = home.split("/")
    secret = machine_type in without_attributes(facts)

    def item(split: Split, label: Label, index: int, domain: str | None, number: int | None = None) -> Item:
        told = conditions_of(machine_type, machine_id, domain, index, seed=seed).attributes
        attributes = () if secret else told
        shown = index if facts.year == 2020 or number is None else number
        original = facts.file(machine_id, shown, split=split, label=label, domain=domain, attributes=attributes)
        file = original
        if number is not None:
            file = facts.file(machine_id, number, split=split, label=None, domain=domain)
        folder = facts.test_folder(domain) if split == "test" else split
        who = machine_type, machine_id, split, label, index
        return Item(f"{home}/{folder}/{file}", *who, original, domain, attributes)

    domains = extent.of_domains(facts)
    for domain, n_clips in domains.items():
        yield from (item("train", "normal", index, domain) for index in range(n_clips))
    tests = [(label, index, domain) for domain in domains for label in LABELS for index in range(extent.test_clips)]
    numbers: list[int | None] = [None] * len(tests)
    if subset == "eval_data":
        rng = np.random.default_rng([seed, *f"order/{machine_type}/{machine_id}".encode()])
        tests, numbers = [tests[choice] for choice in rng.permutation(len(tests))], list(range(len(tests)))
    for (label, index, domain), number in zip(tests, numbers, strict=True):
        yield item("test", label, index, domain, number)


def without_attributes(facts: Year) -> frozenset[str]:
    """The machine types of a year whose attributes the factory keeps secret.

    Those that the year's table of facts names; where it leaves them open, every other one of the set.
    """
    if facts.no_attribute is None:
        return frozenset()
    development, evaluation = list(facts.development)[::2], list(facts.evaluation)[::2]
    return frozenset((*(facts.without_attributes or development), *evaluation))


def tables(items: Sequence[Item], facts: Year) -> Iterator[tuple[str, list[list[str]]]]:
    """The tables of attributes of a factory, `attributes_<nn>.csv`, since 2022: path and lines of each.

    A table lists the clips whose names tell their attributes; where these are secret, it has no columns of them.
    """
    found: dict[str, list[Item]] = {}
    for item in items:
        if facts.year > 2021 and not item.is_hidden:
            home = PurePosixPath(item.file).parents[1]
            found.setdefault(f"{home}/attributes_{item.machine_id[-2:]}.csv", []).append(item)
    for path, some in found.items():
        width = max(len(item.attributes) for item in some)
        header = ["file_name", *(f"d{n}{what}" for n in range(1, width + 1) for what in "pv")]
        told = [[text for pair in item.attributes for text in pair] for item in some]
        names = [item.file.partition("/")[2] for item in some]
        yield path, [header, *([name, *texts] for name, texts in zip(names, told, strict=True))]


def supplements(extent: Extent, types: Sequence[str], facts: Year) -> Iterator[tuple[str, str, str, str, int]]:
    """The supplemental clips of a factory: path, machine type, machine id, `"clean"` or `"noise"`, and index.

    The types of a year have clean sound and noise in turn.
    """
    for subset, machines in (("dev_data", facts.development), ("eval_data", facts.evaluation)):
        for number, (machine_type, ids) in enumerate(machines.items()):
            if facts.supplemental and machine_type in types:
                what = ("clean", "noise")[number % 2]
                for index in range(extent.clean_clips):
                    file = f"{subset}/{machine_type}/supplemental/{ids[0]}_{what}_{index:04d}.wav"
                    yield file, machine_type, ids[0], what, index


def clean_files(extent: Extent) -> Iterator[tuple[str, int, str]]:
    """The clean sounds of a factory: class, index, and path relative to the factory's folder."""
    for name in CLEAN_SOUNDS:
        for index in range(extent.clean_clips):
            yield name, index, f"clean/{name}/{index:08d}.wav"
