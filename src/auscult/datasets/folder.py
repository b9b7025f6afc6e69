"""Plain folders: an engineer's own recordings, sorted by machine, split and label; any rate, any length."""

import re
from pathlib import Path

from auscult.clips import SPLITS, Clip, Label
from auscult.datasets.tree import (
    ANOMALY_FOLDERS,
    LABEL_FOLDERS,
    Problem,
    SoundFile,
    parsed,
    refuse_duplicates,
    sound_files,
)
from auscult.errors import DatasetError

TITLE = "plain folders"
CITATION = ""
LICENCE = ""
LAYOUT = "<machine>/[<machine id>/]{train,test/normal,test/anomaly}/any name.wav"

ONLY_ID = "id_00"
"""The machine id where folders name none."""

_ID = re.compile(r"id_\d+")


def detect(root: Path) -> bool:
    """Whether a folder holds a sound file below a `train` or `test` folder."""
    return any(_split_depth(file) is not None for file in sound_files(root))


def read(root: Path, *, truth: Path | None = None) -> tuple[list[Clip], list[Problem]]:
    """List the clips.

    Files in `train`, or `train/normal`, are normal; `abnormal` and `anomalous` are other names of `anomaly`. Folders
    below these, one for each day for instance, are allowed and become part of a clip's `file`, which is its path below
    the machine id's folder.

    Args:
        root: the folder of all machines; also that of one machine.
        truth: refused; the folders say the labels.

    Raises:
        DatasetError: if a ground-truth list is given.
    """
    if truth is not None:
        raise DatasetError(f"{root} has the layout of {TITLE}, which say the labels; leave out the list {truth}")
    clips, problems = parsed(root, _clip)
    return refuse_duplicates(clips, problems), problems


def _clip(file: SoundFile) -> Clip | Problem:
    depth = _split_depth(file)
    inside = file.inside
    if depth is None:
        return Problem(file.path, f"lies in no train or test folder; the layout is {LAYOUT}")
    machine = _machine(file, inside[:depth])
    if machine is None:
        return Problem(
            file.path, f"lies too deep: {'/'.join(inside)} has more than a machine and its id; the layout is {LAYOUT}"
        )
    split = next(split for split in SPLITS if split == inside[depth].lower())
    label_folder = inside[depth + 1].lower() if len(inside) > depth + 1 else ""
    label: Label = "anomaly" if label_folder in ANOMALY_FOLDERS else "normal"
    if split == "train" and label == "anomaly":
        return Problem(file.path, "is an anomaly in the training data, which is normal only; move it to test/anomaly")
    if split == "test" and label_folder not in LABEL_FOLDERS:
        return Problem(file.path, "has no label; move it to test/normal or test/anomaly")
    name = "/".join((*inside[depth:], file.path.name))
    return Clip(file.path, *machine, split, label, "development", name)


def _machine(file: SoundFile, above: tuple[str, ...]) -> tuple[str, str] | None:
    """Machine type and id from the folders between the data folder and `train` or `test`; none if they are too many."""
    root_name = file.folders[len(file.folders) - file.depth - 1]
    match above:
        case ():
            return root_name, ONLY_ID
        case (name,) if _ID.fullmatch(name):
            return root_name, name
        case (name,):
            return name, ONLY_ID
        case (name, machine_id):
            return name, machine_id
    return None


def _split_depth(file: SoundFile) -> int | None:
    """How many folders lie between the data folder and the first `train` or `test`."""
    return next((depth for depth, name in enumerate(file.inside) if name.lower() in SPLITS), None)
