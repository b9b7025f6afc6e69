"""The MIMII data set as published: eight channels, normal and abnormal folders, and no split, so one is made here."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from auscult.clips import Clip, Label, Split
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

TITLE = "MIMII"
CITATION = (
    "H. Purohit, R. Tanabe, K. Ichige, T. Endo, Y. Nikaido, K. Suefusa, Y. Kawaguchi: MIMII Dataset: sound dataset for "
    "malfunctioning industrial machine investigation and inspection. DCASE Workshop 2019. arXiv:1909.09347"
)
LICENCE = "CC BY-SA 4.0"
LAYOUT = "[6_dB_fan/]<machine type>/id_00/{normal,abnormal}/00000000.wav"

_ID = re.compile(r"id_\d+")


@dataclass(frozen=True, slots=True)
class _Recording:
    """A file with what its folders say; `home` is the folder that holds the machine type's folder."""

    file: SoundFile
    home: tuple[str, ...]
    machine_type: str
    machine_id: str
    label: Label

    @property
    def name(self) -> str:
        """Path below the machine id's folder."""
        return f"{self.file.folders[-1]}/{self.file.path.name}"


def detect(root: Path) -> bool:
    """Whether a folder holds a sound file in `id_00/normal`, `id_00/abnormal` or the like."""
    return any(_fits(file) for file in sound_files(root))


def read(root: Path, *, truth: Path | None = None, seed: int = 0) -> tuple[list[Clip], list[Problem]]:
    """List the clips, with a split.

    Per machine id, test clips are all abnormal ones and as many normal ones, but at most half of the normal ones; the
    other normal ones are for training. Which ones depends on `seed` and their names alone, so it is the same for each
    signal-to-noise ratio and for every order of files. Where a machine type lies in several folders (`6_dB_fan/fan`,
    `0_dB_fan/fan`), each of them is a machine type of its own, named after that folder (`6_dB_fan`).

    Args:
        root: the folder of the data set, of one signal-to-noise ratio or of one machine type.
        truth: refused; the folders say the labels.
        seed: another seed chooses other normal clips for the test.

    Raises:
        DatasetError: if a ground-truth list is given.
    """
    if truth is not None:
        raise DatasetError(
            f"{root} has the layout of {TITLE}, whose folders say the labels; leave out the list {truth}"
        )
    recordings, problems = parsed(root, _recording)
    homes: dict[str, set[tuple[str, ...]]] = {}
    for recording in recordings:
        homes.setdefault(recording.machine_type, set()).add(recording.home)
    tests = _test_normals(recordings, seed)
    clips = []
    for recording in recordings:
        kind = recording.machine_type if len(homes[recording.machine_type]) == 1 else _qualified(recording)
        split: Split = "test" if recording.label == "anomaly" or recording in tests else "train"
        path = recording.file.path
        clips.append(Clip(path, kind, recording.machine_id, split, recording.label, "development", recording.name))
    return refuse_duplicates(clips, problems), problems


def _fits(file: SoundFile) -> bool:
    *_, machine_id, label = ("", *file.folders)
    return bool(_ID.fullmatch(machine_id)) and label.lower() in LABEL_FOLDERS


def _recording(file: SoundFile) -> _Recording | Problem:
    if not _fits(file):
        return Problem(file.path, f"lies outside the layout of {TITLE}, {LAYOUT}; move or remove it")
    *home, machine_type, machine_id, label = ("", *file.folders)
    return _Recording(
        file, tuple(home), machine_type, machine_id, "anomaly" if label.lower() in ANOMALY_FOLDERS else "normal"
    )


def _test_normals(recordings: list[_Recording], seed: int) -> set[_Recording]:
    machines: dict[tuple[object, ...], list[_Recording]] = {}
    for recording in recordings:
        machines.setdefault((recording.home, recording.machine_type, recording.machine_id), []).append(recording)
    chosen: set[_Recording] = set()
    for machine in machines.values():
        normals = [recording for recording in machine if recording.label == "normal"]
        n_test = min(len(machine) - len(normals), len(normals) // 2)
        chosen.update(sorted(normals, key=lambda recording: _draw(recording, seed))[:n_test])
    return chosen


def _draw(recording: _Recording, seed: int) -> bytes:
    """A random number from the recording's name, so that neither order nor other files decide about it."""
    name = f"{seed}/{recording.machine_type}/{recording.machine_id}/{recording.file.path.stem}"
    return sha256(name.encode()).digest()


def _qualified(recording: _Recording) -> str:
    folder = recording.home[-1]
    return folder if folder.endswith(recording.machine_type) else f"{folder}_{recording.machine_type}"
