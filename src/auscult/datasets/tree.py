"""The sound files below a data folder, in a fixed order, and the problems that are seen without opening them."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

from auscult.clips import SPLITS, Clip
from auscult.sound.audio import SUFFIXES
from auscult.sound.folders import OTHER_SUFFIXES

ANOMALY_FOLDERS = ("anomaly", "abnormal", "anomalous")
"""Folder names, in lower case, that say their recordings are anomalous."""

LABEL_FOLDERS = ("normal", *ANOMALY_FOLDERS)
"""Folder names, in lower case, that say a label."""

CLEAN_FOLDER = "clean"
"""At the top of a data folder: sounds to train denoisers with, no clips."""

_CLIP_FOLDERS = (*SPLITS, *LABEL_FOLDERS)
_DESKTOP_FILES = ("desktop.ini", "thumbs.db")


Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a data folder from being used: a file, and what is wrong with it and what to do."""

    path: Path
    message: str

    def __str__(self) -> str:
        """`path: message`."""
        return f"{self.path}: {self.message}"


class Dataset(NamedTuple):
    """What a data folder holds; a layout that knows clips and problems alone may return those two.

    Attributes:
        clips: in their fixed order.
        problems: files that cannot be clips, and what else must be mended first.
        years: of DCASE Task 2 that it may be: one, or several that share what is there; none for other data.
        clean: recordings of a machine without any noise around it; no clips to learn or test with.
        noise: recordings of the surroundings of a machine without it.
        notes: what is allowed but worth knowing.
        layout: its name.
    """

    clips: list[Clip]
    problems: list[Problem]
    years: tuple[int, ...] = ()
    clean: tuple[Clip, ...] = ()
    noise: tuple[Clip, ...] = ()
    notes: tuple[str, ...] = ()
    layout: str = ""

    @property
    def year(self) -> int | None:
        """The year, if only one is possible."""
        return self.years[0] if len(self.years) == 1 else None


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A file that may be a clip.

    Attributes:
        path: the file, as the caller's folder leads to it.
        folders: names of all folders above it, from the file system's root down. The data folder's own name counts:
            people point at `dev_data` or at one machine's folder.
        depth: how many of `folders` lie inside the data folder.
    """

    path: Path
    folders: tuple[str, ...]
    depth: int

    @property
    def inside(self) -> tuple[str, ...]:
        """Names of the folders between the data folder and the file."""
        return self.folders[len(self.folders) - self.depth :]


def parsed(root: Path, parse: Callable[[SoundFile], Parsed | Problem]) -> tuple[list[Parsed], list[Problem]]:
    """What each sound file below a folder is, in order, and a problem for every file that must not be passed over.

    Hidden files are no clips, nor are files of other kinds (read-me files, tables, archives) outside folders of clips.
    """
    found: list[Parsed] = []
    problems: list[Problem] = []
    for file in walk(root):
        one = (_trouble(file) or parse(file)) if isinstance(file, SoundFile) else file
        if isinstance(one, Problem):
            problems.append(one)
        else:
            found.append(one)
    return found, problems


def walk(root: Path) -> Iterator[SoundFile | Problem]:
    """What lies below a folder, without opening files: stop whenever enough was seen."""
    base = root.resolve().parts
    yield from _walk(root, base, 0, frozenset({os.path.realpath(root)}))


def sound_files(root: Path) -> Iterator[SoundFile]:
    """The sound files alone, for detecting a layout."""
    return (found for found in walk(root) if isinstance(found, SoundFile))


def refuse_duplicates(clips: Iterable[Clip], problems: list[Problem]) -> list[Clip]:
    """Clips in their fixed order, each name once; the others join `problems`.

    A name counts without its suffix: the same recording as wav and as flac would be counted twice.
    """
    kept: dict[tuple[str, str, str, str], Clip] = {}
    for clip in sorted(clips, key=lambda clip: (*_key(clip), str(clip.path))):
        first = kept.setdefault(_key(clip), clip)
        if first is not clip:
            problems.append(Problem(clip.path, f"is the same clip as {first.path}; keep one of the two"))
    return list(kept.values())


def _key(clip: Clip) -> tuple[str, str, str, str]:
    order = str(SPLITS.index(clip.split))
    return clip.machine_type, clip.machine_id, order, str(PurePosixPath(clip.file).with_suffix(""))


def _walk(folder: Path, names: tuple[str, ...], depth: int, above: frozenset[str]) -> Iterator[SoundFile | Problem]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Problem(folder, f"the folder cannot be read ({error.strerror}); check its permissions")
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(".") or entry.name.lower() in _DESKTOP_FILES:
            continue
        if not entry.is_dir():
            yield from _file(path, names, depth)
        elif path.suffix.lower() in SUFFIXES:
            yield Problem(path, "is a folder named like a sound file; rename or remove it")
        elif depth == 0 and _is_clean(path):
            continue
        elif (real := os.path.realpath(path)) in above:
            yield Problem(path, "is a link to a folder above itself; remove it")
        else:
            yield from _walk(path, (*names, entry.name), depth + 1, above | {real})


def _file(path: Path, folders: tuple[str, ...], depth: int) -> Iterator[SoundFile | Problem]:
    suffix = path.suffix.lower()
    readable = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]} files are read"
    if suffix in SUFFIXES:
        yield SoundFile(path, folders, depth)
    elif suffix in OTHER_SUFFIXES:
        yield Problem(path, f"{readable}; convert or remove it")
    elif any(name.lower() in _CLIP_FOLDERS for name in folders[len(folders) - depth :]):
        yield Problem(path, f"lies in a folder of clips, where {readable}; rename or remove it")


def _is_clean(folder: Path) -> bool:
    return folder.name == CLEAN_FOLDER and not any((folder / split).is_dir() for split in SPLITS)


def _trouble(file: SoundFile) -> Problem | None:
    try:
        size = file.path.stat().st_size
    except OSError as error:
        what = "is a broken link" if file.path.is_symlink() else f"cannot be read ({error.strerror})"
        return Problem(file.path, f"{what}; restore or remove it")
    if not file.path.is_file():
        return Problem(file.path, "is no regular file; remove it")
    if not os.access(file.path, os.R_OK):
        return Problem(file.path, "cannot be read; check its permissions")
    if size == 0:
        return Problem(file.path, "is empty; record or copy it again, or remove it")
    return None
