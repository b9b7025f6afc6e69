"""Data sets: a folder becomes a list of clips, in a fixed order and without passing over a file silently."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from auscult.clips import Clip
from auscult.datasets import dcase, folder, mimii
from auscult.datasets.tree import Dataset, Problem, sound_files
from auscult.datasets.years import YEARS
from auscult.errors import DatasetError, nearest

__all__ = [
    "DATASETS",
    "Dataset",
    "Layout",
    "Problem",
    "detect_dataset",
    "load_clips",
    "load_dataset",
    "read_dataset",
    "require_training_clips",
]


class Layout(Protocol):
    """A page of facts and a thin reader: one module for each layout."""

    TITLE: str
    CITATION: str
    LICENCE: str
    LAYOUT: str

    def detect(self, root: Path) -> bool:
        """Whether a folder looks like this layout."""
        ...

    def read(self, root: Path, *, truth: Path | None = None) -> Dataset | tuple[list[Clip], list[Problem]]:
        """All clips in their fixed order, and all files that cannot be clips."""
        ...


DATASETS: dict[str, Layout] = {"dcase": dcase, "mimii": mimii, "folder": folder}
"""Layouts by name, in the order in which they are tried."""

YEAR_NAMES = {f"dcase{year}": year for year in YEARS}
"""Names that say the year of the layout `dcase`, which is otherwise found from the data."""

_SHOWN = 3


def load_clips(
    root: Path,
    *,
    dataset: str | None = None,
    machine_types: Sequence[str] | None = None,
    truth: Path | None = None,
) -> list[Clip]:
    """List the clips of a data folder: `load_dataset(...).clips`."""
    return load_dataset(root, dataset=dataset, machine_types=machine_types, truth=truth).clips


def load_dataset(
    root: Path,
    *,
    dataset: str | None = None,
    machine_types: Sequence[str] | None = None,
    truth: Path | None = None,
) -> Dataset:
    """What a data folder holds, without any problem.

    Args:
        root: the data folder.
        dataset: name of its layout, a key of `DATASETS` or `YEAR_NAMES`; detected by default.
        machine_types: only these; by default all. Problems with files of the others do not matter then.
        truth: ground-truth list that labels the evaluation set of DCASE Task 2.

    Returns:
        Clips by machine type, machine id, split (training first) and file name.

    Raises:
        DatasetError: if the folder is missing, empty or of no known layout, a file in it cannot be a clip, or a name
            in `machine_types` or `dataset` is not known.
    """
    found = read_dataset(root, dataset=dataset, truth=truth)
    clips, problems = found.clips, found.problems
    if machine_types is not None:
        there = sorted({clip.machine_type for clip in clips})
        for name in machine_types:
            if name not in there:
                raise DatasetError(
                    f"{root} has no machine type {name!r}{nearest(name, there)}; it has {', '.join(there)}"
                )
        clips = [clip for clip in clips if clip.machine_type in machine_types]
        problems = _without(problems, root, set(there) - set(machine_types))
        chosen = [
            tuple(one for one in some if one.machine_type in machine_types) for some in (found.clean, found.noise)
        ]
        found = found._replace(clips=clips, problems=problems, clean=chosen[0], noise=chosen[1])
    if problems:
        raise DatasetError(_summary(root, problems))
    return found


def read_dataset(root: Path, *, dataset: str | None = None, truth: Path | None = None) -> Dataset:
    """All that a data folder holds, its problems too: for those who want to see them.

    Raises:
        DatasetError: if the folder is missing, holds no sound files or has no known layout, or `dataset` is not known.
    """
    known = [*DATASETS, *YEAR_NAMES]
    if dataset is not None and dataset not in known:
        raise DatasetError(f"unknown layout {dataset!r}{nearest(dataset, known)}; known are {', '.join(known)}")
    name = dataset or detect_dataset(root)
    _require_folder(root)
    if name in YEAR_NAMES:
        read: Dataset | tuple[list[Clip], list[Problem]] = dcase.read(root, truth=truth, year=YEAR_NAMES[name])
    else:
        read = DATASETS[name].read(root, truth=truth)
    found = read if isinstance(read, Dataset) else Dataset(*read)
    if not found.clips and not found.problems:
        raise _no_layout(root)
    return found._replace(problems=sorted(found.problems, key=lambda problem: problem.path), layout=name)


def detect_dataset(root: Path) -> str:
    """Name of the first layout that a folder has.

    Raises:
        DatasetError: if the folder is missing or has no known layout.
    """
    _require_folder(root)
    for name, dataset in DATASETS.items():
        if dataset.detect(root):
            return name
    raise _no_layout(root)


def require_training_clips(clips: Iterable[Clip], root: Path) -> None:
    """Check that every machine type has clips to train with.

    Raises:
        DatasetError: if one has none; it names those that have.
    """
    trained: dict[str, bool] = {}
    for clip in clips:
        trained[clip.machine_type] = trained.get(clip.machine_type, False) or clip.split == "train"
    without = [name for name, there in trained.items() if not there]
    others = [name for name, there in trained.items() if there]
    if others and without:
        advice = f"add some, or choose among the others: {' '.join(f'--machine-type {name}' for name in others)}"
        raise DatasetError(f"{root} has no training clips of {', '.join(without)}; {advice}")
    if not others:
        what = f" of {', '.join(without)}" if without else ""
        raise DatasetError(f"{root} has no training clips{what}; add recordings of normal operation in a train folder")


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        what = "is no folder" if root.exists() else "does not exist"
        raise DatasetError(f"the data folder {root} {what}; give a folder of recordings")


def _no_layout(root: Path) -> DatasetError:
    found = next(sound_files(root), None)
    what = "holds no wav, flac or ogg files" if found is None else f"has no known layout ({found.path}, for instance)"
    layouts = "; ".join(f"{name}: {dataset.LAYOUT}" for name, dataset in DATASETS.items())
    return DatasetError(f"{root} {what}; known layouts are {layouts}")


def _without(problems: Iterable[Problem], root: Path, machine_types: set[str]) -> list[Problem]:
    """The problems of files that lie in no folder of these machine types."""
    return [
        problem
        for problem in problems
        if not (problem.path.is_relative_to(root) and machine_types & set(problem.path.relative_to(root).parts))
    ]


def _summary(root: Path, problems: Sequence[Problem]) -> str:
    if len(problems) == 1:
        return str(problems[0])
    by_message: dict[str, list[str]] = {}
    for problem in problems:
        by_message.setdefault(problem.message, []).append(str(problem.path))
    parts = []
    for message, paths in list(by_message.items())[:_SHOWN]:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        parts.append(f"{', '.join(paths[:_SHOWN])}{more}: {message}")
    more = f"; and {len(by_message) - _SHOWN} other kinds of problem" if len(by_message) > _SHOWN else ""
    return f"{root} has {len(problems)} problems. {'; '.join(parts)}{more}. `auscult inspect {root}` lists all"
