"""Which small members earn their time in the recipe `practical`: AUC, training time and cost of a window, compared.

Machines of a synthetic factory, one of each type, each learned on its own from 10 minutes of normal sound and tested on
normal windows and all its faults: another factory than the one that `benchmarks.monitoring` hears. And four real toy
cars, each learned on its own, where `../shared/data/toycar_logmel.npz` is there. `python -m benchmarks.practical` takes
about twenty minutes on one core, prints the table and writes `benchmarks/results/practical.json`.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
from numpy.typing import NDArray

from benchmarks.places import RESULTS, write
from benchmarks.real import SOUNDS, machine_id

SECONDS = 10
TRAIN_WINDOWS, TEST_WINDOWS = 60, 60
SEEDS = 1

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    """A member that may be worth its time."""

    family: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    pooling: str | None = None


CANDIDATES = {
    "spectral r=1": Candidate("spectral"),
    "spectral r=0.98": Candidate("spectral", {"ratio": 0.98}),
    "spectral r=0.9": Candidate("spectral", {"ratio": 0.9}),
    "mean, deviation": Candidate("spectral", {"statistics": ("mean", "deviation")}),
    "mean, flux": Candidate("spectral", {"statistics": ("mean", "flux")}),
    "mean, deviation, flux": Candidate("spectral", {"statistics": ("mean", "deviation", "flux")}),
    "autoencoder": Candidate("autoencoder", {"hidden": (128, 128), "n_latent": 8}, {"epochs": 30, "batch_size": 256}),
    "hvae": Candidate(
        "hvae",
        {"hidden": (256, 128), "n_latent": 8, "big_precision": True},
        {"epochs": 30, "batch_size": 256},
    ),
    "freak": Candidate(
        "freak",
        {"m": 2, "n_layers": 2, "covariance": "diagonal", "crop": 96},
        {"epochs": 100, "batch_size": 16},
    ),
}
CHANGES = ("mean, deviation", "mean, flux")
ENSEMBLES = [
    ("spectral r=1", "spectral r=0.98"),
    ("spectral r=1", "spectral r=0.9"),
    ("spectral r=1", "autoencoder"),
    ("spectral r=1", "hvae"),
    ("spectral r=1", "freak"),
    CHANGES,
    ("spectral r=0.98", *CHANGES),
    ("autoencoder", *CHANGES),
    ("hvae", *CHANGES),
    ("freak", *CHANGES),
]


@dataclass(frozen=True)
class Task:
    """One machine: frames `[C, N, F]` to train on and to test, and which of these are anomalous `[C]`."""

    name: str
    train: Frames
    test: Frames
    anomaly: NDArray[np.bool_]


def factory_tasks(seed: int) -> Iterator[Task]:
    """A machine of each type, at a signal-to-noise ratio of 6 dB."""
    from auscult.clips import MACHINE_TYPES
    from auscult.datasets.factory.catalogue import DEVELOPMENT_IDS
    from auscult.datasets.factory.hall import Hall
    from auscult.features import LogMel

    hall, log_mel = Hall(seed=seed, snr_db=6.0), LogMel(16000)
    for kind in MACHINE_TYPES:
        id_ = DEVELOPMENT_IDS[kind][0]

        def frames(split: Any, label: Any, count: int, kind: str = kind, id_: str = id_) -> list[Frames]:
            clips = (hall.record(kind, id_, split, label, i, n_samples=SECONDS * 16000) for i in range(count))
            return [log_mel(clip.mix.astype(np.float32)) for clip in clips]

        test = frames("test", "normal", TEST_WINDOWS) + frames("test", "anomaly", TEST_WINDOWS)
        anomaly = np.arange(2 * TEST_WINDOWS) >= TEST_WINDOWS
        yield Task(kind, np.stack(frames("train", "normal", TRAIN_WINDOWS)), np.stack(test), anomaly)


def toycar_tasks() -> list[Task]:
    """Each of the four real toy cars."""
    with np.load(SOUNDS) as file:
        train, test = file["train"], file["test"]
        of_train, of_test = (np.array([*map(machine_id, file[f"{split}_names"])]) for split in ("train", "test"))
        anomaly = np.array(["anomaly" in name for name in file["test_names"]])
    return [
        Task(f"real {id_}", train[of_train == id_], test[of_test == id_], anomaly[of_test == id_])
        for id_ in sorted(set(of_train))
    ]


def measure(task: Task) -> dict[str, dict[str, float]]:
    """Candidate or ensemble -> AUC and pAUC; for candidates also seconds of training and milliseconds a window."""
    from sklearn.metrics import roc_auc_score

    scores: dict[str, NDArray[np.float64]] = {}
    found: dict[str, dict[str, float]] = {}
    for name, candidate in CANDIDATES.items():
        scores[name], found[name] = _scores(task, candidate)
    for members in ENSEMBLES:
        scores[" + ".join(members)] = np.mean([scores[name] for name in members], axis=0)
    for name, values in scores.items():
        figures = {
            "auc": float(roc_auc_score(task.anomaly, values)),
            "pauc": float(roc_auc_score(task.anomaly, values, max_fpr=0.1)),
        }
        found[name] = figures | found.get(name, {})
    return found


def _scores(task: Task, candidate: Candidate) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Standardised scores of the test windows, and what they cost."""
    from dataclasses import asdict

    from auscult.features.bank import bank_of
    from auscult.members.scaling import normal_scores, scaling_of
    from auscult.models import MODELS
    from auscult.training import Training

    family = MODELS[candidate.family]
    ids = ["a"] * len(task.train)
    started = time.perf_counter()
    training = Training(**{**asdict(family.default_training), **candidate.training})
    model = family(**candidate.model).fit(task.train, ids, training=training)
    trained = time.perf_counter()
    bank = bank_of(task.train, ids)
    normal = normal_scores(
        model, bank, scaling_of(model, bank.known, unseen=True, combined=False), pooling=candidate.pooling
    )
    begun = time.perf_counter()
    raw = np.array([model.score_clips(one[None], ["a"], pooling=candidate.pooling)[0] for one in task.test])
    cost = {
        "training_seconds": trained - started,
        "window_milliseconds": 1000 * (time.perf_counter() - begun) / len(task.test),
    }
    return (raw - normal.mean()) / normal.std(), cost


