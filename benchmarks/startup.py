"""What a command costs before it begins: CPU seconds of help, of one clip's score, of Spectral on 91 real sliders.

User and system time of the whole process and its children, medians of 5, started one behind the other.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.places import DATA
from benchmarks.timing import cpu_seconds

REPEATS = 5


def figures() -> dict[str, float]:
    """All three; without the real sliders, that of help alone."""
    found = {"help_cpu_s": median(lambda: ["--help"])}
    data = DATA / "dcase2020_mini"
    if not data.is_dir():
        print(f"{data} is not there: score_one_cpu_s and run_spectral_cpu_s are left out", file=sys.stderr)
        return found
    sliders = data / "dev_data" / "slider"
    with tempfile.TemporaryDirectory() as name:
        detector, run = Path(name) / "slider.auscult", Path(name) / "run"
        cpu_seconds(["learn", sliders / "train", "--out", detector])
        clip = next((sliders / "test").glob("*.wav"))
        found["score_one_cpu_s"] = median(lambda: ["score", detector, clip])

        def anew() -> Sequence[object]:
            shutil.rmtree(run, ignore_errors=True)
            return ["run", "spectral", "--data", data, "--machine-type", "slider", "--out", run]

        found["run_spectral_cpu_s"] = median(anew)
    return found


def median(arguments: Callable[[], Sequence[object]]) -> float:
    """Of a command's CPU seconds, after one run that does not count: it may write Python's bytecode."""
    return statistics.median([cpu_seconds(arguments()) for _ in range(REPEATS + 1)][1:])
