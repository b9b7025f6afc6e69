"""Learning and live monitoring, measured: a real slider, the real-time factor, days of the synthetic factory.

`python -m benchmarks.monitoring` measures all three parts (`--only` some of them) and writes
`benchmarks/results/monitoring.json`. The factory is six machines: 20 h calibrate each at 1 alarm an hour, 33 h of new
normal sound follow, then every fault at full strength. `--quick` is one machine, a fifth of the hours and five times
the rate: the expected counts are the same. It exits with 1 where a target is missed.
"""

import argparse
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

from auscult.datasets.factory.machine_types import TYPES
from benchmarks import monitoring_factory as factory  # torch reads the variables above
from benchmarks import monitoring_real as real

PARTS = ("real", "speed", "factory")
RESULTS = Path(__file__).parent / "results" / "monitoring.json"

MEGABYTES, DELAY_SECONDS, REAL_TIME_FACTOR = 50.0, 60.0, 0.01
"""Targets, at most: growth of memory, delay of a fault at full strength, seconds of computing for one of sound."""

RAISED = 20 / 21
"""Target, at least: of all faults at full strength, as many are raised within that delay (60 of 63)."""

SPEED_HOURS = 0.25
QUICK = 5
"""So many times fewer hours and more alarms an hour."""

PLAN = factory.Plan(
    learning_hours=5.0,
    calibration_hours=20.0,
    hours=33.0,
    rate=1.0,
    step_seconds=5.0,
    snr_db=6.0,
    repeats=3,
    seed=0,
    recipe="practical",
    machines=6,
)


def sliders(recipe: str, seeds: int, workers: int) -> None:
    """The real slider, in each way, at each seed; stored way by way."""
    found = []
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for method, rate in real.WAYS:
            one = partial(real.slider, method=method, rate=rate, recipe=recipe)
            found.append(real.summary(method, rate, list(pool.map(one, range(seeds)))))
            print({name: value for name, value in found[-1].items() if name != "each"}, flush=True)
            store("real", {"recipe": recipe, "ways": found})


def speed(recipe: str) -> dict[str, float]:
    """Seconds of computing, and of the clock, for a second of sound: the live monitor on a long file, step 1 s."""
    from auscult.detector.learn import learn
    from auscult.detector.learn.settings import LearnSettings
    from auscult.live.session import Outputs, listen
    from auscult.live.sources import SourceOptions
    from auscult.live.watch import DetectorScorer, watch_machine
    from auscult.recipe import load_recipe

    with tempfile.TemporaryDirectory() as folder:
        paths = recordings(Path(folder))
        detector = learn(paths["learning"], recipe=load_recipe(recipe), settings=LearnSettings()).detector
        watch, _ = watch_machine(detector, None, name="", threshold=factory.UNREACHED)
        wall, cpu = time.perf_counter(), time.process_time()
        summary = listen(
            DetectorScorer(detector, None),
            watch,
            SourceOptions(str(paths["new"])),
            state=None,
            outputs=Outputs(),
            warn=lambda _: None,
            stdout=io.StringIO(),
        )
        computing, elapsed = time.process_time() - cpu, time.perf_counter() - wall
    if summary.windows < 3600 * SPEED_HOURS - detector.window_seconds:
        sys.exit("the monitor was ended before the file was; its speed is not stored")
    found = {
        "hours": SPEED_HOURS,
        "step_seconds": detector.step_seconds,
        "windows": summary.windows,
        "real_time_factor": computing / (3600 * SPEED_HOURS),
        "real_time_factor_by_the_clock": elapsed / (3600 * SPEED_HOURS),
    }
    print(found, flush=True)
    return found


def recordings(folder: Path) -> dict[str, Path]:
    """A healthy fan in two files, 20 minutes to learn from and what is new."""
    import soundfile

    from auscult.datasets.factory.sounds import SAMPLE_RATE

    machine = factory.Factory("fan", PLAN)
    paths = {part: folder / f"{part}.wav" for part in ("learning", "new")}
    for part, hours in (("learning", 1 / 3), ("new", SPEED_HOURS)):
        with soundfile.SoundFile(paths[part], "w", SAMPLE_RATE, 1) as file:
            for sound in machine.hours(part, hours):
                file.write(sound)
    return paths


