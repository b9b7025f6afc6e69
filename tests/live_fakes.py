"""What the tests of live monitoring share: a scorer that any shift of a window shows, sounds, sources, screens."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from auscult.detector.alarms import AlarmSettings
from auscult.live.events import Event
from auscult.live.history import History
from auscult.live.sound import Item
from auscult.live.watch import Watch

RATE = 1000
LOUD = 0.5


class Loudness:
    """Scores a window by its loudness, with a little weight on each sample's place."""

    def __init__(self, *, sample_rate: int = RATE, window_seconds: float = 1.0, step_seconds: float = 0.25) -> None:
        self.sample_rate, self.window_seconds, self.step_seconds = sample_rate, window_seconds, step_seconds
        self.channel = 0

    def score(self, window: NDArray[np.float32]) -> float:
        assert window.shape == (round(self.window_seconds * self.sample_rate),)
        ramp = 1 + 0.1 * np.sin(np.arange(len(window)))
        return float(np.sqrt(np.mean(ramp * window.astype(np.float64) ** 2)))

    def words(self, window: NDArray[np.float32]) -> dict[str, object]:
        return {"words": f"{len(window)} samples"}


def offline(waveform: NDArray[np.float32], scorer: Loudness) -> NDArray[np.float64]:
    """Scores of all windows of a whole recording."""
    length, step = (round(s * scorer.sample_rate) for s in (scorer.window_seconds, scorer.step_seconds))
    starts = range(0, len(waveform) - length + 1, step)
    return np.array([scorer.score(waveform[start : start + length]) for start in starts])


def noise(seconds: float, *, level: float = 0.1, seed: int = 0, rate: int = RATE) -> NDArray[np.float32]:
    """Noise of a machine that is well."""
    samples = level * np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return np.clip(samples, -0.99, 0.99).astype(np.float32)


def faulty(seconds: float, *faults: tuple[float, float], seed: int = 0, rate: int = RATE) -> NDArray[np.float32]:
    """Noise that is louder from one second to another."""
    waveform = noise(seconds, seed=seed, rate=rate)
    for start, stop in faults:
        part = slice(round(start * rate), round(stop * rate))
        waveform[part] = np.clip(waveform[part] * 3, -0.99, 0.99)
    return waveform


def write(path: Path, waveform: NDArray[np.float32], *, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, rate, subtype="FLOAT")
    return path


def watch(*, threshold: float = 0.2, **settings: Any) -> Watch:
    return Watch("pump", threshold, 0.01, AlarmSettings(**{"k": 2, "n": 3, "cool_down_seconds": 5.0, **settings}))


class Script:
    """A source that says what it is told to."""

    name = "the script"

    def __init__(self, items: Iterable[Item], *, live: bool = False, stall_seconds: float = 10.0) -> None:
        self.items, self.live, self.stall_seconds = items, live, stall_seconds
        self.stop = threading.Event()

    def __iter__(self) -> Iterator[Item]:
        yield from self.items


class Seen:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.windows: list[dict[str, Any]] = []
        self.events: list[Event] = []
        self.states: list[str] = []

    def window(self, window: dict[str, Any], *, heard: float, state: str) -> None:
        self.windows.append({**window, "heard": heard})
        self.states.append(state)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def waiting(self, state: str) -> None:
        self.states.append(state)

    @property
    def scores(self) -> NDArray[np.float64]:
        return np.array([np.nan if window["score"] is None else window["score"] for window in self.windows])

    def named(self, kind: str) -> list[tuple[str, str]]:
        """Kind and phase of the events of a type."""
        return [(event.details.get("kind", "alarm"), event.phase) for event in self.events if event.kind == kind]


def event(number: int, phase: Any = "raised") -> Event:
    return Event("alarm", f"pump-{number}", phase, 1.7e9, 12.5, "pump", {"score": 1.25, "threshold": 1.0})


def delivering(folder: Path, *outputs: str, machine: str = "", locked: bool = True) -> History:
    """A history whose events go to outputs."""
    history = History(folder, machine=machine, locked=locked)
    history.deliver_to(outputs)
    return history


def pragma(history: History, text: str) -> None:
    """Set what the only connection of a history does from now on."""
    with closing(history.engine.raw_connection()) as borrowed:
        borrowed.driver_connection.execute(f"PRAGMA {text}").fetchall()
