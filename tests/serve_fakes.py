"""What the tests of the server share: a tiny detector of two machines, a plant without sources, a client."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from starlette.testclient import TestClient

from auscult.detector.alarms import AlarmSettings
from auscult.detector.learn import learn
from auscult.detector.learn.settings import LearnSettings
from auscult.live.events import Event
from auscult.live.history import History, Sound, WindowScore, lock
from auscult.live.serve.access import Access
from auscult.live.serve.app import application
from auscult.live.serve.desk import Desk
from auscult.live.serve.facts import facts_of_plant
from auscult.live.serve.service import Service
from auscult.live.serve.settings import MachineTable, Plant, ServerTable
from auscult.recipe import load_recipe

RATE = 16_000
BEGIN = 1_767_250_800.0
TOKEN = "a-token-for-the-tests"


def hum(seconds: float, *, hz: float = 220.0, seed: int = 0, loud: float = 1.0) -> np.ndarray:
    """A machine that is well, or hums otherwise."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (loud * (0.2 * np.sin(2 * np.pi * hz * time) + 0.02 * noise)).astype(np.float32)


def write(path: Path, waveform: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, RATE, subtype="PCM_16")
    return path


def small_detector(folder: Path) -> Path:
    """A detector of two machines, learned from two minutes each in `folder/normal`."""
    for seed, name in enumerate(("fan", "pump")):
        write(folder / "normal" / name / "000.wav", hum(120, hz=220 + 60 * seed, seed=seed))
    settings = LearnSettings(
        rate=12.0, window_seconds=2.0, step_seconds=1.0, alarm=AlarmSettings(k=1, n=2, cool_down_seconds=2.0)
    )
    path = folder / "small.auscult"
    learn(folder / "normal", recipe=load_recipe("practical"), settings=settings).detector.save(path)
    return path


def tables(detector: Path, **changes: Any) -> dict[str, MachineTable]:
    return {name: MachineTable(detector=detector, machine=name, **changes) for name in ("fan", "pump")}


@cache
def desk() -> Desk:
    """One worker for all tests of this process: it takes seconds to start."""
    return Desk(1)


@contextmanager
def served(
    detector: Path, state: Path, *, token: str | None = None, server: dict[str, Any] | None = None, **changes: Any
) -> Iterator[tuple[TestClient, Service]]:
    """A server of two machines, which answers in this process."""
    plant = Plant(state=state, machines=tables(detector, **changes), server=ServerTable(workers=1, **(server or {})))
    with lock(state):
        service = Service(plant, facts_of_plant(plant, desk()), desk())
        service.start()
        try:
            client = TestClient(application(service, Access(token)), base_url="http://127.0.0.1")
            yield client, service
        finally:
            service.close()


def alarm(state: Path, machine: str, number: int, *, time: float, score: float = 9.0, flac: bytes = b"") -> str:
    """An alarm of a minute, written as a monitor writes it; its id."""
    history, name = History(state, machine=machine, locked=False), f"{machine}-{number}"
    details = {"score": score, "threshold": 3.0, "words": "a tone at 1.0 kHz"}
    raised = Event("alarm", name, "raised", time, time - BEGIN, machine, details)
    cleared = Event("alarm", name, "cleared", time + 60, time + 60 - BEGIN, machine, details)
    sound = {name: Sound(time - 10, 10.0, RATE, flac, 20.0, 1)} if flac else {}
    windows = [WindowScore(time + second, score - (second > 0), True) for second in range(60)]
    history.record([raised, cleared], scores=windows, sounds=sound)
    assert history.problem is None
    history.close()
    return name
