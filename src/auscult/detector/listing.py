"""Many sounds and one detector: which files, which machine made each, and what the detector says of itself."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from auscult.detector.contents import Machine
from auscult.detector.detector import Detector
from auscult.detector.scoring import Score
from auscult.errors import AuscultError, DetectorError
from auscult.members.entries import channel_entry
from auscult.processes import require_workers, single_thread
from auscult.sound.audio import SUFFIXES
from auscult.sound.folders import not_read, sounds_below


def sounds_in(places: Sequence[Path], *, refused: Callable[[str], None]) -> Iterator[Path]:
    """The files as they are named, and the sound files in the folders, in the order of their names.

    Args:
        places: files and folders.
        refused: takes a sentence on each folder without recordings, and on each sound in it that is not read.
    """
    for place in places:
        if place.is_dir():
            found, unread = sounds_below(place)
            for path in unread:
                refused(not_read(path))
            if not found and not unread:
                refused(f"{place} holds no recording; give a folder with {', '.join(SUFFIXES)} files")
            yield from found
        else:
            yield place


def machine_of(detector: Detector, path: Path) -> str:
    """The machine that made a recording: the only one, or the one whose name stands in the path.

    Raises:
        DetectorError: if no machine or several stand there.
    """
    if len(detector.machines) == 1:
        return next(iter(detector.machines))
    folders = set(path.parts[:-1])
    padded = f"_{path.stem}_"
    found = [name for name in detector.machines if name in folders] or [
        name for name in detector.machines if f"_{name}_" in padded
    ]
    if len(found) != 1:
        raise DetectorError(
            f"{path} does not say which machine made it, of {', '.join(detector.machines)}; name it with --machine"
        )
    return found[0]


def score_all(
    detector: Detector, files: Iterable[Path], *, machine: str | None, channel: int | None = None, workers: int = 1
) -> Iterator[tuple[Path, Score | str]]:
    """The score of each file, or the reason why it has none, in order; a few files are in flight.

    Args:
        detector: that scores.
        files: recordings.
        machine: that made all of them; `machine_of` if none is given.
        channel: of multi-channel files, counted from 0; the detector's if none is given.
        workers: processes with one thread each; 1 is this one.

    Raises:
        DetectorError: if the detector does not know the machine.
        RunError: if there is no worker.
    """
    require_workers(workers)
    if machine is not None:
        detector.machine(machine)
    if workers == 1:
        return (_scored(detector, path, machine, channel) for path in files)
    from auscult.detector.processes import in_processes

    work = partial(_scored, machine=machine, channel=channel)
    return in_processes(detector, work, files, workers=workers, died=_died)


def _scored(detector: Detector, path: Path, machine: str | None, channel: int | None) -> tuple[Path, Score | str]:
    try:
        with single_thread():
            name = machine or machine_of(detector, path)
            return path, detector.score(path, machine_id=name, channel=channel, evidence=False)
    except (AuscultError, OSError) as error:
        text = str(error)
        return path, text if str(path) in text else f"{path}: {text}"
    except MemoryError:
        return path, f"{path}: there is not enough memory; start fewer workers, or cut the file"


def _died(path: Path) -> tuple[Path, Score | str]:
    return path, f"{path}: its process died twice, perhaps because memory ran out; start fewer workers, or cut the file"


def facts_of(detector: Detector) -> dict[str, Any]:
    """What a detector is, as JSON."""
    return {
        "sample_rate": detector.sample_rate,
        "reference_channel": None,
        **channel_entry(detector.channel),
        "window_seconds": detector.window_seconds,
        "step_seconds": detector.step_seconds,
        "alarm": asdict(detector.alarm),
        "machines": [_machine_facts(machine) for machine in detector.machines.values()],
        "fusion": detector.fusion,
        "members": [
            {
                "name": part.name,
                "family": part.family,
                "weight": part.weight,
                "curve": part.curve,
                "parameters": part.model.n_parameters,
                "features": part.front_end.features.config(),
                "denoised": part.front_end.denoiser is not None,
                "pooling": part.pooling,
            }
            for part in detector.parts
        ],
        "provenance": {key: value for key, value in detector.provenance.items() if key != "windows"},
        "licence": detector.licence,
    }


def _machine_facts(machine: Machine) -> dict[str, Any]:
    calibration = machine.calibration
    facts: dict[str, Any] = {
        "name": machine.name,
        "machine_id": machine.machine_id,
        "threshold": machine.threshold,
        "warning": machine.warning,
        "calibration": None,
        "watches_for_changes": machine.condition is not None,
        "learned_from": None if machine.origin is None else asdict(machine.origin),
    }
    if calibration is not None:
        from auscult.detector.calibration.result import format_rate

        low, high = calibration.rate_interval()
        facts["calibration"] = {
            "promised": format_rate(calibration.promised),
            "promised_per_hour": calibration.promised,
            "supported": calibration.supported,
            "interval_per_hour": [low, high],
            "hours": calibration.hours,
            "more_hours": calibration.more_hours,
            "caveat": calibration.caveat,
            "warnings_per_hour": calibration.warning_rate,
            "method": calibration.method,
            "description": calibration.describe(),
        }
    return facts
