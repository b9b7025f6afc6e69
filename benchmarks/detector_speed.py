"""How long `auscult learn` takes with the recipe `practical`, and what a window costs: the real-time factor.

`python -m benchmarks.detector_speed` synthesises half an hour of a healthy fan, learns from it on one core, and scores
windows of 10 s as the monitor does at a step of 1 s. Then the recipe `best` learns 1,000 clips of 10 s, from their
samples on, and scores one. It writes `benchmarks/results/detector_speed.json`; the exit code is 1 where the real-time
factor of `practical`, processor time for a second of sound, is above 0.01, or `best` takes more than three minutes to
learn or 60 ms to score.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.places import RESULTS, write

if TYPE_CHECKING:
    from auscult.detector import Detector
    from auscult.sound.windows import Waveform

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

RATE, CLIP_SECONDS, CLIPS, WINDOWS, ROUNDS = 16000, 60, 30, 45, 9
TARGET = 0.01
BEST_CLIPS, BEST_SECONDS, BEST_MILLISECONDS = 1000, 180.0, 60.0


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "detector_speed.json")
    arguments = parser.parse_args()
    found = figures() | best()
    for name, value in found.items():
        sys.stdout.write(f"{name:28} {value:.4g}\n")
    write(found, arguments.out)
    slow = found["best_learning_seconds"] > BEST_SECONDS or found["best_milliseconds"] > BEST_MILLISECONDS
    return int(slow or found["real_time_factor"] > TARGET)


def figures() -> dict[str, float]:
    """Learn a fan, then score windows of its last recording."""
    import torch

    from auscult.detector import Detector
    from auscult.detector.learn import LearnSettings, learn
    from auscult.recipe import load_recipe

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        last = write_fan(Path(folder), CLIPS)
        started = time.process_time()
        learned = learn(
            Path(folder), recipe=load_recipe("practical"), settings=LearnSettings(adapt_window=False), machine="fan"
        )
        learning = time.process_time() - started
        learned.detector.save(Path(folder, "fan.auscult"))
        size = Path(folder, "fan.auscult").stat().st_size
        detector = Detector.load(Path(folder, "fan.auscult"))
    cost = window_seconds(detector, last)
    return {
        "normal_minutes": CLIPS * CLIP_SECONDS / 60,
        "learning_processor_seconds": learning,
        "file_bytes": size,
        "window_milliseconds": 1000 * cost,
        "real_time_factor": cost / detector.step_seconds,
        "target": TARGET,
    }


def write_fan(folder: Path, clips: int) -> "Waveform":
    """Write so many minutes of a healthy fan, a file each; gives the last one."""
    import numpy as np
    import soundfile

    from auscult.datasets.factory.hall import Hall

    hall = Hall(seed=0, snr_db=6.0)
    for index in range(clips):
        clip = hall.record("fan", "id_00", "train", "normal", index, n_samples=CLIP_SECONDS * RATE).mix
        soundfile.write(folder / f"{index}.wav", clip, RATE)
    return clip.astype(np.float32)


def best() -> dict[str, float]:
    """Processor time of `best`: 1,000 clips learned, and one scored by them."""
    import numpy as np
    from numpy.typing import NDArray

    from auscult.detector.scorer import Scorer
    from auscult.features.bank import bank_of
    from auscult.features.heard import FrontEnds
    from auscult.members.fitting import fit_parts, front_ends_of, members_for
    from auscult.recipe import load_recipe

    recipe, rng = load_recipe("best"), np.random.default_rng(0)
    members = members_for(recipe, None)
    front_ends = front_ends_of(members, recipe, weights=None)
    learning, frames = 0.0, {name: list[NDArray[np.float32]]() for name in front_ends}
    for _ in range(BEST_CLIPS):
        sound = rng.normal(0, 0.1, 10 * RATE).astype(np.float32)
        begun = time.process_time()
        for name, heard in FrontEnds(front_ends).frames(sound, sample_rate=RATE).items():
            frames[name].append(heard)
        learning += time.process_time() - begun
    begun = time.process_time()
    banks = {
        name: bank_of(some, ["id_00"] * BEST_CLIPS, frame_rate=front_ends[name].features.frame_rate)
        for name, some in frames.items()
    }
    scorer = Scorer(fit_parts(members, recipe, front_ends, banks, device="cpu", on_epoch=lambda *_: None))
    learning += time.process_time() - begun
    unheard = [rng.normal(0, 0.1, 10 * RATE).astype(np.float32) for _ in range(WINDOWS)]  # what was heard is remembered
    begun = time.process_time()
    for sound in unheard:
        scorer.score(sound, "id_00", sample_rate=RATE)
    scoring = (time.process_time() - begun) / WINDOWS
    return {"best_clips": BEST_CLIPS, "best_learning_seconds": learning, "best_milliseconds": 1000 * scoring}


def window_seconds(detector: "Detector", sound: "Waveform") -> float:
    """Processor time of a window: the mean over windows a step apart, and of some rounds the least.

    Each round is softer than the one before: what was heard is remembered, and costs next to nothing a second time.
    """
    window, step = (detector.samples(seconds) for seconds in (detector.window_seconds, detector.step_seconds))
    rounds = []
    for softer in range(ROUNDS):
        heard = (sound * (1 - softer / 1000)).astype(sound.dtype)
        detector.window_score(heard[:window])
        begun = time.process_time()
        for number in range(1, 1 + WINDOWS):
            start = number * step % (len(heard) - window)
            detector.window_score(heard[start : start + window])
        rounds.append((time.process_time() - begun) / WINDOWS)
    return min(rounds)


if __name__ == "__main__":
    sys.exit(main())
