"""Clean sounds and noise from disk, split into what trains, what chooses the levels and what measures them."""

import csv
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from auscult.errors import DatasetError
from auscult.sound.audio import SUFFIXES
from auscult.sound.folders import sounds_below

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test", "train", "train", "train")
"""The part that sounds go to, in turn: two thirds train."""

ESC50 = (
    "airplane",
    "chainsaw",
    "clock_alarm",
    "clock_tick",
    "engine",
    "hand_saw",
    "helicopter",
    "train",
    "vacuum_cleaner",
    "washing_machine",
)
"""Mechanical classes of ESC-50 (K. J. Piczak, ESC: Dataset for Environmental Sound Classification, 2015)."""

AUDIOSET = {
    "/m/02mk9": "Engine",
    "/t/dd00065": "Light engine (high frequency)",
    "/m/08j51y": "Dental drill, dentist's drill",
    "/m/01yg9g": "Lawn mower",
    "/m/01j4z9": "Chainsaw",
    "/t/dd00066": "Medium engine (mid frequency)",
    "/t/dd00067": "Heavy engine (low frequency)",
    "/m/01h82_": "Engine knocking",
    "/t/dd00130": "Engine starting",
    "/m/07pb8fc": "Idling",
    "/m/07q2z82": "Accelerating, revving, vroom",
    "/m/02pjr4": "Blender",
    "/m/03wvsk": "Hair dryer",
    "/m/04fgwm": "Electric toothbrush",
    "/m/0d31p": "Vacuum cleaner",
    "/m/02g901": "Electric shaver, electric razor",
    "/m/0c2wf": "Typewriter",
    "/t/dd00077": "Mechanisms",
    "/m/02bm9n": "Ratchet, pawl",
    "/m/01x3z": "Clock",
    "/m/07qjznt": "Tick",
    "/m/07qjznl": "Tick-tock",
    "/m/0l7xg": "Gears",
    "/m/05zc1": "Pulleys",
    "/m/0llzx": "Sewing machine",
    "/m/02x984l": "Mechanical fan",
    "/m/025wky1": "Air conditioning",
    "/m/024dl": "Cash register",
    "/m/01m4t": "Printer",
    "/m/07k1x": "Tools",
    "/m/03l9g": "Hammer",
    "/m/03p19w": "Jackhammer",
    "/m/01b82r": "Sawing",
    "/m/02p01q": "Filing (rasp)",
    "/m/023vsd": "Sanding",
    "/m/0_ksk": "Power tool",
    "/m/01d380": "Drill",
    "/m/07ptzwd": "Pump (liquid)",
}
"""Mechanical classes of AudioSet's ontology (Gemmeke et al., Audio Set, ICASSP 2017) by id."""

_ID_LENGTH = 11  # of a YouTube video
_SEGMENT = re.compile(r"[\w-]{11}, *[\d.]+, *[\d.]+, *\"?/\w")
_ESC50_NAME = re.compile(r"\d-(\d+)-[A-Z]-\d+")  # fold, recording, take, class

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class CleanSound:
    """A clean sound.

    Attributes:
        path: the audio file.
        label: its kind, for instance `"engine"`; the name of its folder, or empty.
        recording: what it was cut from; takes of one recording stay in one part.
    """

    path: Path
    label: str
    recording: str


def find_sounds(folder: Path, *, label: Callable[[Path], str | None] | None = None) -> list[CleanSound]:
    """The clean sounds of a folder: of ESC-50, of a piece of AudioSet, or any others.

    - `meta/esc50.csv` and `audio/`: the mechanical classes of ESC-50 (`ESC50`).
    - a segment list of AudioSet (`*.csv`, lines `YTID, start, end, "labels"`) and clips named after the id, or id and
      start: those with a mechanical class (`AUDIOSET`).
    - else all sound files; the name of a file's folder is its label.

    Args:
        folder: of the sounds.
        label: listens to a file and says its kind, or none of a file that is to be left out; believes no list.

    Raises:
        DatasetError: if the folder is missing or holds no clean sound.
    """
    if not folder.is_dir():
        raise DatasetError(f"the folder of clean sounds {folder} does not exist; give one of mechanical sounds")
    lists = sorted(folder.glob("*.csv"))
    if label is not None:
        heard = [(_plain(path, folder), label(path)) for path in sounds_below(folder)[0]]
        sounds = [replace(sound, label=kind) for sound, kind in heard if kind is not None]
        what = f"{len(heard)} sounds, none of which is heard to be mechanical"
    elif (folder / "meta" / "esc50.csv").is_file():
        sounds = _esc50(folder)
        what = "ESC-50 without its mechanical sounds"
    elif segments := [path for path in lists if _is_segment_list(path)]:
        sounds = [sound for path in segments for sound in audioset_sounds(path, folder)]
        what = "a segment list of AudioSet, but no clip of a mechanical class that it names"
    else:
        sounds = [_plain(path, folder) for path in sounds_below(folder)[0]]
        what = f"no {', '.join(SUFFIXES)} files"
    if not sounds:
        raise DatasetError(f"the folder of clean sounds {folder} holds {what}; give one of mechanical sounds")
    return sounds