def days(plan: factory.Plan, machines: list[str], workers: int) -> dict[str, Any]:
    """Every machine of the factory, in processes of their own."""
    begun = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1) as pool:
        rows = []
        for row in pool.map(factory.watch_over, machines, [plan] * len(machines)):
            rows.append(row)
            print({name: value for name, value in row.items() if name not in ("faults", "megabytes")}, flush=True)
    return {
        "plan": factory.facts(plan),
        "workers": workers,
        "wall_minutes": (time.monotonic() - begun) / 60,
        "machines": rows,
    }


def missed(results: dict[str, Any]) -> list[str]:
    """What falls short, a sentence each."""
    found = []
    if "speed" in results and (factor := results["speed"]["real_time_factor"]) > REAL_TIME_FACTOR:
        found.append(f"the real-time factor is {factor:.4f}, more than {REAL_TIME_FACTOR}")
    for row in results.get("factory", {}).get("machines", []):
        low, high = row["interval"]
        if not low <= row["alarms"] <= high:
            found.append(f"{row['machine']}: {row['alarms']} alarms, outside {low} to {high}")
        if low <= row["triple_alarms"] <= high:
            found.append(f"{row['machine']}: a threshold for the triple rate passes, {row['triple_alarms']} alarms")
        if row["alarms"] != row["alarms_offline"]:
            found.append(f"{row['machine']}: {row['alarms']} alarms live, {row['alarms_offline']} offline")
        if row["megabytes"] and growth(row) > MEGABYTES:
            found.append(f"{row['machine']}: memory grew by {growth(row):.0f} MB")
    raised, faults = raised_in_time(results)
    if raised < RAISED * faults:
        found.append(f"{raised} of {faults} faults are raised within {DELAY_SECONDS:g} s, fewer than {RAISED:.0%}")
    return found


def raised_in_time(results: Mapping[str, Any]) -> tuple[int, int]:
    """How many faults of the factory were raised in time, and how many there were."""
    faults = [fault for row in results.get("factory", {}).get("machines", []) for fault in row["faults"]]
    return sum((fault["delay_seconds"] or 1e9) <= DELAY_SECONDS for fault in faults), len(faults)


def store(part: str, figures: dict[str, Any]) -> None:
    """Write one part; the others stay."""
    RESULTS.write_text(json.dumps({**stored(), part: figures}, indent=1) + "\n", encoding="utf-8")


def stored() -> dict[str, Any]:
    """The parts that were measured; none where none was."""
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else {}


def growth(row: dict[str, Any]) -> float:
    """How far memory rose above that after the first hour of new sound, in MB."""
    return float(max(row["megabytes"]) - row["megabytes"][0])


def main() -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts alone")
    parser.add_argument("--quick", action="store_true", help="one machine, a fifth of the hours, five times the rate")
    parser.add_argument("--machines", nargs="*", default=None, choices=list(TYPES))
    parser.add_argument("--hours", type=float, default=None, help="of new sound of each machine")
    parser.add_argument("--workers", type=int, default=2, help="processes; each slider or machine is heard by one")
    parser.add_argument("--recipe", default=PLAN.recipe)
    parser.add_argument("--seeds", type=int, default=10, help="of the real slider's split")
    arguments = parser.parse_args()
    machines = arguments.machines or (["fan"] if arguments.quick else list(TYPES))
    plan = replace(PLAN, recipe=arguments.recipe, machines=len(machines))
    if arguments.quick:
        times = {name: getattr(plan, name) / QUICK for name in ("calibration_hours", "hours")}
        plan = replace(plan, learning_hours=1 / 3, rate=plan.rate * QUICK, **times)
    if arguments.hours is not None:
        plan = replace(plan, hours=arguments.hours)
    if "real" in arguments.only and not real.SLIDER.is_dir():
        sys.stderr.write(f"{real.SLIDER} is not there: the real slider is not measured\n")
    elif "real" in arguments.only:
        sliders(arguments.recipe, arguments.seeds, arguments.workers)
    if "speed" in arguments.only:
        store("speed", speed(arguments.recipe))
    if "factory" in arguments.only:
        store("factory", days(plan, machines, arguments.workers))
    results = stored()
    if "factory" in results:
        print("{} of {} faults of the factory are raised in time".format(*raised_in_time(results)))
    found = missed(results)
    for sentence in found:
        print(f"missed: {sentence}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
