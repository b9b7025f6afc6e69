"""What members of the recipe `practical` are worth as alarms: faults raised at one false alarm an hour.

One machine of each type of a synthetic factory, another than the one that `benchmarks.monitoring` hears. Each is
learned from one hour and from five; ten other hours set the threshold of each combination of members at one alarm an
hour; then each fault comes at full strength after a healthy minute, six times, and counts as raised if an alarm comes
within its minute. `python -m benchmarks.practical_alarms` takes about 40 minutes on two cores, prints the table and
writes `benchmarks/results/practical_alarms.json`.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
from numpy.typing import NDArray

from auscult.datasets.factory.day import MINUTE
from auscult.datasets.factory.machine_types import TYPES
from auscult.datasets.factory.sounds import SAMPLE_RATE
from auscult.detector import Detector
from auscult.detector.alarms import AlarmStatistic, WindowScores
from auscult.detector.calibration.fit import calibrate
from auscult.detector.calibration.result import Calibration
from auscult.detector.learn import learn
from auscult.detector.learn.settings import LearnSettings
from auscult.detector.scorer import Scorer
from auscult.recipe import load_recipe
from benchmarks.monitoring import PLAN as FULL_PLAN
from benchmarks.monitoring_factory import Factory, Plan

RESULTS = Path(__file__).parent / "results" / "practical_alarms.json"

LEARNED_HOURS = (1, 5)
"""Each minute of them is another load, speed and noise."""

VECTORS = {
    "mean": "{ ratio = 1.0 }",
    "r0.98": "{ ratio = 0.98 }",
    "mean-deviation": '{ statistics = ["mean", "deviation"] }',
    "mean-flux": '{ statistics = ["mean", "flux"] }',
}
LINES = '{ kind = "log_mel", n_fft = 8192, hop_length = 8192, n_mels = 256 }'
LOG_MEL, MODULATION = '{ kind = "log_mel", n_fft = 1024, hop_length = 512, n_mels = 128 }', '{ kind = "modulation" }'
MEMBERS = {
    **{name: ("spectral", LOG_MEL, model) for name, model in VECTORS.items()},
    **{f"near-{name}": ("neighbours", LOG_MEL, model) for name, model in VECTORS.items()},
    "near-modulation": ("neighbours", MODULATION, '{ space = "standardised" }'),
    "near-modulation-white": ("neighbours", MODULATION, "{}"),
    "near-lines": ("neighbours", LINES, '{ statistics = ["mean"] }'),
}
"""Name -> family, features, model."""

DENSITIES = ("r0.98", "mean-deviation", "mean-flux")
NEAR = ("near-r0.98", "near-mean-deviation", "near-mean-flux")
WHITE = "near-modulation-white"
SYSTEMS = [
    *((name,) for name in MEMBERS),
    DENSITIES,
    ("near-mean", "near-mean-flux"),
    ("near-mean-flux", WHITE),
    ("near-mean-flux", "near-lines"),
    ("near-mean-flux", WHITE, "near-lines"),
    ("near-mean", "near-mean-flux", WHITE),
    (*NEAR, WHITE),
    (*DENSITIES, WHITE),
    ("near-mean", "near-mean-flux", "near-modulation"),
]

PLAN = replace(FULL_PLAN, seed=1, calibration_hours=10.0, rate=1.0, repeats=6)
SETTINGS = LearnSettings(step_seconds=PLAN.step_seconds, adapt_window=False, adapt_cool_down=False)

Scores = Mapping[str, NDArray[np.float64]]
"""Standardised scores of the windows of some sound `[W]`, by the member's name, or by "sound/member"."""


def raised(machine_type: str, hours: int, plan: Plan, folder: Path | None) -> dict[str, dict[str, int]]:
    """System -> fault -> how often it was raised, of one machine that was learned from so many hours.

    Args:
        machine_type: of the factory.
        hours: of learning.
        plan: the rest.
        folder: where the members' scores are kept, and read if they are there; none keeps none.
    """
    name = f"{machine_type}-{hours}h-{plan.calibration_hours:g}h-seed-{plan.seed}.npz"
    heard = {} if folder is None else _kept(folder / name)
    if not heard:
        heard = {"/".join(key): scores for key, scores in _heard(machine_type, hours, plan)}
        if folder is not None:
            np.savez(folder / f"unfinished-{name}", allow_pickle=False, **heard)
            (folder / f"unfinished-{name}").replace(folder / name)
    found = {}
    for members in SYSTEMS:
        calibrated = calibrate([_series(heard, "calibration", members)], plan.rate, settings=SETTINGS.alarm)
        found[" + ".join(members)] = {
            fault: sum(
                _is_raised(_series(heard, f"{fault}/{number}", members), calibrated) for number in range(plan.repeats)
            )
            for fault in TYPES[machine_type].faults
        }
    return found


