"""The synthetic factory on disk: machines, faults and noise in the layout of a year of DCASE Task 2."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np

from auscult.datasets.factory.catalogue import (
    EXTENTS,
    Extent,
    Item,
    Size,
    clean_files,
    extent_of,
    plan,
    supplements,
    tables,
)
from auscult.datasets.factory.clean_sounds import clean_sound
from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.sounds import SAMPLE_RATE, Signal
from auscult.datasets.years import YEARS, Year
from auscult.errors import DatasetError
from auscult.files import whole_folder

VERSION = 1
"""Of the sounds; other versions make other files from the same seed."""

LEAKAGE = 0.1
"""Amplitude of a machine at the far microphone over that at the near one, if nothing else is said."""

MARKER = "factory.json"
FAULTS = "faults.csv"
DESKTOP_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")


def write_factory(
    out: Path,
    *,
    size: Size = "demo",
    layout: int = 2020,
    seed: int = 0,
    snr_db: float = 6.0,
    leakage: float | None = None,
    force: bool = False,
    machine_types: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a data set of synthetic machines, for tests, demonstrations and first experiments.

    The same arguments give the same bytes, with the same versions of numpy and scipy. A clip depends on the seed, its
    machine, split, label and index and on the length of clips, and not on how many there are. The folder appears whole
    or not at all.

    Args:
        out: the folder to make.
        size: `tiny` (tests), `demo` (minutes of training) or `full` (the challenge's clip length and machines).
        layout: the year of the challenge whose machines, names, domains and channels it has.
        seed: 0 or more; another seed is another factory.
        snr_db: mean power of a healthy machine over that of the background, in dB; at the near microphone.
        leakage: amplitude of a machine at the far microphone over that at the near one, 0 to 1, in a year with two
            channels; `LEAKAGE` by default.
        force: replace the factory that is there. Only what a factory wrote is replaced.
        machine_types: those to write; all of the year by default.
        progress: called with the number of sounds written so far and the number of all.

    Returns:
        `out`.

    Raises:
        DatasetError: if `out` is not free, an argument is not as above, or writing fails.
    """
    facts, types = _checked(size, layout, seed, snr_db, machine_types)
    extent, far = extent_of(size, facts), _checked_leakage(facts, leakage)
    try:
        _check_free(out, force=force)
        with whole_folder(out) as fresh:
            _write_sounds(fresh, extent, facts, types, Hall(seed=seed, snr_db=snr_db, leakage=far), progress=progress)
            marker = {"version": VERSION, "size": size, "seed": seed, "snr_db": snr_db, "machine_types": types}
            since = {} if layout == 2020 else {"layout": layout, "leakage": far}
            text = json.dumps({**marker, **since, "extent": asdict(extent)}, indent=2)
            (fresh / MARKER).write_text(text + "\n", encoding="utf-8")
            _check_free(out, force=force)
    except OSError as error:
        raise DatasetError(f"cannot write the factory {out}: {error}; what was there is as it was") from error
    return out


def _checked(
    size: Size, layout: int, seed: int, snr_db: float, machine_types: Sequence[str] | None
) -> tuple[Year, tuple[str, ...]]:
    """The facts of the year and the machine types in its order, or an error."""
    if size not in EXTENTS:
        raise DatasetError(f"the factory has no size {size!r}; choose {', '.join(get_args(Size))}")
    if layout not in YEARS:
        raise DatasetError(f"the factory has no layout of {layout!r}; choose {', '.join(map(str, YEARS))}")
    if seed < 0:
        raise DatasetError(f"the factory's seed is {seed}; give 0 or more")
    if not -60 <= snr_db <= 60:
        raise DatasetError(f"the factory's signal-to-noise ratio is {snr_db} dB; give -60 to 60")
    there = YEARS[layout].machine_types
    wanted = there if machine_types is None else tuple(machine_types)
    unknown = [name for name in wanted if name not in there]
    if unknown or not wanted:
        given = f"no machine of type {', '.join(unknown)}" if unknown else "nothing to write without a machine type"
        raise DatasetError(f"the factory has {given} in {layout}; choose from {', '.join(there)}")
    return YEARS[layout], tuple(name for name in there if name in wanted)


def _checked_leakage(facts: Year, leakage: float | None) -> float | None:
    """The leakage of a year with a far microphone; none without one."""
    if facts.channels == 1 and leakage is not None:
        years = ", ".join(str(year) for year, one in YEARS.items() if one.channels > 1)
        raise DatasetError(f"the factory of {facts.year} has no far microphone; remove the leakage, or choose {years}")
    if leakage is not None and not 0 <= leakage <= 1:
        raise DatasetError(
            f"the factory's leakage is {leakage}; give 0, noise alone, to 1, as loud as near the machine"
        )
    return None if facts.channels == 1 else LEAKAGE if leakage is None else leakage


