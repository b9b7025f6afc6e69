"""Scoring many files with a system of three families: how busy it keeps the workers, and whether its memory grows.

`score_efficiency` is the throughput of `auscult score --workers 2`, divided by two, over that of a processor
that does nothing but the stages; each stage is measured alone, in a loop, in the time of this process.
`score_memory_growth_mb` is the peak of the memory of this process and its workers together while 2,000 files are
scored, less that of 200; it is looked at five times a second. The workers' start counts in both.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from auscult.detector import Detector
    from auscult.features.front_end import FrontEnd
    from auscult.models import Model

RATE, SECONDS = 16000, 10
N_FILES, FEW = 2000, 200
WORKERS = 2
LOOK_SECONDS = 0.2


def figures() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        paths = recordings(Path(folder), N_FILES)
        detector = three_families()
        stages = stage_seconds(detector, paths[:30])
        _, few = watched(detector, paths[:FEW])
        taken, many = watched(detector, paths)
    print("core time per clip:", ", ".join(f"{name} {1000 * value:.2f} ms" for name, value in stages.items()))
    print(f"{N_FILES} clips in {taken:.1f} s; peak memory {few:.0f} MB for {FEW} clips, {many:.0f} MB for {N_FILES}")
    return {
        "score_efficiency": len(paths) / taken / WORKERS * sum(stages.values()),
        "score_memory_growth_mb": many - few,
    }


def recordings(folder: Path, count: int) -> list[Path]:
    """Files of 10 s of noise, all different."""
    import soundfile

    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(2 * SECONDS * RATE)).astype(np.float32)
    paths = [folder / f"{index}.wav" for index in range(count)]
    for index, path in enumerate(paths):
        first = index * 79 % (SECONDS * RATE)
        soundfile.write(path, noise[first : first + SECONDS * RATE], RATE)
    return paths


def three_families() -> "Detector":
    """HVAE and IDCAE on one front end, FREAK on another, all of the report's sizes; fitted to a little noise."""
    from auscult.features import LogMel
    from auscult.features.front_end import FrontEnd
    from auscult.models import HVAE, IDCAE, Freak, Model
    from auscult.training import Training

    clips = np.random.default_rng(0).normal(-40, 5, size=(8, 60, 128)).astype(np.float32)
    short, long = FrontEnd(LogMel(RATE)), FrontEnd(LogMel(RATE, n_fft=2048))
    members: dict[str, tuple[Model, FrontEnd]] = {
        "hvae": (HVAE(big_precision=True), short),
        "idcae": (IDCAE(), short),
        "freak": (Freak(covariance="identity", crop=40), long),
    }
    for model, _ in members.values():
        model.fit(clips, ["id_00", "id_02"] * 4, training=Training(epochs=1))
    return detector_of(members)


def detector_of(members: "Mapping[str, tuple[Model, FrontEnd]]") -> "Detector":
    """Fitted models of equal weight as a detector of one machine."""
    from auscult.detector import Detector, Machine, Part

    parts = [Part(name, name, front_end, model, None, 0.0, 1.0, 1.0) for name, (model, front_end) in members.items()]
    return Detector(parts, {"id_00": Machine("id_00", "id_00")}, SECONDS, SECONDS)


def stage_seconds(detector: "Detector", paths: Sequence[Path]) -> dict[str, float]:
    """Time of a processor for each stage of a clip, measured alone: the median over clips."""
    from auscult.sound.audio import read_waveform

    waveforms = [read_waveform(path, sample_rate=RATE) for path in paths]
    found = {"reading": _median(lambda path: read_waveform(path, sample_rate=RATE), paths)}
    front_ends = {id(part.front_end): part.front_end for part in detector.parts}
    for one in front_ends.values():
        found[f"log-mel {one.features.config()['n_fft']}"] = _median(one.features, waveforms)
    for part in detector.parts:
        frames = [part.front_end.features(waveform)[None] for waveform in waveforms]
        found[part.name] = _median(partial(part.model.score_clips, machine_ids=["id_00"]), frames)
    return found


def _median(work: Callable[[Any], object], things: Sequence[Any]) -> float:
    work(things[0])
    times = []
    for thing in things:
        started = time.process_time()
        work(thing)
        times.append(time.process_time() - started)
    return float(np.median(times))


def watched(detector: "Detector", paths: Sequence[Path]) -> tuple[float, float]:
    """Seconds that scoring takes, and the peak of the memory meanwhile, in MB."""
    from auscult.detector.listing import score_all

    peak, ended = memory_mb(), threading.Event()

    def look() -> None:
        nonlocal peak
        while not ended.wait(LOOK_SECONDS):
            peak = max(peak, memory_mb())

    watcher = threading.Thread(target=look)
    watcher.start()
    started = time.perf_counter()
    found = score_all(detector, paths, machine=None, workers=WORKERS)
    scored = sum(not isinstance(score, str) for _, score in found)
    taken = time.perf_counter() - started
    ended.set()
    watcher.join()
    if scored < len(paths):
        raise RuntimeError(f"{len(paths) - scored} files were not scored: nothing was measured")
    return taken, peak


def memory_mb() -> float:
    """Resident memory of this process and its children, from Linux."""
    own, total = os.getpid(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if own in (parent, int(folder.name)):
                total += int((folder / "statm").read_text().split()[1])
        except (OSError, ValueError):  # it has just ended
            continue
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20
