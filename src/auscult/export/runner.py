"""Score recordings with the detector beside this file; it needs numpy and onnxruntime, and far.py if that lies here.

python run.py [--machine NAME] FILE.wav ...     prints a JSON object in each line; exit code 3 if a file has no score
"""

import argparse
import json
import struct
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
WANTED = "give a wav file of whole numbers"
FACTS: dict[str, Any] = {}
MACHINES: dict[str, dict[str, Any]] = {}
Made = dict[str, NDArray[np.float32]]


class Steps:
    """Runs graphs one after another, each given what the one before it made; members may share the first ones."""

    def __init__(self, folder: Path, chains: list[list[dict[str, Any]]]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.sessions = {
            step["file"]: onnxruntime.InferenceSession(
                str(folder / step["file"]), options, providers=["CPUExecutionProvider"]
            )
            for steps in chains
            for step in steps
        }

    def score(self, steps: list[dict[str, Any]], waveform: NDArray[np.float32], place: int, made: Made) -> float:
        """The score of a member, of the machine at that place among its ids; `made` keeps what others want, too."""
        values = waveform
        for step in steps[:-1]:
            if step["file"] not in made:
                made[step["file"]] = self._made(step, values)
            values = made[step["file"]]
        feeds = {steps[-1]["input"]: values, "machine": np.array(place, dtype=np.int64)}
        return float(self.sessions[steps[-1]["file"]].run(["score"], feeds)[0])

    def _made(self, step: dict[str, Any], values: NDArray[np.float32]) -> NDArray[np.float32]:
        session = self.sessions[step["file"]]
        if "shape" not in step:
            found: NDArray[np.float32] = session.run([step["output"]], {step["input"]: values})[0]
            return found
        parts = []
        for start in range(0, len(values), step["together"]):
            some = values[start : start + step["together"]].reshape(step["shape"])
            parts.append(session.run([step["output"]], {step["input"]: some})[0].reshape(-1, step["values"]))
        return np.concatenate(parts)


def samples_of(path: Path) -> tuple[int, NDArray[Any]]:
    """Sample rate in Hz and samples `[T, channels]` of a wav file of whole numbers."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file; write the sound to a wav file")
    with path.open("rb") as file:
        size, head, form = path.stat().st_size, file.read(12), b""
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise ValueError(f"it {'does not start with RIFF' if size else 'is empty'}; {WANTED}")
        while len(chunk := file.read(8)) == 8:
            (name, length), start = struct.unpack("<4sI", chunk), file.tell()
            if name == b"data":
                break
            form = file.read(min(length, 40)) if name == b"fmt " else form
            file.seek(start + length + length % 2)
        else:
            raise ValueError(f"it has no samples behind its header; {WANTED}")
    if len(form) < 16:
        raise ValueError(f"its header does not say what its samples are; {WANTED}")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if kind == 0xFFFE:  # extensible: the kind stands behind
        kind = int.from_bytes(form[24:26], "little")
    if kind != 1:
        raise ValueError(f"its samples are no whole numbers (format {kind}); {WANTED}")
    if bits not in (16, 32):
        raise ValueError(f"its samples have {bits} bits; convert it to 16 or 32 bits, whole numbers")
    if length > size - start and not any(top - 2**16 <= length <= top for top in (2**31, 2**32)):
        raise ValueError("it is truncated; copy it again")
    # of a length that says nothing, as of a recorder that was stopped, all that is there
    length = size - start if length > size - start or (length == 0 and abs(head_size(head) - size) > 1) else length
    shape = length // max(1, channels * bits // 8), channels
    return rate, np.memmap(path, f"<i{bits // 8}", "r", start, shape) if min(shape) else np.zeros(shape, np.int16)


def head_size(head: bytes) -> int:
    """Of the whole file, as its first bytes say."""
    return int.from_bytes(head[4:8], "little") + 8


def windows(path: Path) -> Iterator[NDArray[np.float32]]:
    """The windows of a file: float32 `[T, channels]`, full scale is 1; of a short file, all of it."""
    rate, samples = samples_of(path)
    total, channels = samples.shape
    if rate != FACTS["sample_rate"]:
        raise ValueError(f"its rate is {rate} Hz, the detector's {FACTS['sample_rate']} Hz; record at that")
    wanted = channels_of()
    if channels <= max(wanted):
        raise ValueError(f"it has {channels} channels, the detector hears {' and '.join(map(str, wanted))}, from 0")
    if total < FACTS["shortest_samples"]:
        raise ValueError(f"it has {total} samples; the detector needs {FACTS['shortest_samples']}")
    length = min(FACTS["window_samples"], total)
    scale = 2 ** (8 * samples.itemsize - 1)
    for start in range(0, total - length + 1, FACTS["step_samples"]):
        yield (samples[start : start + length, wanted] / scale).astype(np.float32)


def channels_of() -> list[int]:
    """Of the microphone, and of the far one if there are two."""
    return [FACTS[name] for name in ("channel", "reference_channel") if FACTS[name] is not None]


def heard_of(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is scored `[T]` of one microphone `[T, 1]`; of two `[T, 2]`, the near one less what the far one predicts."""
    return waveform[:, 0] if waveform.shape[1] == 1 else without_far()(waveform)


@cache
def without_far() -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The function, from the file beside this one."""
    found: Callable[[NDArray[np.float32]], NDArray[np.float32]] = run_path(str(FOLDER / "far.py"))["without_far"]
    return found


def window_score(graphs: Steps, heard: NDArray[np.float32], machine_id: str) -> float:
    """The members' standardised scores as one: their weighted mean, their minimum, or the mean of their chances."""
    scores: list[float] = []
    weights: list[float] = []
    made: Made = {}
    for member in FACTS["members"]:
        ids = member["ids"] or []
        place = ids.index(machine_id) if machine_id in ids else -1
        score = graphs.score(member["steps"], heard, place, made)
        z = (score - member["mean"]) / member["sd"]
        scores.append(float(np.arcsinh(z)) if member["curve"] == "asinh" else z)
        weights.append(member["weight"])
    if FACTS["fusion"] == "minimum":
        return float(min(scores))
    if FACTS["fusion"] == "tail":  # minus the logarithm of the mean chance of a normal sound to be as abnormal
        chances = -np.logaddexp(0.0, np.pi / np.sqrt(3) * np.array(scores))
        return -float(np.logaddexp.reduce(chances + np.log(weights)))
    return float(sum(weight * score for weight, score in zip(weights, scores, strict=True)))


def is_sound(waveform: NDArray[np.float32]) -> bool:
    """Whether a channel `[T]` says anything about a machine: no silence, not clipped, without a drop-out."""
    limits = FACTS["sound"]
    size = max(1, round(limits["bucket_seconds"] * FACTS["sample_rate"]))
    buckets = waveform[: len(waveform) // size * size].reshape(-1, size).astype(np.float64)
    runs = "".join("x" if bucket.min() == bucket.max() else " " for bucket in buckets).split()
    still = max(map(len, runs), default=0) * size / FACTS["sample_rate"]
    clipped = (np.abs(buckets) >= limits["full_scale"]).mean()
    silent = buckets.std() < 10 ** (limits["silence_decibels"] / 20)
    return not (silent or clipped > limits["clipped_share"] or still >= limits["dropout_seconds"])


def judged(graphs: Steps, path: Path, machine: dict[str, Any]) -> dict[str, Any]:
    """What the detector says of a file: the k-th largest score of n windows on end, at the worst moment."""
    heard: dict[bool, list[float]] = {True: [], False: []}
    whole = True
    for waveform in windows(path):
        heard[all(map(is_sound, waveform.T))].append(window_score(graphs, heard_of(waveform), machine["machine_id"]))
        whole = len(waveform) >= FACTS["judged_samples"]
    scores = heard[True] or heard[False]
    k, n = (min(FACTS["alarm"][name], len(scores)) for name in ("k", "n"))
    score = max(sorted(scores[start : start + n])[n - k] for start in range(len(scores) - n + 1))
    threshold, warning, p_value, decision = machine["threshold"], machine["warning"], None, "unknown"
    if threshold is not None and whole and heard[True]:
        greater = next((number for value, number in machine["reference"] if value < score), machine["references"])
        p_value = min(1.0, len(scores) / k * (1 + greater) / (1 + machine["references"]))
        decision = "warning" if warning is not None and score > warning else "normal"
        decision = "anomalous" if score > threshold else decision
    found = {"file": str(path), "machine_id": machine["name"], "score": score}
    found |= {"threshold": threshold, "p_value": p_value, "decision": decision, "warning": warning}
    return found | {"caveat": (machine["calibration"] or {"caveat": ""})["caveat"]}


def machine_of(path: Path) -> str:
    """The only machine, or the one whose name is a folder of the path or stands in the file's name."""
    found = [name for name in MACHINES if name in path.parts[:-1]]
    found = (
        list(MACHINES)
        if len(MACHINES) == 1
        else found or [name for name in MACHINES if f"_{name}_" in f"_{path.stem}_"]
    )
    if len(found) != 1:
        raise ValueError(f"it does not say which machine made it, of {', '.join(MACHINES)}; name it with --machine")
    return found[0]


if __name__ == "__main__":
    FACTS.update(json.loads((FOLDER / "detector.json").read_text(encoding="utf-8")))
    MACHINES.update({machine["name"]: machine for machine in FACTS["machines"]})
    graphs = Steps(FOLDER, [member["steps"] for member in FACTS["members"]])
    parser = argparse.ArgumentParser(description="Score recordings (wav) with the detector beside this file.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--machine", choices=MACHINES, help="which machine made them")
    arguments, failed = parser.parse_args(), False
    for path in arguments.files:
        try:
            print(json.dumps(judged(graphs, path, MACHINES[arguments.machine or machine_of(path)])), flush=True)
        except (OSError, ValueError, MemoryError) as error:
            failed = True
            print(f"error: {path}: {str(error) or 'there is not enough memory; cut the file'}", file=sys.stderr)
    sys.exit(3 if failed else 0)
