"""A machine of the synthetic factory, heard for days: sound made as it is heard, calibrated, monitored, then broken."""

import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from auscult.datasets.factory.catalogue import DEVELOPMENT_IDS
from auscult.datasets.factory.day import MINUTE, minute_of
from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.machine_types import TYPES
from auscult.datasets.factory.sounds import SAMPLE_RATE
from auscult.detector import Detector
from auscult.detector.alarms import AlarmSettings, WindowScores
from auscult.detector.calibration.fit import calibrate
from auscult.detector.calibration.result import Calibration
from auscult.detector.learn import learn
from auscult.detector.learn.settings import LearnSettings
from auscult.live.events import Event
from auscult.live.history import History
from auscult.live.monitor import Monitor
from auscult.live.sound import End, Item, Samples, Start
from auscult.live.watch import DetectorScorer, watch_machine
from auscult.recipe import load_recipe
from benchmarks.predictions import alarm_count, prediction_interval

BLOCK = SAMPLE_RATE
LEVEL = 0.99
UNREACHED = 1e9
"""A threshold while the scores that set one are collected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long each machine is heard, and how.

    Attributes:
        learning_hours: that the detector is learned from, in a file.
        calibration_hours: of other sound.
        hours: of new normal sound.
        rate: false alarms an hour.
        step_seconds: from one window to the next.
        snr_db: of the machine over the hall.
        repeats: of each fault.
        seed: of the factory.
        recipe: of the detector.
        machines: how many there are, for the joint level.
    """

    learning_hours: float
    calibration_hours: float
    hours: float
    rate: float
    step_seconds: float
    snr_db: float
    repeats: int
    seed: int
    recipe: str
    machines: int


class Minutes:
    """A source for the monitor: minutes of one machine, one behind the other without a gap, made when they are due."""

    name, live, stall_seconds = "the factory", False, float("inf")

    def __init__(self, sounds: Iterable[NDArray[np.float32]]) -> None:
        self.sounds, self.stop = sounds, threading.Event()

    def __iter__(self) -> Iterator[Item]:
        """One recording, in blocks of a second."""
        yield Start(SAMPLE_RATE)
        for sound in self.sounds:
            for start in range(0, len(sound), BLOCK):
                yield Samples(sound[start : start + BLOCK])
        yield End()


class Seen:
    """A screen that keeps scores, alarms and this process's memory, hour by hour."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.times: list[float] = []
        self.scores: list[float] = []
        self.alarms: list[float] = []
        self.megabytes: list[float] = []

    def window(self, window: dict[str, Any], *, heard: float, state: str) -> None:
        """Keep the score, NaN if there is none."""
        self.times.append(heard)
        self.scores.append(float("nan") if window["score"] is None else window["score"])
        if heard >= 3600 * (len(self.megabytes) + 1):
            self.megabytes.append(resident_mb())
            sys.stderr.write(f"{self.name}: {heard / 3600:.0f} h, {len(self.alarms)} alarms, {resident_mb():.0f} MB\n")

    def event(self, event: Event) -> None:
        """Keep the time of an alarm."""
        if event.kind == "alarm" and event.phase == "raised":
            self.alarms.append(event.heard_seconds)

    def waiting(self, state: str) -> None:
        """The factory never pauses."""


class Factory:
    """One machine, and its sound of any length: decided by the seed, the part and the minute's number alone."""

    def __init__(self, machine_type: str, plan: Plan) -> None:
        self.machine_type, self.machine_id, self.plan = machine_type, DEVELOPMENT_IDS[machine_type][0], plan
        self.hall = Hall(seed=plan.seed, snr_db=plan.snr_db)
        self.seconds, self.cpu = 0.0, 0.0

    def minute(self, part: str, number: int, *, fault: str | None = None) -> NDArray[np.float32]:
        """A minute `[T]`, healthy or with a fault of full strength."""
        begun = time.process_time()
        sound = minute_of(self.hall, self.machine_type, part, number, fault=fault)
        self.seconds += MINUTE
        self.cpu += time.process_time() - begun
        return sound

    def hours(self, part: str, hours: float) -> Iterator[NDArray[np.float32]]:
        """Healthy minutes."""
        return (self.minute(part, number) for number in range(round(60 * hours)))

    def recorded(self, part: str, hours: float, folder: Path) -> Path:
        """A file of healthy minutes."""
        path = folder / f"{self.machine_type}.wav"
        with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
            for sound in self.hours(part, hours):
                file.write(sound)
        return path

    def broken(self, fault: str, number: int) -> Iterator[NDArray[np.float32]]:
        """A healthy minute, then one with the fault."""
        return (self.minute(f"fault/{fault}", 2 * number + k, fault=fault if k else None) for k in range(2))


