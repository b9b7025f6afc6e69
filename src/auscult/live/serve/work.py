"""What scoring workers do: look at a detector, score a recording, show the evidence; within limits of time and memory.

Files come from strangers. A worker that such a file brings down is replaced, and takes nothing with it.
"""

import contextlib
import gc
import io
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.errors import AuscultError
from auscult.live.serve.grids import Grid
from auscult.live.serve.settings import MachineTable, source_options
from auscult.live.sources import open_source

CPU_SECONDS = 60
"""That one task may take; then the system ends the worker."""

MEMORY_BYTES = 3 * 2**30
"""That one task may take, beyond what the worker had before."""

WALL_SECONDS = 300
"""That one task may last, also one that only waits; then the system ends the worker."""

NICENESS = 10
"""Of workers: listeners come first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a task: JSON or bytes, or why there is none, in a sentence."""

    content: Any = None
    error: str = ""


def look_at(detector: Path) -> Answer:
    """Machine -> facts of a detector's file; see `facts_of`."""
    return _guarded(lambda: {name: facts_of(_loaded(detector), name) for name in _loaded(detector).machines})


def check(name: str, table: MachineTable) -> Answer:
    """Whether a machine can be watched as its table says, and its source, if it is a file that is there, be heard."""

    def work() -> None:
        from auscult.live.serve.watching import watch_of

        loaded = _loaded(table.detector)
        watch_of(name, table, loaded)
        options = source_options(table, loaded.listening(table.channel))
        if options.kind == "file" and Path(options.text).exists():
            open_source(options, sample_rate=loaded.sample_rate, heard=lambda _: None, stop=threading.Event())

    return _guarded(work)


def facts_of(detector: Any, machine: str) -> dict[str, Any]:
    """What the page says of a machine before any sound."""
    from auscult.detector.calibration.result import format_rate

    known = detector.machine(machine)
    calibration = known.calibration
    settings = detector.alarm if calibration is None else calibration.settings
    return {
        "machine": known.name,
        "threshold": known.threshold,
        "warning": known.warning,
        "caveat": "" if calibration is None else calibration.caveat,
        "promised": None if calibration is None else format_rate(calibration.promised),
        "promised_per_hour": None if calibration is None else calibration.promised,
        "k": settings.k,
        "n": settings.n,
        "window_seconds": detector.window_seconds,
        "step_seconds": detector.step_seconds,
        "sample_rate": detector.sample_rate,
    }


def score_upload(detector: Path, machine: str, file: Path, most_seconds: float, evidence: bool) -> Answer:
    """Score a recording that was sent in, whose place is not shown; the evidence costs as much again."""

    def work() -> dict[str, Any]:
        from auscult.sound.audio import probe, read_waveform

        info = probe(file)
        if info.duration > most_seconds:
            raise AuscultError(f"it lasts {info.duration:.0f} s, and at most {most_seconds:.0f} s are scored; cut it")
        loaded = _loaded(detector)
        found = loaded.score(file, machine_id=machine, evidence=evidence)
        if not evidence:
            return _said(found)
        waveform = read_waveform(file, sample_rate=loaded.sample_rate, channel=loaded.channel)
        return {**_said(found), **_pictures(found, waveform, loaded.sample_rate)}

    answer = _guarded(work)
    return Answer(error=answer.error.replace(str(file), "the recording")) if answer.error else answer


def show_evidence(detector: Path, machine: str, flac: bytes, normals: Path | None) -> Answer:
    """What a detector hears in the sound of an alarm, as JSON, and the nearest normal sound if it is known."""

    def work() -> dict[str, Any]:
        import soundfile

        loaded = _loaded(detector)
        waveform, rate = soundfile.read(io.BytesIO(flac), dtype="float32")
        found = loaded.score(waveform, sample_rate=rate, machine_id=machine)
        beside = None
        if normals is not None:
            from auscult.live.serve.beside import nearest_normal

            beside = nearest_normal(loaded, machine, waveform, found, normals)
        return {"said": {**_said(found), **_pictures(found, waveform, rate)}, "nearest": beside}

    return _guarded(work)


def _said(found: Any) -> dict[str, Any]:
    from auscult.detector.difference import sentence

    return {
        "machine": found.machine,
        "score": found.score,
        "threshold": found.threshold,
        "warning": found.warning,
        "p_value": found.p_value,
        "decision": found.decision,
        "reason": found.reason,
        "caveat": found.caveat,
        "windows": found.windows,
        "window_start": found.start,
        "window_seconds": found.seconds,
        "words": sentence(found.differences) if found.differences else "",
        "differences": [one.to_json() for one in found.differences],
        "members": found.members,
    }


def _pictures(found: Any, waveform: NDArray[np.float32], rate: int) -> dict[str, Any]:
    from auscult.detector.words import hearing
    from auscult.sound.audio import heard_of

    ear = hearing(rate)
    scores = found.frame_scores
    return {
        "seconds": len(waveform) / rate,
        "sample_rate": rate,
        "low_hz": 0.0,
        "high_hz": rate / 2,
        "band_hz": [round(float(one), 1) for one in ear.bin_frequencies],
        "spectrogram": Grid.of_levels(ear(heard_of(waveform))).to_json(),
        "map": None if found.error_map is None else Grid.of_errors(found.error_map).to_json(),
        "frame_scores": [] if scores is None else [round(float(one), 4) for one in scores],
        "seconds_per_frame": found.seconds_per_frame,
    }


@lru_cache(maxsize=4)
def _opened(detector: Path, _changed: int) -> Any:
    from auscult.detector import Detector

    found = Detector.load(detector)
    gc.freeze()  # to look through all of torch for garbage takes a tenth of a second, in the middle of a task
    return found


def _loaded(detector: Path) -> Any:
    """A detector; read again when its file has changed."""
    return _opened(detector, detector.stat().st_mtime_ns if detector.exists() else 0)


def _guarded(work: Any) -> Answer:
    """Do it within the limits; what is wrong with what was given is said in a sentence."""
    from auscult.processes import single_thread

    try:
        with _limited(), single_thread():
            return Answer(work())
    except AuscultError as error:
        return Answer(error=str(error))
    except Exception as error:  # noqa: BLE001 - of libraries, at odd files; it must not end the desk
        if isinstance(error, MemoryError) or "memory" in str(error) or "alloc" in str(error):  # so torch says it
            return Answer(error="it takes more memory than is allowed; send a shorter recording")
        return Answer(error=f"it cannot be read or scored ({type(error).__name__}: {error})")


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Limits of a task, on systems that have them: of memory, and of time, at which the process ends."""
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
    if os.nice(0) < NICENESS:
        os.nice(NICENESS - os.nice(0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    before = {name: resource.getrlimit(name) for name in (resource.RLIMIT_CPU, resource.RLIMIT_AS)}
    for number in (signal.SIGXCPU, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, before[resource.RLIMIT_CPU][1]))
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY_BYTES, before[resource.RLIMIT_AS][1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name, limits in before.items():
            resource.setrlimit(name, limits)


def _address_space() -> int:
    """Of this process, in bytes; without a limit where it cannot be read."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 2**60
    return pages * os.sysconf("SC_PAGE_SIZE")
