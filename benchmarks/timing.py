"""What the benchmarks share: works in turns, the CPU time of a command, the precisions that a processor has."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from auscult.training import Precision
from auscult.training.settings import SLOWEST_BF16, bf16_slowness


def side_by_side(other: Callable[[], object], ours: Callable[[], object], *, repeats: int = 9) -> float:
    """Median time of the other over median time of ours; they take turns, after one turn that does not count."""
    times = in_turns({"other": other, "ours": ours}, repeats=repeats)
    return times["other"] / times["ours"]


def in_turns(works: Mapping[str, Callable[[], object]], *, repeats: int = 9) -> dict[str, float]:
    """Median time of each, in seconds; they take turns, after one turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if repeat:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def cpu_seconds(arguments: Sequence[object]) -> float:
    """What a command of auscult takes of the processors, in itself and all its children, from start to end."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    before = os.times()
    words = [sys.executable, "-m", "auscult", *map(str, arguments)]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def precisions(device: str = "cpu") -> tuple[Precision, ...]:
    """The precisions to measure on a device: a processor without instructions for bfloat16 would take hours for it."""
    return ("fp32", "bf16") if device != "cpu" or bf16_slowness() <= SLOWEST_BF16 else ("fp32",)


def left_out() -> dict[str, str]:
    """What was not measured on this processor, with the reason."""
    if "bf16" in precisions():
        return {}
    reason = f"takes {bf16_slowness():.0f} times as long as float32 on this processor, which has no instructions for it"
    return {"bfloat16, left out": reason}