def audioset_sounds(segments: Path, folder: Path) -> list[CleanSound]:
    """The mechanical sounds of an AudioSet segment list, of those whose clips are there.

    A clip is the ten seconds of its segment. Its name is the video's id, or begins with the id and the start of the
    segment in seconds or milliseconds: `ID.wav`, `ID_30.wav`, `ID_30.000_40.000.flac`, `ID_30000.wav`.

    Args:
        segments: lines of `YTID, start_seconds, end_seconds, "label,label"`; `#` begins a comment.
        folder: of the clips, also below it.

    Raises:
        DatasetError: if the list cannot be read, or a line is no segment.
    """
    files: dict[str, list[Path]] = {}
    for path in sounds_below(folder)[0]:
        files.setdefault(path.stem[:_ID_LENGTH], []).append(path)
    sounds = []
    with _reading(segments), segments.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file, skipinitialspace=True), start=1):
            if not row or row[0].startswith("#"):
                continue
            try:
                video, start, labels = row[0], float(row[1]), row[3].split(",")
            except (IndexError, ValueError):
                raise DatasetError(
                    f"{segments}, line {number}: {','.join(row)!r} is no segment; expected YTID, start, end, labels"
                ) from None
            mechanical = [AUDIOSET[label] for label in labels if label in AUDIOSET]
            if not mechanical:
                continue
            sounds += [
                CleanSound(path, mechanical[0], video)
                for path in files.get(video, [])
                if _begins_at(path, video, start)
            ]
    return sounds


def split_parts(items: Sequence[Item], group: Callable[[Item], Hashable]) -> dict[Part, list[Item]]:
    """Split items into parts, those of one group together; the order of groups decides.

    >>> split_parts([1, 2, 3, 11, 12, 21, 31], lambda item: item // 10)["train"]
    [1, 2, 3, 31]
    """
    parts: dict[Part, list[Item]] = {"train": [], "validation": [], "test": []}
    of_group: dict[Hashable, Part] = {}
    for item in items:
        part = of_group.setdefault(group(item), PARTS[len(of_group) % len(PARTS)])
        parts[part].append(item)
    return parts


def _esc50(folder: Path) -> list[CleanSound]:
    path = folder / "meta" / "esc50.csv"
    with _reading(path), path.open(newline="", encoding="utf-8") as file:
        table = [(row["category"], row["filename"] or "", row["src_file"]) for row in csv.DictReader(file)]
    rows = sorted(row for row in table if row[0] in ESC50)
    paths = [folder / "audio" / name for _, name, _ in rows]
    if missing := [path for path in paths if not path.is_file()]:
        raise DatasetError(f"{folder}: {len(missing)} files of meta/esc50.csv are missing, such as {missing[0]}")
    return [CleanSound(path, label, recording) for path, (label, _, recording) in zip(paths, rows, strict=True)]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Names a list of sounds that cannot be read."""
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DatasetError(
            f"{path} cannot be read as a list of sounds ({error}); copy it again, or give a folder without it"
        ) from error


def _plain(path: Path, folder: Path) -> CleanSound:
    label = path.parent.name if path.parent != folder else ""
    esc50 = _ESC50_NAME.fullmatch(path.stem)
    return CleanSound(path, label, f"{label}/{esc50[1] if esc50 else path.stem}")


def _is_segment_list(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [line for line, _ in zip(file, range(20), strict=False) if line.strip() and not line.startswith("#")]
    return bool(lines) and all(_SEGMENT.match(line) for line in lines)


def _begins_at(path: Path, video: str, start: float) -> bool:
    """Whether a clip's name says nothing about its start, or says this one."""
    rest = re.split(r"[_-]", path.stem[len(video) :].lstrip("_-"))[0]
    try:
        return not rest or float(rest) in (start, 1000 * start)
    except ValueError:
        return True