def _kept(path: Path) -> dict[str, NDArray[np.float64]]:
    """What was kept of all members; nothing if that is not there, or lacks one."""
    if not path.is_file():
        return {}
    with np.load(path) as file:
        found = {key: np.asarray(file[key]) for key in file.files}
    return found if all(f"calibration/{name}" in found for name in MEMBERS) else {}


def _heard(machine_type: str, hours: int, plan: Plan) -> Iterator[tuple[tuple[str, ...], NDArray[np.float64]]]:
    """Each sound, and a member: its standardised scores of the windows `[W]`."""
    import torch

    torch.set_num_threads(1)
    factory = Factory(machine_type, plan)
    detector = _learned(factory, hours)
    for member, scores in _scores(detector, factory.hours("calibration", plan.calibration_hours)).items():
        yield ("calibration", member), scores
    for fault in TYPES[machine_type].faults:
        for number in range(plan.repeats):
            for member, scores in _scores(detector, factory.broken(fault, number)).items():
                yield (fault, str(number), member), scores


def _learned(factory: Factory, hours: int) -> Detector:
    """A detector of all members."""
    members = (
        f'[[member]]\nname = "{name}"\nfamily = "{family}"\nfeatures = {features}\nmodel = {model}\n'
        for name, (family, features, model) in MEMBERS.items()
    )
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder, "members.toml")
        recipe.write_text('name = "members"\n' + "".join(members), encoding="utf-8")
        sound = factory.recorded("learning", hours, Path(folder))
        return learn(sound, recipe=load_recipe(str(recipe)), settings=SETTINGS).detector


def _scores(detector: Detector, minutes: Iterable[NDArray[np.float32]]) -> Scores:
    """Each member's scores of the sliding windows of sound without a gap."""
    scorer, machine_id = Scorer(detector.parts), next(iter(detector.machines.values())).machine_id
    length, step = detector.samples(detector.window_seconds), detector.samples(detector.step_seconds)
    found: list[dict[str, float]] = []
    sound = np.zeros(0, dtype=np.float32)
    for minute in minutes:
        sound = np.concatenate([sound, minute])
        while len(sound) >= length:
            found.append(scorer.score(sound[:length], machine_id, sample_rate=SAMPLE_RATE).members)
            sound = sound[step:]
    return {name: np.array([one[name] for one in found]) for name in MEMBERS}


def _series(heard: Scores, sound: str, members: Sequence[str]) -> WindowScores:
    """The scores of a uniform ensemble."""
    scores = np.mean([heard[f"{sound}/{name}"] for name in members], axis=0)
    times = SETTINGS.window_seconds + PLAN.step_seconds * np.arange(len(scores))
    return WindowScores(np.asarray(times, dtype=np.float64), scores, SETTINGS.window_seconds, PLAN.step_seconds)


def _is_raised(series: WindowScores, calibrated: Calibration) -> bool:
    """Whether an alarm comes behind the healthy minute."""
    statistic = AlarmStatistic(series, calibrated.settings)
    places = statistic.raised(calibrated.threshold, spread=calibrated.spread)
    return bool((series.times[statistic.places[places]] > MINUTE).any())


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="processes; each hears one machine")
    parser.add_argument("--hours", type=int, nargs="*", default=LEARNED_HOURS, help="of learning")
    parser.add_argument("--calibration-hours", type=float, default=PLAN.calibration_hours)
    parser.add_argument("--seed", type=int, default=PLAN.seed, help="of the factory")
    parser.add_argument("--types", nargs="*", default=list(TYPES), choices=list(TYPES))
    parser.add_argument("--keep", type=Path, help="folder of the members' scores: what it has is not heard again")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    plan = replace(PLAN, calibration_hours=arguments.calibration_hours, seed=arguments.seed)
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    jobs = [
        (machine_type, hours, plan, arguments.keep) for hours in arguments.hours for machine_type in arguments.types
    ]
    found: dict[str, dict[str, dict[str, dict[str, int]]]] = {}
    with ProcessPoolExecutor(arguments.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for (machine_type, hours, *_), systems in zip(jobs, pool.map(raised, *zip(*jobs, strict=True)), strict=True):
            print(f"{machine_type}, {hours} h: {systems}", flush=True)
            for name, faults in systems.items():
                found.setdefault(f"{hours} h", {}).setdefault(name, {})[machine_type] = faults
    for hours_, systems_ in found.items():
        for name, machines in systems_.items():
            counts = [count for faults in machines.values() for count in faults.values()]
            print(f"{hours_}  {name:75} {sum(counts)} of {plan.repeats * len(counts)}")
    facts = {"repeats": plan.repeats, "rate": plan.rate, "calibration_hours": plan.calibration_hours}
    arguments.out.write_text(json.dumps({"plan": facts, "raised": found}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