def resident_mb() -> float:
    """Resident memory of this process, from Linux."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def watch_over(machine_type: str, plan: Plan) -> dict[str, Any]:
    """Learn, calibrate, monitor new normal sound, then faults: all of one machine."""
    import torch

    torch.set_num_threads(1)
    wall, cpu = time.monotonic(), time.process_time()
    factory = Factory(machine_type, plan)
    detector = _learned(factory, plan)
    sounds = factory.hours("calibration", plan.calibration_hours)
    old, _ = _heard(detector, sounds, f"{machine_type}, calibration", threshold=UNREACHED)
    series = [_series(old, detector)]
    once, thrice = (calibrate(series, rate, settings=detector.alarm) for rate in (plan.rate, 3 * plan.rate))
    detector = _with(detector, once)
    new, heard_cpu = _heard(detector, factory.hours("new", plan.hours), f"{machine_type}, new")
    joint = 1 - (1 - LEVEL) / plan.machines
    offline, triple = (alarm_count(_series(new, detector), found) for found in (once, thrice))
    return {
        "machine": machine_type,
        "machine_id": factory.machine_id,
        "threshold": once.threshold,
        "supported": once.supported,
        "dispersion": once.dispersion,
        "alarms": len(new.alarms),
        "alarms_offline": offline,
        "interval": prediction_interval(once, plan.hours, level=LEVEL),
        "joint_interval": prediction_interval(once, plan.hours, level=joint),
        "triple_alarms": triple,
        "megabytes": new.megabytes,
        "faults": [row for fault in TYPES[machine_type].faults for row in _broken(factory, detector, fault, plan)],
        "synthesis_times_real_time": factory.seconds / factory.cpu,
        "new_sound_times_real_time": 3600 * plan.hours / heard_cpu,
        "core_minutes": (time.process_time() - cpu) / 60,
        "wall_minutes": (time.monotonic() - wall) / 60,
    }


def _learned(factory: Factory, plan: Plan) -> Detector:
    """What `auscult learn` makes of one long recording; its own threshold is not used."""
    settings = LearnSettings(
        rate=plan.rate, step_seconds=plan.step_seconds, alarm=AlarmSettings(), adapt_window=False, adapt_cool_down=False
    )
    with tempfile.TemporaryDirectory() as folder:
        sound = factory.recorded("learning", plan.learning_hours, Path(folder))
        return learn(sound, recipe=load_recipe(plan.recipe), settings=settings).detector


def _with(detector: Detector, calibration: Calibration) -> Detector:
    """The detector with another calibration of its one machine, from a file as it would be carried."""
    machines = {name: replace(machine, calibration=calibration) for name, machine in detector.machines.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "machine.auscult")
        replace(detector, machines=machines).save(path)
        return Detector.load(path)


def _heard(
    detector: Detector, sounds: Iterable[NDArray[np.float32]], name: str, *, threshold: float | None = None
) -> tuple[Seen, float]:
    """What the live monitor says of sound, and its seconds of computing, synthesis included."""
    watch, _ = watch_machine(detector, None, name="", threshold=threshold)
    seen, history, begun = Seen(name), History(None), time.process_time()
    try:
        Monitor(DetectorScorer(detector, None), watch, history=history, screen=seen).run(Minutes(sounds))
    finally:
        history.close()
    return seen, time.process_time() - begun


def _series(seen: Seen, detector: Detector) -> WindowScores:
    scores = np.array(seen.scores)
    valid = np.isfinite(scores)
    return WindowScores(
        np.array(seen.times), np.where(valid, scores, 0.0), detector.window_seconds, detector.step_seconds, valid
    )


def _broken(factory: Factory, detector: Detector, fault: str, plan: Plan) -> Iterator[dict[str, Any]]:
    """A healthy minute, then a minute with the fault: when the alarm comes, in seconds after its onset."""
    for number in range(plan.repeats):
        seen, _ = _heard(detector, factory.broken(fault, number), fault)
        after = [alarm - MINUTE for alarm in seen.alarms if alarm > MINUTE]
        yield {
            "fault": fault,
            "delay_seconds": after[0] if after else None,
            "alarm_before": any(alarm <= MINUTE for alarm in seen.alarms),
        }


def facts(plan: Plan) -> dict[str, Any]:
    """The plan as JSON."""
    return {**asdict(plan), "minute_seconds": MINUTE, "level": LEVEL}
