"""What encoders know of machines, and what they cost: classes of mechanical sounds by the nearest clip, time of a clip.

`python -m benchmarks.encoders` looks for `../shared/data` beside the project, prints a table and writes
`benchmarks/results/encoders.json`. A sound is given the class of the nearest clip of another recording, by the mean
over time of what the features make of it, each value standardised over all clips. Then a detector learns ten minutes of
a fan by YAMNet, and scores windows of 10 s as a monitor does at a step of 1 s: the real-time factor, which is to be at
most 0.05, and how far its ONNX graphs are from torch. The exit code is 1 where a target is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.features import features_of
from auscult.features.base import Features
from auscult.sound.audio import read_waveform
from benchmarks.detector_speed import window_seconds, write_fan
from benchmarks.places import DATA, RESULTS, write
from benchmarks.timing import in_turns

RATE, MINUTES, REPEATS = 16000, 10, 5
MOST_FACTOR, PARITY = 0.05, 1e-4

MEL: dict[str, Any] = {
    "kind": "onnx", "file": "melspectrogram.onnx", "window": 0.032, "hop": 0.01, "sees": "clip", "scale": 32767.0
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "log-mel": {"kind": "log_mel"},
    "modulation": {"kind": "modulation"},
    "YAMNet": {"kind": "yamnet"},
    "speech embedding": {
        "kind": "onnx", "file": "speech_embedding.onnx", "window": 0.76, "hop": 0.08, "scale": 0.1, "offset": 2.0,
        "front_end": MEL,
    },
}  # fmt: skip


def main() -> int:
    import torch

    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    clips = sorted((DATA / "mechanical").glob("*/*.flac"))
    if not clips:
        print(f"the sounds are not there: {DATA / 'mechanical'}; put them there and run again", file=sys.stderr)
        return 2
    encoders = {name: made(config) for name, config in KINDS.items()}
    waveforms = [read_waveform(clip, sample_rate=RATE, channel=0) for clip in clips]
    classes = np.array([clip.parent.name for clip in clips])
    recordings = np.array([clip.stem.split("-")[1] for clip in clips])
    results: dict[str, Any] = {"clips": len(clips), "classes": len(set(classes)), "encoders": {}}
    rng = np.random.default_rng(0)
    works = {name: partial(embed, encode, unheard(rng)) for name, encode in encoders.items()}
    times = in_turns(works, repeats=REPEATS)
    for name, encode in encoders.items():
        vectors = np.stack([encode(waveform).mean(axis=0) for waveform in waveforms])
        accuracy = class_accuracy(vectors, classes, recordings)
        results["encoders"][name] = {
            "class_accuracy": accuracy,
            "values": vectors.shape[1],
            "clip_ms": 1000 * times[name],
        }
    results["yamnet_vs_onnxruntime"] = against_onnxruntime(next(unheard(rng)), times["YAMNet"])
    results["live"] = live()
    for name, row in results["encoders"].items():
        print(f"{name:18} {row['class_accuracy']:.3f}  {row['values']:5} values  {row['clip_ms']:6.1f} ms for 10 s")
    print(f"YAMNet against onnxruntime, a window at a time: {results['yamnet_vs_onnxruntime']:.2f} times as fast")
    factor, difference = (results["live"][name] for name in ("real_time_factor", "onnx_difference"))
    print(
        f"live: real-time factor {factor:.4f} (at most {MOST_FACTOR}); "
        f"ONNX {difference:.1g} from torch (at most {PARITY})"
    )
    write(results, RESULTS / "encoders.json")
    return int(factor > MOST_FACTOR or difference > PARITY)


def unheard(rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """10 s of noise for each turn, made before its time is taken; what was heard before would be remembered."""
    return iter([rng.normal(0, 0.1, 10 * RATE).astype(np.float32) for _ in range(1 + REPEATS)])


def embed(encode: Features, sounds: Iterator[NDArray[np.float32]]) -> None:
    encode(next(sounds))


def live() -> dict[str, float]:
    """A detector by YAMNet: processor time for a second of sound, and how far its graphs are from torch."""
    from auscult.detector.learn import LearnSettings, learn
    from auscult.export import export_detector
    from auscult.recipe import load_recipe

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "normals").mkdir()
        last = write_fan(folder / "normals", MINUTES)
        detector = learn(
            folder / "normals",
            recipe=load_recipe("dual"),
            settings=LearnSettings(adapt_window=False),
            machine="fan",
            weights=DATA / "encoders",
        ).detector
        difference = max(member.difference for member in export_detector(detector, folder / "onnx"))
    cost = window_seconds(detector, last)
    return {"real_time_factor": cost / detector.step_seconds, "target": MOST_FACTOR, "onnx_difference": difference}


def made(config: dict[str, Any]) -> Features:
    """The features, their weights from the folder of encoders."""
    weights = {"weights": str(DATA / "encoders")} if config["kind"] in ("yamnet", "onnx") else {}
    rate = {} if config["kind"] == "yamnet" else {"sample_rate": RATE}
    return features_of({**config, **rate, **weights})


def class_accuracy(vectors: NDArray[np.float32], classes: NDArray[Any], recordings: NDArray[Any]) -> float:
    """Share of the clips whose nearest clip of another recording is of their class."""
    x = vectors.astype(np.float64)
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)
    distances = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    distances[recordings[:, None] == recordings] = np.inf
    return float((classes[distances.argmin(axis=1)] == classes).mean())


def against_onnxruntime(sound: NDArray[np.float32], ours: float) -> float:
    """Time of onnxruntime on the same windows, one at a time, over ours."""
    import onnxruntime
    import torch

    from auscult.features.yamnet_network import LogMelPatches

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(DATA / "encoders" / "yamnet.onnx", options)
    front_end = LogMelPatches()

    def one_by_one() -> None:
        with torch.inference_mode():
            spectrogram = front_end(torch.from_numpy(sound)).numpy()
        for start in range(0, len(spectrogram) - 95, 48):
            session.run(None, {"audio": spectrogram[None, None, start : start + 96]})

    return in_turns({"onnxruntime": one_by_one}, repeats=REPEATS)["onnxruntime"] / ours


if __name__ == "__main__":
    sys.exit(main())
