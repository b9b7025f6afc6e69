"""How long `auscult learn` takes with the recipe `practical`, and what a window costs: the real-time factor.

`python -m benchmarks.detector_speed` synthesises half an hour of a healthy fan, learns from it on one core, and scores
windows of 10 s as the monitor does at a step of 1 s. It writes `benchmarks/results/detector_speed.json`; the exit code
is 1 where the real-time factor, processor time for a second of sound, is above 0.01.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auscult.detector import Detector
    from auscult.sound.windows import Waveform

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

RESULTS = Path(__file__).parent / "results" / "detector_speed.json"
RATE, CLIP_SECONDS, CLIPS, WINDOWS = 16000, 60, 30, 200
TARGET = 0.01


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found = figures()
    for name, value in found.items():
        sys.stdout.write(f"{name:28} {value:.4g}\n")
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if found["real_time_factor"] > TARGET else 0


def figures() -> dict[str, float]:
    """Learn a fan, then score windows of its last recording."""
    import numpy as np
    import soundfile
    import torch

    from auscult.datasets.factory.hall import Hall
    from auscult.detector import Detector
    from auscult.detector.learn import LearnSettings, learn
    from auscult.recipe import load_recipe

    torch.set_num_threads(1)
    hall = Hall(seed=0, snr_db=6.0)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(CLIPS):
            clip = hall.record("fan", "id_00", "train", "normal", index, n_samples=CLIP_SECONDS * RATE)
            soundfile.write(Path(folder, f"{index}.wav"), clip.mix, RATE)
        started = time.process_time()
        learned = learn(
            Path(folder), recipe=load_recipe("practical"), settings=LearnSettings(adapt_window=False), machine="fan"
        )
        learning = time.process_time() - started
        learned.detector.save(Path(folder, "fan.auscult"))
        size = Path(folder, "fan.auscult").stat().st_size
        detector = Detector.load(Path(folder, "fan.auscult"))
    cost = window_seconds(detector, clip.mix.astype(np.float32))
    return {
        "normal_minutes": CLIPS * CLIP_SECONDS / 60,
        "learning_processor_seconds": learning,
        "file_bytes": size,
        "window_milliseconds": 1000 * cost,
        "real_time_factor": cost / detector.step_seconds,
        "target": TARGET,
    }


def window_seconds(detector: "Detector", sound: "Waveform") -> float:
    """Processor time of a window, the mean over windows a step apart; one before them does not count."""
    window, step = (detector.samples(seconds) for seconds in (detector.window_seconds, detector.step_seconds))
    detector.window_score(sound[:window])
    begun = time.process_time()
    for number in range(WINDOWS):
        start = number * step % (len(sound) - window)
        detector.window_score(sound[start : start + window])
    return (time.process_time() - begun) / WINDOWS


if __name__ == "__main__":
    sys.exit(main())
