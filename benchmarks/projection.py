"""How long the whole report would take on this machine: the plan of `srpol` for clips that are not there.

`python -m benchmarks.projection [--device DEVICE]` makes a folder in the challenge's layout in which every clip is a
link to one silent file of its machine type, in the challenge's numbers; then the plan and the estimate are those of
`auscult plan srpol`. Nothing is trained. It writes `benchmarks/results/projection.json`, or `projection-DEVICE.json`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.places import RESULTS, write

RATE = 16000
WORKERS = (1, 4, 16, 64)

IDS = {
    "ToyCar": (4, 3),
    "ToyConveyor": (3, 3),
    "fan": (4, 3),
    "pump": (4, 3),
    "slider": (4, 3),
    "valve": (4, 3),
}
"""Machines of the development and of the evaluation set, by type."""

TRAIN = 1000
"""Normal training clips of a machine: the challenge has about as many."""

TEST = (10868, 7103)
"""Test clips of the development and of the evaluation set; spread evenly over their machines."""

LENGTHS = {"ToyCar": 11.0}
"""Seconds of a clip, where it is not 10."""

N_CLEAN = 60
"""Clean sounds; the time does not depend on their number."""


def outline(root: Path) -> Path:
    """A data folder in the challenge's layout whose clips are links."""
    machines = [sum(ids[part] for ids in IDS.values()) for part in (0, 1)]
    for machine_type, numbers in IDS.items():
        sound = silence(root / f"{machine_type}.wav", LENGTHS.get(machine_type, 10.0))
        for part, (folder, first) in enumerate((("dev_data", 0), ("eval_data", numbers[0]))):
            for machine in range(first, first + numbers[part]):
                name = f"id_{machine:02d}_{{:08d}}.wav"
                place = root / "data" / folder / machine_type
                links(sound, place / "train", f"normal_{name}", TRAIN)
                count = TEST[part] // machines[part]
                if part:
                    links(sound, place / "test", name, count)
                else:
                    links(sound, place / "test", f"normal_{name}", count // 2)
                    links(sound, place / "test", f"anomaly_{name}", count - count // 2)
    return root / "data"


def clean_sounds(root: Path) -> Path:
    for index in range(N_CLEAN):
        silence(root / "clean" / f"{index}.wav", 5.0)
    return root / "clean"


def silence(path: Path, seconds: float) -> Path:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(seconds * RATE), dtype=np.float32), RATE)
    return path


def links(sound: Path, folder: Path, name: str, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / name.format(index)).symlink_to(sound)


def projected(device: str) -> dict[str, Any]:
    """Clips, jobs and hours by kind of job, in one process and in several."""
    from auscult.datasets import load_clips
    from auscult.recipe import load_recipe
    from auscult.runs.bench import machine
    from auscult.runs.estimate import Outlook
    from auscult.runs.plan import make_plan
    from auscult.runs.store import NoStore

    with tempfile.TemporaryDirectory() as folder:
        clips = load_clips(outline(Path(folder)), dataset="dcase")
        missing: list[str] = []  # the weights of OpenL3, at most: their place is taken by random ones
        plan = make_plan(
            load_recipe("srpol"),
            clips,
            NoStore(),
            device=device,
            clean=clean_sounds(Path(folder)),
            all_clips=clips,
            missing=missing,
        )
        outlook = Outlook(plan, NoStore())
        rates = outlook.rates({})
        found: dict[str, Any] = {
            **machine(device),
            "clips": len(clips),
            "jobs": {"denoisers": len(plan.denoisers), "features": len(plan.banks), "members": len(plan.members)},
        }
        alone = outlook.estimate(rates)
        families: dict[str, float] = {}
        for job in plan.members:
            families[job.family] = families.get(job.family, 0.0) + alone.jobs[job.key] / 3600
        kinds: dict[str, float] = {}
        for bank in plan.banks:
            kind = bank.features["kind"] + (" of denoised sound" if bank.denoiser else "")
            kinds[kind] = kinds.get(kind, 0.0) + alone.jobs[bank.key] / 3600
        found["core_hours"] = {"denoisers": alone.denoisers / 3600, **kinds, **families}
        found["hours"] = {str(n): outlook.estimate(rates, workers=n).seconds / 3600 for n in WORKERS}
    return found


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = projected(options.device)
    print(json.dumps(found, indent=1))
    write(found, RESULTS / ("projection.json" if options.device == "cpu" else f"projection-{options.device}.json"))


if __name__ == "__main__":
    main()
