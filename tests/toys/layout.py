"""A toy layout: a list of clips with domains and attributes. Add it: `DATASETS["toy"] = layout`."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from auscult.clips import Clip
from auscult.datasets.tree import Problem

TITLE, CITATION, LICENCE, LAYOUT = "toy", "", "", "clips.csv beside the sounds that it lists"


def detect(root: Path) -> bool:
    return (root / "clips.csv").is_file()


def read(root: Path, *, truth: Path | None = None) -> tuple[list[Clip], list[Problem]]:
    clips = []
    with (root / "clips.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            facts = [row[name] for name in ("id", "split", "label", "subset", "file", "domain")]
            clips.append(Clip(root / row["file"], "fan", *facts, attributes=(("speed", row["speed"]),)))
    return clips, []


def write(root: Path, *, seconds: float = 1.0) -> Path:
    """Two development machines and an evaluation machine, each in two domains: hums, and louder hums."""
    rng = np.random.default_rng(0)
    (root / "sounds").mkdir(parents=True)
    rows = []
    parts = [("train", "normal"), ("test", "normal"), ("test", "anomaly")]
    machines = [("id_00", "development"), ("id_02", "development"), ("id_01", "evaluation")]
    for machine_id, subset in machines:
        for split, label in parts:
            for number, domain in enumerate(["source"] * 4 + ["target"] * 2):
                file = f"sounds/{machine_id}_{split}_{label}_{number}.wav"
                sound = rng.normal(scale=0.05 if label == "normal" else 0.08, size=round(16000 * seconds))
                soundfile.write(root / file, sound, 16000)
                part = "additional" if (split, subset) == ("train", "evaluation") else subset
                rows.append([file, machine_id, split, label, part, domain, "28V" if domain == "source" else "31V"])
    with (root / "clips.csv").open("w", newline="") as file_:
        csv.writer(file_).writerows([["file", "id", "split", "label", "subset", "domain", "speed"], *rows])
    return root