def _check_free(out: Path, *, force: bool) -> None:
    """Pass if `out` can be made, or replaced without loss of what a factory did not write."""
    if not out.exists():
        return
    if not out.is_dir():
        raise DatasetError(f"{out} is a file; name a folder for the factory")
    if not any(out.iterdir()):
        return
    if not force:
        raise DatasetError(f"{out} is not empty; name another folder, or replace a factory that is there with --force")
    try:
        marker = json.loads((out / MARKER).read_text(encoding="utf-8"))
        extent = Extent(**marker["extent"])
        facts = YEARS[marker.get("layout", 2020)]
        written = set(_files(extent, facts, marker["machine_types"], seed=marker["seed"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(f"{out} was not written by a factory and is not replaced; name another folder") from None
    paths = (path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    found = (path for path in paths if path.name not in DESKTOP_FILES)
    foreign = sorted(name for path in found if (name := path.relative_to(out).as_posix()) not in written)
    if foreign:
        raise DatasetError(
            f"{out} holds {len(foreign)} files that no factory wrote, such as {foreign[0]}, and is not replaced; "
            "move them away, or name another folder"
        )


def _truth_of(facts: Year) -> str:
    """Name of the ground-truth list, as the challenge has it."""
    return "eval_data_list.csv" if facts.year == 2020 else f"eval_data_list_{facts.year}.csv"


def _files(extent: Extent, facts: Year, types: Sequence[str], *, seed: int) -> Iterator[str]:
    """The relative paths of all files of a factory."""
    items = list(plan(extent, types, seed=seed, facts=facts))
    yield from (MARKER, _truth_of(facts), FAULTS)
    yield from (item.file for item in items)
    yield from (file for file, _ in tables(items, facts))
    yield from (file for file, *_ in supplements(extent, types, facts))
    yield from (file for _, _, file in clean_files(extent))


def _write_sounds(
    folder: Path,
    extent: Extent,
    facts: Year,
    types: Sequence[str],
    hall: Hall,
    *,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write every sound, the tables of attributes, the ground truth and the list of faults into a new folder."""
    items, clean = list(plan(extent, types, seed=hall.seed, facts=facts)), list(clean_files(extent))
    beside = list(supplements(extent, types, facts))
    n_samples = round(extent.seconds * SAMPLE_RATE)

    def sounds() -> Iterator[tuple[str, Signal]]:
        for item in items:
            who = item.machine_type, item.machine_id, item.split, item.label, item.index
            yield item.file, hall.record(*who, n_samples=n_samples, domain=item.domain).mix
        for file, machine_type, machine_id, what, index in beside:
            recording = hall.supplement(machine_type, machine_id, index, n_samples=n_samples)
            yield file, np.clip(recording.machine if what == "clean" else recording.background, -1.0, 1.0)
        for name, index, file in clean:
            rng = np.random.default_rng([hall.seed, *f"clean/{name}/{index}".encode()])
            yield file, clean_sound(name, rng, n_samples)

    for done, (file, sound) in enumerate(sounds(), start=1):
        _write_wav(folder / file, sound)
        if progress:
            progress(done, len(items) + len(beside) + len(clean))
    for file, lines in tables(items, facts):
        with (folder / file).open("w", newline="", encoding="utf-8") as table:
            csv.writer(table, lineterminator="\n").writerows(lines)
    _write_truth(folder / _truth_of(facts), items, facts)
    _write_faults(folder / FAULTS, items, hall)


def _write_wav(path: Path, sound: Signal) -> None:
    """Write a sound `[T]` or `[T, 2]` as 16 bit PCM; through memory, so that a full disk is an `OSError`."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.rint(sound * 32767).astype(np.int16), SAMPLE_RATE, subtype="PCM_16", format="WAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


def _write_truth(path: Path, items: Sequence[Item], facts: Year) -> None:
    """Write the labels of the evaluation set, if there is one, in the form of the year's list, line ends included."""
    hidden: dict[str, list[Item]] = {}
    for item in items:
        if item.is_hidden:
            hidden.setdefault(item.machine_type, []).append(item)
    if not hidden:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for machine_type, some in hidden.items():
            writer.writerow([machine_type])
            for item in some:
                label = [int(item.label == "anomaly")] if facts.year == 2020 else []
                writer.writerow([Path(item.file).name, item.original, *label])


def _write_faults(path: Path, items: Sequence[Item], hall: Hall) -> None:
    """Write the fault and the strength, above 0 to 1, of each anomalous clip of both test sets."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "machine_type", "machine_id", "fault", "strength"])
        for item in items:
            if item.label == "anomaly":
                fault, strength = hall.anomaly(item.machine_type, item.machine_id, item.index)
                writer.writerow([item.file, item.machine_type, item.machine_id, fault, f"{strength:.3f}"])
