"""The recordings of normal sound: which machine made them, how long they are, and the stretches that they make."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from auscult.datasets.tree import ANOMALY_FOLDERS
from auscult.errors import DatasetError
from auscult.sound.audio import SUFFIXES, AudioInfo, Channel, blocks_of, probe
from auscult.sound.folders import not_read, sounds_below
from auscult.sound.windows import Waveform

MOST_JOINED_SECONDS = 3600.0
"""Of short recordings that are laid end to end."""

GENERIC = frozenset(
    "audio calibration clips data day days good healthy normal normals ok recording recordings sound sounds "
    "train training wav wavs".split()
)
"""Names of folders, in lower case, that say what lies there, and nothing of the machine."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of normal sound."""

    path: Path
    info: AudioInfo


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound without a gap: one recording, or short ones laid end to end."""

    recordings: tuple[Recording, ...]

    @property
    def seconds(self) -> float:
        """Length."""
        return sum(recording.info.duration for recording in self.recordings)

    def blocks(self, *, sample_rate: int, channel: Channel) -> Iterator[Waveform]:
        """The sound in parts, `[T]` or `[T, 2]`, at a rate in Hz."""
        for recording in self.recordings:
            yield from blocks_of(recording.path, sample_rate=sample_rate, channel=channel)

    def place(self, seconds: float) -> tuple[Path, float]:
        """The file that holds a moment of the stretch, and the moment in it."""
        for recording in self.recordings[:-1]:
            if seconds < recording.info.duration:
                return recording.path, seconds
            seconds -= recording.info.duration
        return self.recordings[-1].path, seconds

    def window(self, start: float, seconds: float) -> "HeardWindow":
        """Where a window lies, in files."""
        path, offset = self.place(start)
        paths = [recording.path for recording in self.recordings]
        last, _ = self.place(max(start, start + seconds - 1e-6))
        return HeardWindow(tuple(paths[paths.index(path) : paths.index(last) + 1]), offset)


@dataclass(frozen=True, slots=True)
class HeardWindow:
    """A window that models were trained on: the files that hold it, and its start in the first, in seconds."""

    files: tuple[Path, ...]
    start: float


def find_recordings(
    normals: Path,
    *,
    machine: str | None = None,
    otherwise: str | None = None,
    on_recording: Callable[[int, int], None] | None = None,
) -> dict[str, list[Recording]]:
    """Machine -> its recordings, in the natural order of their names, which is taken for the order of time.

    Args:
        normals: a file; or a folder of one machine's recordings; or one with a folder for each machine. Folders below
            these, one for each day for instance, are allowed.
        machine: all recordings are of this machine.
        otherwise: the name of a machine that is alone and has none: what was given is one recording, or the folder's
            name is among `GENERIC`.
        on_recording: called with the number of recordings looked at and of all.

    Raises:
        DatasetError: if there are none, or a name says that a recording is no normal one.
        AudioError: if one cannot be read.
    """
    if not normals.exists():
        raise DatasetError(f"{normals} does not exist; give a recording of normal sound, or a folder of such")
    files = [normals] if normals.is_file() else sorted(sounds_below(normals)[0], key=partial(_natural, normals))
    if not files:
        raise DatasetError(
            f"{normals} holds no recording; give a folder with {', '.join(SUFFIXES)} files. {' '.join(unread(normals))}"
        )
    found: dict[str, list[Recording]] = {}
    for place, path in enumerate(files):
        inside = path.relative_to(normals).parts if path != normals else (path.name,)
        if wrong := next((part for part in inside if _says_anomaly(part)), None):
            raise DatasetError(
                f"{path}: {wrong!r} is the name of anomalous sound, and learning is from normal sound alone; move it "
                "elsewhere or rename it"
            )
        name = machine or (inside[0] if len(inside) > 1 else normals.resolve().stem or "machine")
        found.setdefault(name, []).append(Recording(path, probe(path)))
        if on_recording is not None:
            on_recording(place + 1, len(files))
    flat = [path for path in files if normals in (path, path.parent)]
    if machine is None and flat and len(flat) < len(files):
        raise DatasetError(
            f"{normals} holds recordings ({flat[0].name}, ...) beside folders of recordings: give each machine a "
            "folder, or say with --machine NAME that all are of one machine"
        )
    alone = next(iter(found)) if len(found) == 1 and machine is None else ""
    if otherwise and alone and (normals.is_file() or alone.lower() in GENERIC):
        return {otherwise: found[alone]}
    return found


def unread(normals: Path) -> list[str]:
    """A sentence on the sound in a folder whose format is not read; none if there is no such."""
    found = sounds_below(normals)[1] if normals.is_dir() else []
    return [f"Of other formats, and not heard: {len(found)} files. {not_read(found[0])}."] if found else []


def stretches_of(recordings: Sequence[Recording], *, short_seconds: float) -> list[Stretch]:
    """Recordings as stretches: those shorter than `short_seconds` are laid end to end with their short neighbours."""
    groups: list[list[Recording]] = []
    for recording in recordings:
        last = groups[-1] if groups else []
        if (
            last
            and max(recording.info.duration, last[-1].info.duration) < short_seconds
            and sum(one.info.duration for one in last) < MOST_JOINED_SECONDS
        ):
            last.append(recording)
        else:
            groups.append([recording])
    return [Stretch(tuple(group)) for group in groups]


def _natural(folder: Path, path: Path) -> list[list[tuple[int, int, str]]]:
    """A key by which 9 comes before 10."""
    split = (re.split(r"(\d+)", name) for name in path.relative_to(folder).parts)
    return [[(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part] for parts in split]


def _says_anomaly(name: str) -> bool:
    return not {*ANOMALY_FOLDERS}.isdisjoint(re.split(r"[^a-z]+", name.lower()))
