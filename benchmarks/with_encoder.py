"""What YAMNet adds to `best` and `practical`, and narrow lines to `best`: real recordings, and the synthetic factory.

`python -m benchmarks.with_encoder` looks for `dcase2020_mini`, `mimii_8ch` and `encoders` in `../shared/data` beside
the project, prints areas under the curve with intervals of 95 % over clips, and writes
`benchmarks/results/with_encoder.json`. Where there are few normal clips, each is scored by what the others taught, and
a fault by as many. No label is read but to judge.

Sets: a slider, 75 normal clips to learn, 4 of it and 12 of other sliders to score; five other machine types, test clips
of DCASE 2020 alone, all machines of a type taken for one; a fan and a pump of MIMII, windows of 2 s of eight
microphones, a window scored by other times; six machines of the factory, 40 clips to learn, 24 to score, background
6 dB below to 6 dB above.
"""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
from numpy.typing import NDArray

from auscult.clips import Label
from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.machine_types import TYPES
from auscult.features.bank import Bank, bank_of
from auscult.members.fitting import fit_parts, front_ends_of, members_for
from auscult.members.part import Part
from auscult.recipe import Recipe, load_recipe, parse_recipe
from auscult.scores.intervals import bootstrap
from auscult.scores.metrics import auc
from auscult.scores.table import ScoreRow, ScoreTable
from auscult.sound.audio import read_waveform
from benchmarks.places import DATA, RESULTS, write
from benchmarks.real import machine_id

FILE = RESULTS / "with_encoder.json"
RATE, MACHINE = 16000, "machine"
LEARNT, TESTED = 40, 12
"""Clips of 10 s of a machine of the factory: normal ones to learn, and of either kind to score."""

YAMNET = """
[[member]]
name = "steady"
family = "neighbours"
features = { kind = "yamnet", hop = 0.5 }
model = { space = "cosine", statistics = ["mean"] }

[[member]]
name = "sudden"
like = "steady"
model = { statistics = ["maximum"] }
"""


def changed(recipe: str, *, added: str = "", without: str = "") -> str:
    """A recipe that extends another one; all members decide but for one."""
    names = [member.name for member in load_recipe(recipe).member if member.name != without]
    names += [member["name"] for member in tomllib.loads(added).get("member", [])]
    return f'name = "own"\nextends = "{recipe}"\n{added}\n[[ensemble]]\nname = "all"\nmembers = {json.dumps(names)}\n'


SYSTEMS = {
    "best": changed("best"),
    "best without lines": changed("best", without="lines"),
    "best + YAMNet": changed("best", added=YAMNET),
    "practical": changed("practical"),
    "practical + YAMNet": changed("practical", added=YAMNET),
    "YAMNet": 'name = "own"\nextends = "dual"\n',
}

Sound = NDArray[np.float32]


class Heard(NamedTuple):
    """A sound to be scored.

    Attributes:
        sound: `[T]`.
        label: of it.
        without: places among the sounds to learn that it must not be compared with.
    """

    sound: Sound
    label: Label
    without: tuple[int, ...] = ()


Task = tuple[list[Sound], list[Heard]]
"""What is learnt, and what is scored."""


def main() -> int:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.with_encoder", description="What YAMNet adds.")
    parser.add_argument(
        "--only", nargs="+", choices=SETS, metavar="SET", help="sets to measure; the others stay as they were"
    )
    only = parser.parse_args().only
    folders = [DATA / name for name in ("dcase2020_mini", "mimii_8ch", "encoders")]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        print(f"not there: {', '.join(missing)}; put the folders there and run again", file=sys.stderr)
        return 2
    recipes = {name: parse_recipe(text, f"{name}, measured") for name, text in SYSTEMS.items()}
    results: dict[str, dict[str, Any]] = json.loads(FILE.read_text()) if only and FILE.is_file() else {}
    for name, (task_of, kinds) in SETS.items():
        if only and name not in only:
            continue
        tables: dict[str, list[ScoreRow]] = {system: [] for system in recipes}
        for kind in kinds:
            task = task_of(kind)
            for system, scores in scored(task, recipes).items():
                tables[system] += rows(kind, task[1], scores)
        results[name] = {system: figures(found) for system, found in tables.items()}
        print(
            f"{name:22}" + "  ".join(f"{system} {show(found)}" for system, found in results[name].items()), flush=True
        )
    write(results, FILE)
    return 0


def slider(kind: str) -> Task:
    """A slider's own normal clips, and test clips of it and of three more."""
    learnt = [read(path) for path in sorted((DATA / "dcase2020_mini" / "dev_data" / kind / "train").glob("*.wav"))]
    return learnt, [Heard(read(path), label_of(path)) for path in tests(kind)]


def leave_one_out(kind: str) -> Task:
    """Normal test clips of a type, each scored by the others; a fault by all but one of its own machine."""
    normals = [path for path in tests(kind) if label_of(path) == "normal"]
    sounds, own = [read(path) for path in normals], dict[str, list[int]]()
    for place, path in enumerate(normals):
        own.setdefault(machine_id(path.stem), []).append(place)
    heard = [Heard(sound, "normal", (place,)) for place, sound in enumerate(sounds)]
    for number, path in enumerate(path for path in tests(kind) if label_of(path) == "anomaly"):
        places = own[machine_id(path.stem)]
        heard.append(Heard(read(path), "anomaly", (places[number % len(places)],)))
    return sounds, heard


