"""Files from strangers: damaged detectors, damaged sounds and hostile recipes, through the commands that read them.

`python -m benchmarks.attack [--detectors 2000] [--sounds 1000] [--recipes 200]` makes each file from a seed
and its number, gives it to `auscult score`, `info`, `inspect` or `plan` within a few worker processes, and prints a
table of what became of them. Every file must be used, or refused in a line that names it (a recipe also by its key or
its member): a traceback, a crash, more than 5 s of computing or more than 1.5 GB is a failure, which is listed, and the
exit code is 1.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.attack_files import Case, cases, originals

MOST_SECONDS, MOST_BYTES = 5.0, 1.5e9
PATIENCE = 30.0
"""Seconds after which a case is ended."""
ADDRESS_SPACE = 24 * 2**30
"""What a worker may reserve: enough to see what it takes, and too little to take the machine along."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case: used, refused, unnamed, traceback, crash or endless; seconds, peak bytes, last words."""

    case: Case
    result: str
    seconds: float
    peak: float
    words: str = ""

    @property
    def failed(self) -> bool:
        """Whether it may not be so."""
        good = self.result in ("used", "refused")
        return not good or self.seconds > MOST_SECONDS or self.peak > MOST_BYTES


def call(command: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and words of a command in this process; -1 for a traceback."""
    from auscult.cli import main

    words = io.StringIO()
    with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
        try:
            main(command)
        except SystemExit as stop:
            return int(stop.code or 0), words.getvalue()
        except BaseException:  # noqa: BLE001  # that is what is looked for
            return -1, traceback.format_exc()
    return 0, words.getvalue()


def judged(case: Case) -> Outcome:
    """A case in this process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    start = time.process_time()  # others may be at work on this computer
    code, words = call(case.command)
    seconds = time.process_time() - start
    named = case.path.name in words.replace("\n", "") or (
        case.what == "recipes" and ("error: " in words or "missing: " in words)
    )
    result = "used" if code == 0 else "traceback" if code not in (1, 2, 3) else "refused" if named else "unnamed"
    status = Path("/proc/self/status").read_text().split("VmHWM:")[-1].split()[0]
    return Outcome(case, result, seconds, float(status) * 1024, words[-2000:] if result != "used" else "")


def work(connection: Connection) -> None:
    """Judge cases until there are no more."""
    os.environ["COLUMNS"] = "10000"
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(EOFError):
        while True:
            connection.send(judged(connection.recv()))


def attacked(listed: Iterable[Case], *, workers: int) -> Iterator[Outcome]:
    """What becomes of each case; a worker that crashes or does not come back is replaced."""
    import torch

    import auscult.detector
    import auscult.runs.plan  # noqa: F401  # the workers are copies of this process

    torch.set_num_threads(1)
    context, waiting = multiprocessing.get_context("fork"), iter(listed)
    busy: dict[Connection, tuple[Any, Case, float]] = {}

    def give(connection: Connection | None, process: Any) -> None:
        if (case := next(waiting, None)) is None:
            return
        if connection is None or not process.is_alive():
            connection, far = context.Pipe()
            process = context.Process(target=work, args=(far,), daemon=True)
            process.start()
            far.close()
        connection.send(case)
        busy[connection] = process, case, time.monotonic()

    for _ in range(workers):
        give(None, None)
    while busy:
        ended = wait(list(busy), timeout=0.5)
        for ready in [connection for connection in busy if connection in ended]:
            process, case, start = busy.pop(ready)
            try:
                yield ready.recv()
            except (EOFError, OSError):
                process.join()
                yield Outcome(case, "crash", time.monotonic() - start, 0.0, f"exit code {process.exitcode}")
            give(ready if process.is_alive() else None, process)
        for connection, (process, case, start) in list(busy.items()):
            if time.monotonic() - start > PATIENCE:
                del busy[connection]
                process.kill()
                yield Outcome(case, "endless", time.monotonic() - start, 0.0)
                give(None, None)


def main(arguments: list[str] | None = None) -> int:
    """Attack, print the table and what failed."""
    parser = argparse.ArgumentParser(description="Attack the commands with damaged files.")
    numbers = {"detectors": 2000, "sounds": 1000, "recipes": 200}
    for what, number in numbers.items():
        parser.add_argument(f"--{what}", type=int, default=number)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is there: workers are forked
    found: dict[str, list[Outcome]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        code, words = call(tuple(originals(Path(folder))))
        if code != 0:
            raise SystemExit(f"no detector to attack: {words}")
        asked, learned = {what: getattr(given, what) for what in numbers}, Path(folder) / "pump.auscult"
        for outcome in attacked(cases(Path(folder), learned, asked, seed=given.seed), workers=given.workers):
            found[outcome.case.what].append(outcome)
            outcome.case.path.unlink()
    print("| | files | used | refused by name | failed | slowest | most memory |\n|---|---|---|---|---|---|---|")
    for what, outcomes in found.items():
        count, failed = Counter(one.result for one in outcomes), sum(one.failed for one in outcomes)
        slowest, peak = max(one.seconds for one in outcomes), max(one.peak for one in outcomes)
        print(f"| {what} | {len(outcomes)} | {count['used']} | {count['refused']} | {failed} | {slowest:.1f} s | "
              f"{peak / 1e6:.0f} MB |")  # fmt: skip
    bad = [one for outcomes in found.values() for one in outcomes if one.failed]
    for one in bad[:40]:
        print(f"\n{one.result}, {one.seconds:.1f} s, {one.peak / 1e6:.0f} MB: {one.case.command}\n{one.words[-1200:]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
