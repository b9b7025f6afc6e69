"""DCASE Challenge, Task 2, of every year: development, additional training and evaluation clips, named as published."""

import re
from dataclasses import dataclass
from pathlib import Path

from auscult.clips import LABELS, SPLITS, Clip, Label, Split, Subset
from auscult.datasets import sections
from auscult.datasets.names import DEVELOPMENT_FOLDER, EVALUATION_FOLDER
from auscult.datasets.tree import Dataset, Problem, SoundFile, parsed, refuse_duplicates, sound_files
from auscult.datasets.truth import TruthList, find_truth, read_list
from auscult.datasets.years import YEARS

TITLE = "DCASE Challenge Task 2"
CITATION = (
    "Y. Koizumi, Y. Kawaguchi, K. Imoto, T. Nakamura, Y. Nikaido, R. Tanabe, H. Purohit, K. Suefusa, T. Endo, "
    "M. Yasuda, N. Harada: Description and discussion on DCASE2020 Challenge Task2: unsupervised anomalous sound "
    "detection for machine condition monitoring. DCASE Workshop 2020. arXiv:2006.05822"
)
LICENCE = "CC BY-NC-SA 4.0"
LAYOUT = f"[dev_data|eval_data]/<machine type>/{{train,test}}/normal_id_00_00000000.wav or {sections.NAME}"

EVALUATION_IDS = YEARS[2020].evaluation
"""Machine ids of the additional training data and the evaluation set of 2020."""

TEST_CLIPS = {"ToyCar": 2459, "ToyConveyor": 3509, "fan": 1875, "pump": 856, "slider": 1290, "valve": 879}
"""Numbers of development test clips of 2020, as published: 10,868 in all."""

_NAME = re.compile(r"(?:(?P<label>normal|anomaly)_)?(?P<id>id_\d+)_\d+")
_NAMES: dict[Split, str] = {
    "train": "normal_id_00_00000000.wav",
    "test": "normal_id_00_00000000.wav, anomaly_id_00_00000000.wav or, unlabelled, id_01_00000000.wav",
}


@dataclass(frozen=True, slots=True)
class _Named:
    """What a file's folders and name say; `label` is `None` where the name hides it."""

    file: SoundFile
    machine_type: str
    machine_id: str
    split: Split
    label: Label | None
    in_evaluation: bool


def detect(root: Path) -> bool:
    """Whether a folder holds `dev_data` or `eval_data`, or a file with an official name in `train` or `test`."""
    if any((root / name).is_dir() for name in (DEVELOPMENT_FOLDER, EVALUATION_FOLDER)):
        return True
    named = (file.folders[-1] in SPLITS and _NAME.fullmatch(file.path.stem) for file in sound_files(root))
    return any(named) or any(map(sections.fits, sound_files(root)))


def read(root: Path, *, truth: Path | None = None, year: int | None = None) -> Dataset:
    """List the clips.

    Where a file is named by its section, `sections` reads the tree. In 2020, clips under `eval_data` are additional
    training data or the evaluation set. Elsewhere, as in a folder where all archives were unpacked, the machine id
    tells: by `EVALUATION_IDS`; in other machine types those ids are the evaluation's whose test clips have no label in
    their names.

    Args:
        root: the folder of the data set; also `dev_data`, `eval_data` or the folder of one machine type.
        truth: ground-truth list, which labels the evaluation set; by default `eval_data_list.csv` in the folder of the
            data set or in `eval_data`. Without one these clips have no label.
        year: the challenge's year; found from the data by default.

    Raises:
        DatasetError: if the ground-truth list cannot be read, or is of another year.
    """
    if year != 2020 and (year or any(map(sections.fits, sound_files(root)))):
        return sections.read(root, years=[year] if year else YEARS, truth=truth)
    truth = truth or find_truth(root, [2020])
    listed = read_list(truth) if truth else None
    if listed:
        listed.require_year([2020], root)
    named, problems = parsed(root, _parse)
    clips = _clips(named, listed)
    if listed:
        missing = f"is not in the ground-truth list {truth}; complete the list, or remove the one or the other"
        problems += [Problem(clip.path, missing) for clip in clips if clip.label is None]
    return Dataset(refuse_duplicates(clips, problems), problems, (2020,))


def _parse(file: SoundFile) -> _Named | Problem:
    machine_type, split_name = ("", *file.folders)[-2:]
    split = next((split for split in SPLITS if split == split_name), None)
    if split is None or machine_type in ("", DEVELOPMENT_FOLDER, EVALUATION_FOLDER):
        return Problem(file.path, f"lies in no <machine type>/train or <machine type>/test; the layout is {LAYOUT}")
    match = _NAME.fullmatch(file.path.stem)
    if match is None:
        return Problem(file.path, f"fits no name of DCASE 2020 Task 2 ({_NAMES[split]}); rename or remove it")
    label = next((label for label in LABELS if label == match["label"]), None)
    if split == "train" and label == "anomaly":
        return Problem(file.path, "is an anomaly in the training data, which is normal only; remove it")
    if split == "train" and label is None:
        return Problem(file.path, f"does not say that it is normal, as training data must ({_NAMES[split]}); rename it")
    # The data folder's own name and its parent's count: it may be `eval_data` or one machine type in it.
    homes = [name for name in file.folders[-file.depth - 2 :] if name in (DEVELOPMENT_FOLDER, EVALUATION_FOLDER)]
    return _Named(file, machine_type, match["id"], split, label, homes[-1:] == [EVALUATION_FOLDER])


def _clips(named: list[_Named], truth: TruthList | None) -> list[Clip]:
    unlabelled: dict[str, set[str]] = {}
    for name in named:
        if name.label is None:
            unlabelled.setdefault(name.machine_type, set()).add(name.machine_id)
    clips = []
    for name in named:
        kind, path = name.machine_type, name.file.path
        evaluation_ids = EVALUATION_IDS.get(kind, unlabelled.get(kind, set()))
        subset: Subset = "development"
        if name.in_evaluation or name.label is None or name.machine_id in evaluation_ids:
            subset = "additional" if name.split == "train" else "evaluation"
        right = truth.clips.get(kind, {}).get(f"{path.stem}.wav") if truth else None
        label = name.label or (right.label if right else None)
        clips.append(Clip(path, kind, name.machine_id, name.split, label, subset, path.name))
    return clips
