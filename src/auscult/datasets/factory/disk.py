"""The synthetic factory on disk: machines, faults and noise in the layout of DCASE 2020 Task 2."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np

from auscult.clips import MACHINE_TYPES
from auscult.datasets.factory.catalogue import EXTENTS, Extent, Item, Size, clean_files, plan
from auscult.datasets.factory.clean_sounds import clean_sound
from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.sounds import SAMPLE_RATE, Signal
from auscult.errors import DatasetError
from auscult.files import whole_folder

VERSION = 1
"""Of the sounds; other versions make other files from the same seed."""

MARKER = "factory.json"
TRUTH = "eval_data_list.csv"
FAULTS = "faults.csv"
DESKTOP_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")


def write_factory(
    out: Path,
    *,
    size: Size = "demo",
    seed: int = 0,
    snr_db: float = 6.0,
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
        seed: 0 or more; another seed is another factory.
        snr_db: mean power of a healthy machine over that of the background, in dB.
        force: replace the factory that is there. Only what a factory wrote is replaced.
        machine_types: those to write; all six by default.
        progress: called with the number of sounds written so far and the number of all.

    Returns:
        `out`.

    Raises:
        DatasetError: if `out` is not free, an argument is not as above, or writing fails.
    """
    extent, types = _checked(size, seed, snr_db, machine_types)
    try:
        _check_free(out, force=force)
        with whole_folder(out) as fresh:
            _write_sounds(fresh, extent, types, Hall(seed=seed, snr_db=snr_db), progress)
            marker = {"version": VERSION, "size": size, "seed": seed, "snr_db": snr_db, "machine_types": types}
            text = json.dumps({**marker, "extent": asdict(extent)}, indent=2)
            (fresh / MARKER).write_text(text + "\n", encoding="utf-8")
            _check_free(out, force=force)
    except OSError as error:
        raise DatasetError(f"cannot write the factory {out}: {error}; what was there is as it was") from error
    return out


def _checked(
    size: Size, seed: int, snr_db: float, machine_types: Sequence[str] | None
) -> tuple[Extent, tuple[str, ...]]:
    """The extent of a size and the machine types in the usual order, or an error."""
    if size not in EXTENTS:
        raise DatasetError(f"the factory has no size {size!r}; choose {', '.join(get_args(Size))}")
    if seed < 0:
        raise DatasetError(f"the factory's seed is {seed}; give 0 or more")
    if not -60 <= snr_db <= 60:
        raise DatasetError(f"the factory's signal-to-noise ratio is {snr_db} dB; give -60 to 60")
    wanted = MACHINE_TYPES if machine_types is None else tuple(machine_types)
    unknown = [name for name in wanted if name not in MACHINE_TYPES]
    if unknown or not wanted:
        given = f"no machine of type {', '.join(unknown)}" if unknown else "nothing to write without a machine type"
        raise DatasetError(f"the factory has {given}; choose from {', '.join(MACHINE_TYPES)}")
    return EXTENTS[size], tuple(name for name in MACHINE_TYPES if name in wanted)


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
        written = set(_files(Extent(**marker["extent"]), marker["machine_types"], seed=marker["seed"]))
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


def _files(extent: Extent, types: Sequence[str], *, seed: int) -> Iterator[str]:
    """The relative paths of all files of a factory."""
    yield from (MARKER, TRUTH, FAULTS)
    yield from (item.file for item in plan(extent, types, seed=seed))
    yield from (file for _, _, file in clean_files(extent))


def _write_sounds(
    folder: Path, extent: Extent, types: Sequence[str], hall: Hall, progress: Callable[[int, int], None] | None
) -> None:
    """Write every sound, the ground truth and the list of faults into a new folder."""
    items, clean = list(plan(extent, types, seed=hall.seed)), list(clean_files(extent))
    n_samples = round(extent.seconds * SAMPLE_RATE)

    def sounds() -> Iterator[tuple[str, Signal]]:
        for item in items:
            who = item.machine_type, item.machine_id, item.split, item.label, item.index
            yield item.file, hall.record(*who, n_samples=n_samples).mix
        for name, index, file in clean:
            rng = np.random.default_rng([hall.seed, *f"clean/{name}/{index}".encode()])
            yield file, clean_sound(name, rng, n_samples)

    for done, (file, sound) in enumerate(sounds(), start=1):
        _write_wav(folder / file, sound)
        if progress:
            progress(done, len(items) + len(clean))
    _write_truth(folder / TRUTH, items, types)
    _write_faults(folder / FAULTS, items, hall)


def _write_wav(path: Path, sound: Signal) -> None:
    """Write a sound `[T]` as 16 bit PCM; through memory, so that a full disk is an `OSError`."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.rint(sound * 32767).astype(np.int16), SAMPLE_RATE, subtype="PCM_16", format="WAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


def _write_truth(path: Path, items: Sequence[Item], types: Sequence[str]) -> None:
    """Write the labels of the evaluation set in the form of the challenge's list, line ends included."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for machine_type in types:
            writer.writerow([machine_type])
            for item in items:
                if item.machine_type == machine_type and item.is_hidden:
                    writer.writerow([Path(item.file).name, item.original, int(item.label == "anomaly")])


def _write_faults(path: Path, items: Sequence[Item], hall: Hall) -> None:
    """Write the fault and the strength, above 0 to 1, of each anomalous clip of both test sets."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "machine_type", "machine_id", "fault", "strength"])
        for item in items:
            if item.label == "anomaly":
                fault, strength = hall.anomaly(item.machine_type, item.machine_id, item.index)
                writer.writerow([item.file, item.machine_type, item.machine_id, fault, f"{strength:.3f}"])
