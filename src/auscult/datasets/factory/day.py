"""A day in the synthetic factory: hours of normal sound to learn from, and hours with faults to replay to a monitor."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auscult.datasets.factory.catalogue import DEVELOPMENT_IDS
from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.machine_types import TYPES
from auscult.datasets.factory.sounds import SAMPLE_RATE, Signal
from auscult.errors import DatasetError
from auscult.files import require_new_folder, whole_folder
from auscult.sound.writing import new_sound

MINUTE = 60
"""Length in seconds of what is made at once: each minute has a load, a speed and a background noise of its own."""

MINUTES_IN_FILE = 60
FAULTS = "faults.csv"
PLANT = "plant.toml"
LEAST_HOURS, MOST_HOURS = 0.1, 168.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A fault of a day: its first minute, and the one behind its last."""

    fault: str
    begin: int
    end: int


def write_day(
    out: Path,
    *,
    hours: float,
    seed: int = 0,
    snr_db: float = 6.0,
    machine_types: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write `normal/TYPE/` to learn from, `day/TYPE/` to replay, the truth about its faults, and a plant's TOML file.

    Of each machine, so many hours of normal sound and as many of a day. Two faults of the day, of full strength, begin
    at a third and at three quarters of it; each lasts a twentieth, at least a minute. The first machine stays healthy
    where there are several. Files are FLAC, of an hour or less.

    Args:
        out: the folder to make; it appears whole or not at all.
        hours: of both.
        seed: 0 or more; another seed is another factory.
        snr_db: mean power of a healthy machine over that of the background, in dB.
        machine_types: those to write; all by default.
        progress: called with the minutes of sound written so far and of all.

    Raises:
        DatasetError: if an argument is not as above, or writing fails.
        RunError: if the folder is there.
    """
    names = [*TYPES] if machine_types is None else [*machine_types]
    unknown = [name for name in names if name not in TYPES]
    if unknown or not names:
        raise DatasetError(f"the factory has no machine of type {', '.join(unknown)}; choose from {', '.join(TYPES)}")
    if not LEAST_HOURS <= hours <= MOST_HOURS:
        raise DatasetError(f"a day of {hours:g} hours cannot be written; give {LEAST_HOURS:g} to {MOST_HOURS:g}")
    if seed < 0 or not -60 <= snr_db <= 60:
        raise DatasetError(f"the seed is {seed}, the ratio {snr_db} dB; give a seed of 0 or more, and -60 to 60 dB")
    require_new_folder(out)
    hall, minutes = Hall(seed=seed, snr_db=snr_db), round(60 * hours)
    done = 0

    def advance(written: int) -> None:
        nonlocal done
        done += written
        if progress is not None:
            progress(done, 2 * minutes * len(names))

    try:
        with whole_folder(out) as fresh:
            outages = {name: _outages(name, minutes, well=len(names) > 1 and name == names[0]) for name in names}
            for name in names:
                _write(fresh / "normal" / name, hall, name, "normal", minutes=minutes, outages=(), advance=advance)
                _write(fresh / "day" / name, hall, name, "day", minutes=minutes, outages=outages[name], advance=advance)
            _write_truth(fresh / FAULTS, outages)
            (fresh / PLANT).write_text("\n".join(_plant(names)) + "\n", encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"cannot write the factory's day {out}: {error}; nothing was written") from error
    return out


def minute_of(hall: Hall, machine_type: str, part: str, number: int, *, fault: str | None = None) -> Signal:
    """A minute `[T]` of the first machine of a type, decided by the seed, the part and the number alone.

    A fault is of full strength.
    """
    seed = [hall.seed, number, *f"monitoring/{machine_type}/{part}".encode()]
    recording = hall.hear(
        np.random.default_rng(seed),
        machine_type,
        DEVELOPMENT_IDS[machine_type][0],
        n_samples=MINUTE * SAMPLE_RATE,
        fault=fault,
        strength=0.0 if fault is None else 1.0,
    )
    return np.asarray(recording.mix, dtype=np.float32)


def _outages(machine_type: str, minutes: int, *, well: bool) -> tuple[Outage, ...]:
    """The faults of a day."""
    if well:
        return ()
    faults, length = TYPES[machine_type].faults, max(1, minutes // 20)
    begins = minutes // 3, 3 * minutes // 4
    return tuple(Outage(faults[k % len(faults)], begin, begin + length) for k, begin in enumerate(begins))


def _write(
    folder: Path,
    hall: Hall,
    machine_type: str,
    part: str,
    *,
    minutes: int,
    outages: Sequence[Outage],
    advance: Callable[[int], None],
) -> None:
    folder.mkdir(parents=True)
    for first in range(0, minutes, MINUTES_IN_FILE):
        path = folder / f"{first // MINUTES_IN_FILE:03d}.flac"
        with new_sound(path, SAMPLE_RATE, format="FLAC", subtype="PCM_16") as file:
            for number in range(first, min(minutes, first + MINUTES_IN_FILE)):
                fault = next((one.fault for one in outages if one.begin <= number < one.end), None)
                sound = minute_of(hall, machine_type, part, number, fault=fault)
                file.write(np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16))
                advance(1)


def _write_truth(path: Path, outages: dict[str, tuple[Outage, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["machine", "fault", "start_seconds", "end_seconds"])
        for name, some in outages.items():
            writer.writerows([name, one.fault, MINUTE * one.begin, MINUTE * one.end] for one in some)


def _plant(names: Sequence[str]) -> Iterator[str]:
    yield "# A day of the synthetic factory, replayed 60 times as fast as life: auscult serve --config plant.toml"
    yield 'state = "history"'
    for name in names:
        yield f"\n[machines.{name}]"
        yield 'detector = "plant.auscult"  # of: auscult learn normal --out plant.auscult'
        yield f'machine = "{name}"' if len(names) > 1 else ""
        yield f'source = "day/{name}"'
        yield 'normals = "normal"'
        yield "replay = 2026-01-01T06:00:00Z"
        yield "speed = 60"
