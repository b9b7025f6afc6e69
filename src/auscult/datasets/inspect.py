"""What a data folder holds and every problem in it: the answer to "can I train on this?"."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.clips import SPLITS, Clip, Label, Split, Subset
from auscult.datasets import Dataset, Problem, read_dataset
from auscult.datasets.years import YEARS
from auscult.errors import AudioError
from auscult.sound.audio import AudioInfo, blocks_of, probe
from auscult.sound.coherence import coherence_of

if TYPE_CHECKING:
    from rich.console import RenderableType

_VALUES = 12  # of an attribute that are shown
_THREADS = 4  # reading waits for disks; decoding releases the interpreter's lock


@dataclass(frozen=True, slots=True)
class ClipGroup:
    """Clips of one machine, split, domain and label.

    Attributes:
        machine_type: kind of machine.
        machine_id: the individual machine.
        subset: part of the challenge.
        split: training or test.
        domain: none where none are told apart, or unknown.
        label: none where unknown.
        n_clips: how many, unreadable ones included.
        total_duration: of the readable ones, in seconds.
        min_duration: in seconds; 0 if none is readable.
        max_duration: in seconds; 0 if none is readable.
        sample_rates: all that occur, in Hz.
        channels: all numbers of channels that occur.
    """

    machine_type: str
    machine_id: str
    subset: Subset
    split: Split
    domain: str | None
    label: Label | None
    n_clips: int
    total_duration: float
    min_duration: float
    max_duration: float
    sample_rates: tuple[int, ...]
    channels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The contents of a data folder.

    Attributes:
        root: the folder.
        dataset: name of its layout.
        groups: clips, by machine, subset, split, domain and label.
        years: of DCASE Task 2 that it may be.
        attributes: a line for each machine type and attribute: how many clips have which value.
        supplemental: a line for each machine type that has clean sound or noise beside its clips.
        far: a line for each machine type recorded by two microphones: what the far one hears; none if only headers
            were read.
        problems: what must be mended before the folder can be used.
        notes: what is allowed but worth knowing, for instance a machine without training clips.
    """

    root: Path
    dataset: str
    groups: tuple[ClipGroup, ...]
    years: tuple[int, ...]
    attributes: tuple[str, ...]
    supplemental: tuple[str, ...]
    far: tuple[str, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One clip, opened: its header and content hash, or what is wrong with it."""

    clip: Clip
    info: AudioInfo | None = None
    content: bytes = b""
    trouble: str = ""


def inspect_dataset(
    root: Path, *, dataset: str | None = None, truth: Path | None = None, deep: bool = True, progress: bool = False
) -> Inspection:
    """Look at every file of a data folder.

    Args:
        root: the data folder.
        dataset: name of its layout; detected by default.
        truth: ground-truth list that labels the evaluation set of DCASE Task 2.
        deep: decode every file to the end, to find damage, samples that are no numbers, silence and recordings that
            occur twice. Otherwise only headers are read.
        progress: show a progress bar on standard error.

    Raises:
        DatasetError: if the folder is missing, holds no sound files or has no known layout.
    """
    found = read_dataset(root, dataset=dataset, truth=truth)
    beside = {clip.path for clip in (*found.clean, *found.noise)}
    every = [*found.clips, *found.clean, *found.noise]
    with ThreadPoolExecutor(_THREADS) as pool:
        readings = list(_track(pool.map(partial(_read, deep=deep), every), len(every), progress))
    problems = [*found.problems, *_odd_channels(readings, found.years)]
    problems += [Problem(reading.clip.path, reading.trouble) for reading in readings if reading.trouble]
    own = [reading for reading in readings if reading.clip.path not in beside]
    groups = tuple(_groups(own))
    odd = (f"{reading.clip.path}: {reading.info.note}" for reading in readings if reading.info and reading.info.note)
    notes = (*found.notes, *_notes(groups), *_repeated(readings), *odd)
    told = tuple(_attributes(found.clips)), tuple(_supplemental(found)), tuple(_far(own)) if deep else ()
    return Inspection(
        root, found.layout, groups, found.years, *told, tuple(sorted(problems, key=lambda problem: problem.path)), notes
    )


def format_inspection(inspection: Inspection) -> "RenderableType":
    """The inspection as rich text: a table of the clips, then notes, then all problems."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    n_clips = sum(group.n_clips for group in inspection.groups)
    seconds = sum(group.total_duration for group in inspection.groups)
    title = f"{inspection.root}: {n_clips} clips, {_span(seconds)}, layout {inspection.dataset}"
    if inspection.years:
        title += f", DCASE {' or '.join(map(str, inspection.years))}"
    columns = ["machine type", "id", "subset", "split", "label"]
    if domains := any(group.domain for group in inspection.groups):
        columns.insert(4, "domain")
    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(column)
    for column in ("clips", "total", "each, s", "rate, Hz", "channels"):
        table.add_column(column, justify="right")
    for before, group in zip((None, *inspection.groups), inspection.groups, strict=False):
        if before is not None and before.machine_type != group.machine_type:
            table.add_section()
        table.add_row(*_cells(group, domains=domains))
    lines = [Text(line) for line in (*inspection.attributes, *inspection.supplemental, *inspection.far)]
    lines += [Text(f"note: {note}") for note in inspection.notes]
    lines += [Text(f"problem: {problem}", style="red") for problem in inspection.problems]
    n_problems = len(inspection.problems)
    verdict = f"{n_problems} problem{'s' if n_problems > 1 else ''} found" if n_problems else "no problem found"
    return Group(table, *lines, Text(verdict, style="bold red" if n_problems else "bold green"))


def _read(clip: Clip, *, deep: bool) -> _Reading:
    info = None
    try:
        info = probe(clip.path)
        if not deep:
            return _Reading(clip, info)
        digest, lowest, highest = sha256(), math.inf, -math.inf
        for block in blocks_of(clip.path, sample_rate=info.sample_rate):
            digest.update(block.tobytes())
            lowest, highest = min(lowest, block.min()), max(highest, block.max())
    except AudioError as error:
        return _Reading(clip, info, trouble=str(error).removeprefix(str(clip.path)).lstrip(": "))
    if lowest == highest:
        return _Reading(clip, info, trouble="is silent from beginning to end; check the microphone, remove the file")
    return _Reading(clip, info, digest.digest())


def _track(readings: Iterable[_Reading], total: int, progress: bool) -> Iterable[_Reading]:
    if not progress:
        return readings
    from rich.console import Console
    from rich.progress import track

    return track(readings, "reading", total=total, console=Console(stderr=True), transient=True)


def _groups(readings: Iterable[_Reading]) -> Iterator[ClipGroup]:
    grouped: dict[tuple[str, str, Subset, Split, str | None, Label | None], list[AudioInfo | None]] = {}
    for reading in readings:
        clip = reading.clip
        key = clip.machine_type, clip.machine_id, clip.subset, clip.split, clip.domain, clip.label
        grouped.setdefault(key, []).append(reading.info)
    for key, infos in sorted(
        grouped.items(), key=lambda item: (*item[0][:3], SPLITS.index(item[0][3]), item[0][4] or "", item[0][5] or "")
    ):
        known = [info for info in infos if info is not None]
        durations = [info.duration for info in known] or [0.0]
        rates = tuple(sorted({info.sample_rate for info in known}))
        channels = tuple(sorted({info.channels for info in known}))
        yield ClipGroup(*key, len(infos), sum(durations), min(durations), max(durations), rates, channels)


def _notes(groups: Sequence[ClipGroup]) -> Iterator[str]:
    for machine_type in sorted({group.machine_type for group in groups}):
        mine = [group for group in groups if group.machine_type == machine_type]
        trained = {group.machine_id for group in mine if group.split == "train"}
        tested = sorted({group.machine_id for group in mine if group.split == "test"})
        if not trained:
            yield f"{machine_type} has no training clips: it can be scored and evaluated, not trained"
        elif untrained := [name for name in tested if name not in trained]:
            yield f"{machine_type} {', '.join(untrained)}: test clips, but no training clips"
        for machine_id in tested:
            labels = {group.label for group in mine if group.machine_id == machine_id and group.split == "test"}
            if len(labels - {None}) == 1:
                yield f"{machine_type} {machine_id}: test clips of one label only, so it has no AUC"
        rates = sorted({rate for group in mine for rate in group.sample_rates})
        if len(rates) > 1:
            yield f"{machine_type} was recorded at {', '.join(map(str, rates))} Hz; everything is resampled to one rate"


def _repeated(readings: Iterable[_Reading]) -> Iterator[str]:
    by_content: dict[bytes, list[Clip]] = {}
    for reading in readings:
        if reading.content:
            by_content.setdefault(reading.content, []).append(reading.clip)
    repeated = [clips for clips in by_content.values() if len(clips) > 1]
    if repeated:
        leaked = sum(len({clip.split for clip in clips}) > 1 for clips in repeated)
        one, other, *_ = repeated[0]
        times = "recording occurs" if len(repeated) == 1 else "recordings occur"
        yield (
            f"{len(repeated)} {times} under several names, {leaked} of them in training and in test "
            f"({one.path} and {other.path}, for instance)"
        )


def _odd_channels(readings: Iterable[_Reading], years: Sequence[int]) -> Iterator[Problem]:
    """One problem for each machine type whose recordings have another number of channels than those of the year."""
    wanted = sorted({YEARS[year].channels for year in years})
    odd: dict[str, list[_Reading]] = {}
    for reading in readings:
        if wanted and reading.info and reading.info.channels not in wanted:
            odd.setdefault(reading.clip.machine_type, []).append(reading)
    for kind, some in odd.items():
        there = " or ".join(str(n) for n in sorted({one.info.channels for one in some if one.info}))
        asked = " or ".join("two, near the machine and far from it" if n == 2 else "one" for n in wanted)
        yield Problem(
            some[0].clip.path,
            f"has {there} channel{'' if there == '1' else 's'}, like {len(some)} recordings of {kind}; DCASE "
            f"{' or '.join(map(str, years))} has {asked}. Copy them as published, or say another --layout",
        )


def _attributes(clips: Iterable[Clip]) -> Iterator[str]:
    """How often each value of each attribute occurs."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for clip in clips:
        for name, value in clip.attributes:
            counts.setdefault((clip.machine_type, name), Counter())[value] += 1
    for (kind, name), values in counts.items():
        shown = ", ".join(f"{value} {n}" for value, n in sorted(values.items())[:_VALUES])
        more = f" and {len(values) - _VALUES} other values" if len(values) > _VALUES else ""
        yield f"{kind}, attribute {name or 'without name'}: {shown}{more}"


def _supplemental(found: Dataset) -> Iterator[str]:
    counts = [Counter(clip.machine_type for clip in some) for some in (found.clean, found.noise)]
    for kind in sorted({*counts[0], *counts[1]}):
        yield f"{kind}, supplemental: {counts[0][kind]} of the machine alone, {counts[1][kind]} of noise alone"


def _far(readings: Iterable[_Reading]) -> Iterator[str]:
    """What the far microphone hears, of the training clips of each machine type with two channels throughout."""
    by_type: dict[str, list[_Reading]] = {}
    for reading in readings:
        if reading.clip.split == "train" and not reading.trouble:
            by_type.setdefault(reading.clip.machine_type, []).append(reading)
    for kind, some in sorted(by_type.items()):
        if {reading.info.channels for reading in some if reading.info} == {2}:
            yield f"{kind}: {coherence_of([reading.clip.path for reading in some], (0, 1)).sentence()}"


def _cells(group: ClipGroup, *, domains: bool) -> list[str]:
    each = f"{group.min_duration:.2f}"
    if group.max_duration > group.min_duration:
        each += f" to {group.max_duration:.2f}"
    names = [group.machine_type, group.machine_id, group.subset, group.split, group.label or "unknown"]
    if domains:
        names.insert(4, group.domain or "unknown")
    numbers = [str(group.n_clips), _span(group.total_duration), each]
    return names + numbers + [", ".join(map(str, values)) or "none" for values in (group.sample_rates, group.channels)]


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
