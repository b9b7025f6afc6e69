"""The server under load, under attack, and with a year behind it.

`python -m benchmarks.serve` measures all three parts (`--only` some of them) and writes
`benchmarks/results/serve.json`; the exit code is 1 where a target is missed. `load`: eight clients send clips of 10 s
for a minute; beside it, in the same run, what `auscult score --workers` makes of the same clips. `malformed`: a
thousand recordings that are none, lie, or come slowly, while a monitor listens. `year`: every view of the page, of an
empty history and of a year of twenty machines (`benchmarks.history`), by HTTP; and how long Chromium takes to open the
page, where it is installed.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

from benchmarks import history, serve_malformed
from benchmarks.places import RESULTS, write
from benchmarks.serve_process import get, server

PARTS = ("load", "malformed", "year")
CLIENTS, SECONDS, CLIPS, CLIP_SECONDS = 8, 60.0, 40, 10
THROUGHPUT, LATENCY, VIEW_MS, OPENING = 0.8, 1.5, 200.0, 1.3
"""Targets: share of offline throughput at least; of the bound of the 95th percentile, of a view, of opening at most."""


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--out", type=Path, default=RESULTS / "serve.json")
    arguments = parser.parse_args()
    found: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        detector, clips = material(Path(folder))
        for part in arguments.only:
            measure = {"load": load, "malformed": serve_malformed.malformed, "year": year}[part]
            found[part] = measure(Path(folder), detector, clips, quick=arguments.quick)
            sys.stdout.write(f"{part}\n" + "".join(f"  {name:32} {value}\n" for name, value in found[part].items()))
    write(found, arguments.out)
    missed = [name for part in arguments.only for name in found[part]["missed"]]
    sys.stdout.write(f"missed: {', '.join(missed) or 'nothing'}\n")
    return int(bool(missed))


def material(folder: Path) -> tuple[Path, list[Path]]:
    """A detector of a fan by the recipe `practical`, and clips of it."""
    import soundfile

    from auscult.datasets.factory.day import minute_of
    from auscult.datasets.factory.hall import Hall
    from auscult.datasets.factory.sounds import SAMPLE_RATE
    from auscult.detector.learn import LearnSettings, learn
    from auscult.recipe import load_recipe

    hall, normals, clips = Hall(seed=0, snr_db=6.0), folder / "fan", list[Path]()
    normals.mkdir()
    for number in range(10):
        soundfile.write(normals / f"{number}.wav", minute_of(hall, "fan", "normal", number), SAMPLE_RATE)
    settings = LearnSettings(rate=1.0, window_seconds=float(CLIP_SECONDS), step_seconds=1.0, adapt_window=False)
    detector = folder / "fan.auscult"
    learn(normals, recipe=load_recipe("practical"), settings=settings).detector.save(detector)
    size = CLIP_SECONDS * SAMPLE_RATE
    for number in range(CLIPS):
        whole = minute_of(hall, "fan", "new", number // 6)
        clips.append(folder / f"clip-{number:03d}.wav")
        soundfile.write(clips[-1], whole[number % 6 * size : (number % 6 + 1) * size], SAMPLE_RATE)
    return detector, clips


def load(folder: Path, detector: Path, clips: Sequence[Path], *, quick: bool) -> dict[str, Any]:
    """Clients that send clips, and the same clips offline, before and after."""
    workers, seconds = os.cpu_count() or 1, SECONDS / (10 if quick else 1)
    plant = f'[server]\nworkers = {workers}\n[machines.fan]\ndetector = "{detector}"\n'
    before = _offline(detector, clips, workers, seconds / 2)
    with server(folder / "load", plant) as port:
        _sent(port, clips, 2.0)  # workers read the detector
        latencies, errors, spent = _sent(port, clips, seconds)
    offline = statistics.mean([before, _offline(detector, clips, workers, seconds / 2)])
    throughput = len(latencies) / spent
    latency = sorted(latencies)[int(0.95 * len(latencies))]
    alone = workers / offline  # that a clip takes a processor while all are busy
    bound = LATENCY * alone * CLIENTS / workers
    missed = {
        "throughput": throughput < THROUGHPUT * offline,
        "latency": latency > bound,
        "errors": bool(errors),
    }
    return {
        "clients": CLIENTS,
        "processors": workers,
        "clips_per_second": round(throughput, 1),
        "offline_clips_per_second": round(offline, 1),
        "ratio": round(throughput / offline, 3),
        "offline_ms": round(1000 * alone, 1),
        "p95_ms": round(1000 * latency, 1),
        "p95_bound_ms": round(1000 * bound, 1),
        "uploads": len(latencies),
        "errors": errors,
        "missed": [name for name, wrong in missed.items() if wrong],
    }


def _offline(detector: Path, clips: Sequence[Path], workers: int, seconds: float) -> float:
    """Clips a second of `auscult score --workers`, from the first result on: its start does not count."""
    from auscult.detector import Detector
    from auscult.detector.listing import score_all

    loaded, many = Detector.load(detector), [*clips] * 1000
    scored = score_all(loaded, many, machine=None, workers=workers)
    for _ in range(2 * workers):
        next(scored)
    begun, count = time.perf_counter(), 0
    for _ in scored:
        count += 1
        if time.perf_counter() - begun >= seconds:
            break
    found = count / (time.perf_counter() - begun)
    scored.close()  # type: ignore[attr-defined]
    return found


def _sent(port: int, clips: Sequence[Path], seconds: float) -> tuple[list[float], list[str], float]:
    """Latencies of all uploads of all clients, what went wrong, and the seconds it took; in a process of its own."""
    words = [str(port), str(CLIENTS), str(seconds), *map(str, clips)]
    command = [sys.executable, "-m", "benchmarks.serve_clients", *words]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(answer.stdout)
    return found["latencies"], found["errors"], found["seconds"]


def year(folder: Path, detector: Path, _: Sequence[Path], *, quick: bool) -> dict[str, Any]:
    """Views of a year of twenty machines, and the page in a browser, beside an empty history."""
    amounts = history.Amounts(days=36, incidents=120, sounds=3) if quick else history.Amounts()
    names, found = history.names(amounts), dict[str, Any]()
    for what in ("empty", "year"):
        if what == "year":
            found |= history.write_year(_made(folder / what / "plant"), amounts)
        with server(folder / what, _plant(detector, names)) as port:
            times = _views(port, names)
            found[f"views_of_{what}_ms"] = {view: round(1000 * value, 1) for view, value in times.items()}
            found[f"opening_{what}_ms"] = _opening(port)
    slow = [f"view {name}" for name, value in found["views_of_year_ms"].items() if value > VIEW_MS]
    opening = found["opening_year_ms"], found["opening_empty_ms"]
    if None not in opening and opening[0] > OPENING * opening[1]:
        slow.append("opening")
    return {**found, "missed": slow}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _plant(detector: Path, names: Sequence[str]) -> str:
    """Machines whose clock stands at the end of the year that was written."""
    tables = [f'[machines.{name}]\ndetector = "{detector}"\nreplay = 2026-01-01T00:00:00Z\n' for name in names]
    return "[server]\nworkers = 1\n" + "".join(tables)


def _views(port: int, names: Sequence[str]) -> dict[str, float]:
    """View -> longest time of three requests, in seconds, after one that does not count."""
    one = names[len(names) // 2]
    spans = {name: f"start={history.NOW - seconds}&end={history.NOW}" for name, seconds in history.ZOOMS.items()}
    views = {
        "machines": "/api/machines",
        "machine": f"/api/machines/{one}",
        **{f"scores, {name}": f"/api/machines/{one}/scores?{span}" for name, span in spans.items()},
        "alarms": "/api/incidents?limit=50",
        "alarms of a machine": f"/api/incidents?machine={one}&kind=alarm&limit=50",
        "alarms without a verdict": "/api/incidents?kind=alarm,warning&verdict=none&limit=50",
        "notes": "/api/notes",
        "status": "/api/status",
    }
    times: dict[str, float] = {}
    for name, path in views.items():
        answers = [get(port, path) for _ in range(4)]
        assert all(status == 200 for status, _, _ in answers), f"{path}: {answers[0][1]!r}"
        times[name] = max(seconds for _, _, seconds in answers[1:])
    return times


def _opening(port: int) -> float | None:
    """Milliseconds until Chromium shows all machines, the median of five; none where the tools are not installed."""
    script = Path(__file__).parents[1] / "tests" / "browser" / "opening.mjs"
    if shutil.which("node") is None or "AUSCULT_BROWSER_TOOLS" not in os.environ:
        return None
    answer = subprocess.run(
        ["node", str(script), f"http://127.0.0.1:{port}"], check=True, capture_output=True, text=True
    )
    return float(statistics.median(json.loads(answer.stdout)))


if __name__ == "__main__":
    sys.exit(main())
