"""A real slider: learned from 60 of its 75 normal clips, monitored over the others and its test clips."""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from auscult.detector.calibration.result import Method, parse_rate
from auscult.detector.learn import learn
from auscult.detector.learn.settings import LearnSettings
from auscult.live.session import Outputs, listen
from auscult.live.sources import SourceOptions
from auscult.live.watch import DetectorScorer, watch_machine
from auscult.recipe import load_recipe

SLIDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "dcase2020_mini" / "dev_data" / "slider"
MACHINE = "id_00"
LEARNED = 60
WAYS: tuple[tuple[Method, str], ...] = (
    ("split", "1/day"),
    ("cross-fitted", "1/day"),
    ("cross-fitted", "1/hour"),
    ("cross-fitted", "6/hour"),
)
"""Method and promise: the default of `auscult learn` first, then what leaves more of ten minutes to calibrate on."""

APART = 4
"""Clips from one anomaly to the next, at least: an alarm needs time to end."""


def slider(seed: int, *, method: Method, rate: str, recipe: str) -> dict[str, Any]:
    """One seed of the split and of the places: what the monitor says of a file of 19 clips.

    An anomaly is detected when an alarm is raised at a window that holds some of it; any other alarm is false.
    """
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    trains = sorted((SLIDER / "train").glob(f"normal_{MACHINE}_*.wav"))
    tests = sorted((SLIDER / "test").glob(f"normal_{MACHINE}_*.wav"))
    anomalies = sorted((SLIDER / "test").glob(f"anomaly_{MACHINE}_*.wav"))
    order = rng.permutation(len(trains))
    normals = [*(trains[i] for i in order[LEARNED:]), *tests]
    playlist = [normals[i] for i in rng.permutation(len(normals))]
    for place, path in zip(_places(rng, len(normals) + len(anomalies)), anomalies, strict=True):
        playlist.insert(place, path)
    with tempfile.TemporaryDirectory() as folder:
        normal_folder, file = Path(folder, "slider"), Path(folder, "shift.wav")
        normal_folder.mkdir()
        for number, i in enumerate(order[:LEARNED]):
            (normal_folder / f"{number:02d}.wav").symlink_to(trains[i])
        sounds = [soundfile.read(path, dtype="int16") for path in playlist]
        soundfile.write(file, np.concatenate([sound for sound, _ in sounds]), sounds[0][1])
        found = _monitored(normal_folder, file, LearnSettings(rate=parse_rate(rate), method=method), recipe)
    if found is None:
        return {"seed": seed, "threshold": None}
    ends = np.cumsum([len(sound) / sample_rate for sound, sample_rate in sounds])
    return {"seed": seed, **_judged(playlist, anomalies, ends, found)}


def _places(rng: np.random.Generator, total: int) -> tuple[int, int]:
    """Where the two anomalies stand in the file, neither first; the first one's place is before the second's."""
    pairs = [(i, j) for i in range(1, total) for j in range(i + APART, total)]
    return pairs[rng.integers(len(pairs))]


def _monitored(normals: Path, file: Path, settings: LearnSettings, recipe: str) -> dict[str, Any] | None:
    """What `auscult learn` and `auscult monitor --json --windows` do; none if learning sets no threshold."""
    learned = learn(normals, recipe=load_recipe(recipe), settings=settings)
    if learned.detector.machine(None).calibration is None:
        return None
    watch, _ = watch_machine(learned.detector, None, name="")
    stream = io.StringIO()
    listen(
        DetectorScorer(learned.detector, None),
        watch,
        SourceOptions(str(file)),
        state=None,
        outputs=Outputs(json=True, windows=True),
        warn=lambda _: None,
        stdout=stream,
    )
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return {
        "threshold": watch.threshold,
        "cool_down_seconds": watch.settings.cool_down_seconds,
        "alarms": [row["heard_seconds"] for row in lines if row["type"] == "alarm" and row["event"] == "raised"],
        "troubles": [row["kind"] for row in lines if row["type"] == "trouble" and row["event"] != "cleared"],
        "scores": [(row["file_seconds"], row["score"]) for row in lines if row["type"] == "window"],
        "window_seconds": learned.detector.window_seconds,
    }


def _judged(playlist: list[Path], anomalies: list[Path], ends: Any, found: dict[str, Any]) -> dict[str, Any]:
    window, alarms = found["window_seconds"], list(found["alarms"])
    starts = np.concatenate([[0.0], ends[:-1]])
    heard, delays = {}, {}
    for path in anomalies:
        place = playlist.index(path)
        span = starts[place], ends[place] + window
        hits = [time for time in alarms if span[0] < time < span[1]]
        delays[path.stem] = hits[0] - span[0] if hits else None
        alarms = [time for time in alarms if time not in hits[:1]]
        heard[path.stem] = max(score for time, score in found["scores"] if span[0] < time < span[1])
    pure = [
        score
        for time, score in found["scores"]
        if not any(starts[playlist.index(p)] < time < ends[playlist.index(p)] + window for p in anomalies)
    ]
    return {
        "threshold": found["threshold"],
        "cool_down_seconds": found["cool_down_seconds"],
        "delays": delays,
        "false_alarms": len(alarms),
        "normal_seconds": float(ends[-1] - sum(ends[playlist.index(p)] - starts[playlist.index(p)] for p in anomalies)),
        "highest_of_anomalies": heard,
        "highest_of_normals": max(pure),
        "troubles": found["troubles"],
    }


def summary(method: Method, rate: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All seeds together."""
    seeds, rows = len(rows), [row for row in rows if row["threshold"] is not None]
    delays = [delay for row in rows for delay in row["delays"].values()]
    detected = [delay for delay in delays if delay is not None]
    return {
        "method": method,
        "rate": rate,
        "seeds": seeds,
        "without_threshold": seeds - len(rows),
        "anomalies": len(delays),
        "detected": len(detected),
        "by_clip": {
            name: sum(row["delays"][name] is not None for row in rows) for row in rows[:1] for name in row["delays"]
        },
        "median_delay_seconds": float(np.median(detected)) if detected else None,
        "longest_delay_seconds": max(detected) if detected else None,
        "false_alarms": sum(row["false_alarms"] for row in rows),
        "seeds_without_false_alarm": sum(row["false_alarms"] == 0 for row in rows),
        "normal_minutes": sum(row["normal_seconds"] for row in rows) / 60,
        "each": rows,
    }
