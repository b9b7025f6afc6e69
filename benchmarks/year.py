"""A year of the challenge through the recipe `best` in one command: how time and memory grow with clips and with types.

`python -m benchmarks.run year` writes noise of the challenge's length under the names of 2024, whose 16 machine types
have 1,000 training and 200 test clips each, at smaller sizes, and runs `auscult run best` on each in a process of its
own with one worker. Time is that of the processors, the less of two, without that of a run on 12 clips; memory is the
peak of the largest process. An exponent is the slope of the line through the logarithms.
`benchmarks/results/year.json` holds all of it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from auscult.clips import LABELS, Split
from auscult.datasets.years import YEARS
from benchmarks.places import RESULTS, write
from benchmarks.scaling import exponent

YEAR, SECONDS, RATE = 2024, 10, 16_000
BY_CLIPS = tuple((4, clips) for clips in (60, 120, 240, 480))
BY_TYPES = tuple((types, 60) for types in (2, 4, 8, 16))
"""Numbers of machine types, and of clips of each."""
WHOLE = (1, 1200)
"""One machine type as large as the year's."""
LEAST = (1, 12)
REPEATS = 2

Sizes = tuple[tuple[int, int], ...]


def figures() -> dict[str, float]:
    sizes = dict.fromkeys((LEAST, *BY_CLIPS, *BY_TYPES, WHOLE))
    times: dict[tuple[int, int], list[tuple[float, float]]] = {size: [] for size in sizes}
    for _ in range(REPEATS):
        for size, measured in times.items():
            measured.append(measure(*size))
    best = {size: min(measured) for size, measured in times.items()}
    start, _ = best.pop(LEAST)
    runs = [
        {"types": types, "clips": clips, "seconds": seconds - start, "megabytes": megabytes}
        for (types, clips), (seconds, megabytes) in best.items()
    ]
    write({"start": start, "runs": runs}, RESULTS / "year.json")
    return exponents(runs)


def exponents(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of time against clips of each type and against types, and of memory against clips."""
    by_size = {(run["types"], run["clips"]): run for run in runs}

    def of(sizes: Sizes, what: str) -> float:
        clips = [float(types * clips) for types, clips in sizes]
        return exponent({"clips": clips, "seconds": [by_size[size][what] for size in sizes]})

    return {
        "exponent_year_clips": of(BY_CLIPS, "seconds"),
        "exponent_year_types": of(BY_TYPES, "seconds"),
        "exponent_year_memory": of(BY_CLIPS, "megabytes"),
    }


def measure(types: int, clips: int) -> tuple[float, float]:
    """Processor seconds and peak megabytes of a run on so many machine types with so many clips each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tree(folder / "data", types, clips)
        command = [sys.executable, "-m", "auscult", "run", "best", "--data", str(folder / "data")]
        command += ["--out", str(folder / "run"), "--device", "cpu", "--workers", "1"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            said = process.stderr.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(said.decode())
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def write_tree(root: Path, types: int, clips: int) -> None:
    """Noise under the names of the year: five sixths to train with, one in a hundred of them of the target."""
    import soundfile

    facts = YEARS[YEAR]
    sets = ("dev_data", facts.development), ("eval_data", facts.evaluation)
    every = [(folder, kind) for folder, machines in sets for kind in machines]
    for folder, kind in every[:: len(every) // types][:types]:
        train = clips * 5 // 6
        for number in range(clips):
            split: Split = "train" if number < train else "test"
            late = number < max(3, train // 100) if split == "train" else number % 2
            domain, label = "target" if late else "source", "normal" if split == "train" else LABELS[number // 2 % 2]
            file = facts.file("section_00", number, split=split, label=label, domain=domain)
            path = root / folder / kind / split / file
            path.parent.mkdir(parents=True, exist_ok=True)
            sound = np.random.default_rng([number, *kind.encode()]).normal(0, 2000, SECONDS * RATE)
            soundfile.write(path, sound.astype(np.int16), RATE, subtype="PCM_16")