def main() -> int:
    """Measure, print, write."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "practical.json")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="factories")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    groups: dict[str, list[dict[str, dict[str, float]]]] = {}
    if SOUNDS.is_file():
        groups["real toy cars"] = [_told(task) for task in toycar_tasks()]
    for seed in range(1, 1 + arguments.seeds):
        groups.setdefault("factory", []).extend(_told(task) for task in factory_tasks(seed))
    if not SOUNDS.is_file():
        sys.stderr.write(f"{SOUNDS} is not there: only the factory is measured\n")
    table = {group: _means(found) for group, found in groups.items()}
    for group, rows in table.items():
        sys.stdout.write(f"\n{group}, mean over {len(groups[group])} machines: AUC, pAUC, training, window\n")
        for name, row in rows.items():
            cost = f"{row['training_seconds']:6.1f} s {row['window_milliseconds']:6.2f} ms" if len(row) > 2 else ""
            sys.stdout.write(f"  {name:32} {row['auc']:.3f} {row['pauc']:.3f} {cost}\n")
    write(table, arguments.out)
    return 0


def _told(task: Task) -> dict[str, dict[str, float]]:
    """`measure`, with a line on standard error."""
    found = measure(task)
    told = ", ".join(f"{name} {row['auc']:.3f}" for name, row in found.items())
    sys.stderr.write(f"{task.name}: {told}\n")
    return found


def _means(found: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {figure: float(np.mean([one[name][figure] for one in found])) for figure in found[0][name]}
        for name in found[0]
    }


if __name__ == "__main__":
    sys.exit(main())