def microphones(kind: str, seconds: int = 2) -> Task:
    """Windows of a normal recording by all its microphones, scored by other times; and of an abnormal one."""

    def windows(label: str) -> list[tuple[int, Sound]]:
        (path,) = (DATA / "mimii_8ch" / kind).glob(f"*/{label}/*.wav")
        length = seconds * RATE
        return [
            (start, sound[start : start + length])
            for sound in (read_waveform(path, sample_rate=RATE, channel=channel) for channel in range(8))
            for start in range(0, len(sound) - length + 1, length)
        ]

    normal = windows("normal")
    same = {at: tuple(place for place, (start, _) in enumerate(normal) if start == at) for at, _ in normal}
    heard = [Heard(sound, "normal", same[start]) for start, sound in normal]
    return [sound for _, sound in normal], [*heard, *(Heard(sound, "anomaly") for _, sound in windows("abnormal"))]


def factory(kind: str, snr_db: int) -> Task:
    """A machine of the factory: normal clips, then normal ones and faults."""
    hall = Hall(seed=0, snr_db=float(snr_db))

    def record(split: Any, label: Label, index: int) -> Sound:
        found = hall.record(kind, "id_00", split, label, index, n_samples=10 * RATE)
        return np.asarray(found.mix, dtype=np.float32)

    learnt = [record("train", "normal", index) for index in range(LEARNT)]
    labels: tuple[Label, Label] = ("normal", "anomaly")
    return learnt, [Heard(record("test", label, index), label) for label in labels for index in range(TESTED)]


SETS: dict[str, tuple[Callable[[str], Task], Sequence[str]]] = {
    "slider": (slider, ["slider"]),
    "test clips": (leave_one_out, ["ToyCar", "ToyConveyor", "fan", "pump", "valve"]),
    "MIMII, 8 microphones": (microphones, ["fan", "pump"]),
    **{f"factory, {snr:+d} dB": (partial(factory, snr_db=snr), list(TYPES)) for snr in (6, 0, -6)},
}
"""Name -> a machine type's sounds, and the types."""


def scored(task: Task, recipes: dict[str, Recipe]) -> dict[str, list[float]]:
    """Every system's scores of a task. Features are computed once, and a model is fitted for each set left out."""
    learnt, heard = task
    found: dict[str, list[float]] = {}
    kept: dict[str, list[Any]] = {}
    for system, recipe in recipes.items():
        members = members_for(recipe, None)
        front_ends = front_ends_of(members, recipe, weights=DATA / "encoders")
        for member in members:
            features = front_ends[member.name].features
            key = json.dumps(features.config(), sort_keys=True)
            if key not in kept:
                kept[key] = [features(sound) for sound in (*learnt, *(one.sound for one in heard))]
        frames = {name: kept[json.dumps(end.features.config(), sort_keys=True)] for name, end in front_ends.items()}
        systems: dict[tuple[int, ...], list[Part]] = {}
        found[system] = []
        for place, one in enumerate(heard, start=len(learnt)):
            if one.without not in systems:
                chosen = [number for number in range(len(learnt)) if number not in one.without]
                banks = {name: bank([every[number] for number in chosen]) for name, every in frames.items()}
                fitted = fit_parts(members, recipe, front_ends, banks, device="cpu", on_epoch=lambda *_: None)
                systems[one.without] = fitted
            scores = {
                part.name: part.standardise(float(part.model.score_clips(bank([frames[part.name][place]]))[0]))
                for part in systems[one.without]
            }
            found[system].append(float(np.mean(list(scores.values()))))
    return found


def bank(frames: Sequence[Sound]) -> Bank:
    return bank_of(frames, [MACHINE] * len(frames), frame_rate=1.0)  # neighbours do not ask for it


def rows(kind: str, heard: Sequence[Heard], scores: Sequence[float]) -> list[ScoreRow]:
    return [
        ScoreRow(kind, MACHINE, f"{number:04d}", one.label, value)
        for number, (one, value) in enumerate(zip(heard, scores, strict=True))
    ]


def figures(found: Sequence[ScoreRow]) -> dict[str, Any]:
    """Mean of the types' areas, its interval, and each type's area."""
    table = ScoreTable(found)
    kinds = sorted({row.machine_type for row in found})
    each = {kind: auc(*judged([row for row in found if row.machine_type == kind])) for kind in kinds}
    low, high = bootstrap({"system": table})["system"]["mean"]["auc"]
    return {"auc": float(np.mean(list(each.values()))), "interval": [low, high], "types": each}


def judged(found: Sequence[ScoreRow]) -> tuple[list[int], list[float]]:
    return [int(row.label == "anomaly") for row in found], [row.score for row in found]


def tests(kind: str) -> list[Path]:
    return sorted((DATA / "dcase2020_mini" / "dev_data" / kind / "test").glob("*.wav"))


def label_of(path: Path) -> Label:
    return "normal" if path.name.startswith("normal") else "anomaly"


def read(path: Path) -> Sound:
    return read_waveform(path, sample_rate=RATE, channel=0)


def show(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return f"{100 * found['auc']:.1f} ({100 * low:.0f} to {100 * high:.0f})"


if __name__ == "__main__":
    sys.exit(main())
