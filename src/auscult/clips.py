"""The clip: one recording and what is known about it. The vocabulary of every stage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Split = Literal["train", "test"]
Label = Literal["normal", "anomaly"]
Subset = Literal["development", "additional", "evaluation"]

MACHINE_TYPES = ("ToyCar", "ToyConveyor", "fan", "pump", "slider", "valve")
"""The machine types of DCASE 2020 Task 2, in the order of the challenge's tables."""

Known = tuple[str, str | None, tuple[tuple[str, str], ...]]
"""What a model may know of a clip beside its sound: machine id, domain, attributes."""

SPLITS: tuple[Split, ...] = get_args(Split)
LABELS: tuple[Label, ...] = get_args(Label)


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of one machine.

    Attributes:
        path: the audio file.
        machine_type: kind of machine, for instance `"fan"`.
        machine_id: the individual machine, for instance `"id_00"`; unique within its type.
        split: `"train"` clips are normal, always.
        label: `None` where it is unknown (the evaluation set without its ground truth).
        subset: the part of the challenge; other datasets are `"development"` throughout. Additional training data is
            the challenge's `eval_data/<type>/train`.
        file: name under which score tables list the clip: unique within machine type, id and split. The file name in
            the challenge; a path relative to the machine's folder in other datasets.
        domain: under which conditions the machine ran, for instance `"source"` or `"target"`; `None` where none are
            told apart.
        attributes: what else is known of it, names and values in order, for instance `(("speed", "28V"),)`.
    """

    path: Path
    machine_type: str
    machine_id: str
    split: Split
    label: Label | None
    subset: Subset
    file: str
    domain: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def known(self) -> Known:
        """What a model may know of it."""
        return self.machine_id, self.domain, self.attributes

    @property
    def facts(self) -> list[Any]:
        """What the key of a bank knows of a clip beside its sound: its id, and domain and attributes if it has any."""
        return [self.machine_id, *filter(None, (self.domain, self.attributes))]
