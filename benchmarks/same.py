"""Whether users notice a change of the code: scores, run folders and detectors of a commit and of today, compared.

`python -m benchmarks.same --base COMMIT` checks the commit out into a temporary worktree and runs both with the same
seeds, in processes of one thread: `quick` on a tiny factory, `learn` and `score` on real sliders, Spectral and HVAE on
log-mels of toy cars. Today's code then gets the run folder and the detectors that the commit's made. It has to give the
same scores, or to refuse them in one line that says what to do. The exit code is 1 where it does neither, and 2 where
the commit cannot be checked out. Where the sounds in `../shared/data` beside the project are missing, their parts are
left out. It takes five minutes on one core.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from auscult.processes import ONE_THREAD
from benchmarks.places import DATA, PROJECT
from benchmarks.same_tables import Finding, Tables, cells, compared, files_of, leaves

SLIDER = DATA / "dcase2020_mini" / "dev_data" / "slider"
TOY_CARS = DATA / "toycar_logmel.npz"

PACKED = "pump"
"""The machine type of the run that is packed."""

ARRAYS = """
import csv, sys
import numpy as np
import torch
from auscult.models import HVAE, Spectral
from auscult.training import Training

torch.set_num_threads(1)
short = Training(epochs=3, decay=0.93, decay_every=1)
with np.load(sys.argv[1]) as file:
    train, test, names = file["train"], file["test"], [file[part].tolist() for part in ("train_names", "test_names")]
ids = [["_".join(name.split("_")[1:3]) for name in some] for some in names]
for model in (Spectral(n_bins=128), HVAE(n_bins=128, big_precision=True)):
    scores = model.fit(train, ids[0], training=short).score_clips(test, ids[1])
    csv.writer(sys.stdout).writerows([model.family, *row] for row in zip(names[1], map(repr, map(float, scores))))
"""
"""Rows of family, clip and score; the settings of `benchmarks.real`, but for the epochs."""


class CommandError(Exception):
    """A command did not do what it was asked to."""


class RefusalError(CommandError):
    """A command ended with code 2 and said in one line why, and what to do."""


@dataclass(frozen=True)
class Code:
    """A version of the package, in processes that import it from its folder."""

    name: str
    source: Path

    def python(self, *words: object, script: str = "") -> str:
        """What a command prints. Raises `CommandError` where its exit code is not 0."""
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(self.source)}
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, input=script, env=environment)
        if done.returncode == 0:
            return done.stdout
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        errors = [line for line in said if line.startswith("error: ")]
        advised = re.search("[;.] ", said[-1]) and "COMMAND --help" not in said[-1]  # help is for unknown options
        if done.returncode == 2 and errors == said[-1:] and advised:
            raise RefusalError(said[-1])
        raise CommandError(f"{' '.join(command[1:4])} of {self.name} ended with code {done.returncode}: {said[-1]}")

    def auscult(self, *words: object) -> str:
        return self.python("-m", "auscult", *words)

    def scores(self, detector: Path, sounds: Path) -> Tables:
        return {"the scores": cells(self.auscult("score", detector, sounds, "--csv"))}

    def run(self, factory: Path, out: Path) -> Tables:
        """The score tables of a run of `quick`, a new one or one that goes on."""
        self.auscult("run", "quick", "--data", factory, "--out", out, "--workers", 1, "--device", "cpu")
        return files_of(out / "scores")


def quick(base: Code, today: Code, folder: Path) -> Iterator[Finding]:
    """A run by each, system by system."""

    def system(name: str) -> str:
        return Path(name).name.rsplit(".", 2)[0]  # `pump/ensemble.uniform.test.csv`: `ensemble.uniform`

    base.auscult("synth", folder / "factory", "--size", "tiny")
    theirs, ours = (code.run(folder / "factory", folder / f"{code.name}-run") for code in (base, today))
    for one in sorted(set(map(system, theirs | ours))):
        parts = ({name: rows for name, rows in all_.items() if system(name) == one} for all_ in (theirs, ours))
        yield compared(f"run quick: {one}", *parts)


def run_folder(base: Code, today: Code, folder: Path) -> Iterator[Finding]:
    """The base's run: packed, submitted, evaluated and run again by today's code."""
    run, again, factory = folder / "base-run", folder / "base-run-again", folder / "factory"
    sounds = factory / "dev_data" / PACKED / "test"

    def packed(code: Code) -> Tables:
        code.auscult("pack", run, "--machine-type", PACKED, "--out", folder / f"{code.name}-{PACKED}.auscult")
        return code.scores(folder / f"{code.name}-{PACKED}.auscult", sounds)

    def submitted(code: Code) -> Tables:
        code.auscult("submit", run, "--out", folder / f"{code.name}-submission")
        return files_of(folder / f"{code.name}-submission")

    def evaluated(code: Code) -> Tables:
        truth = factory / "eval_data_list.csv"
        return {"AUC": leaves(code.auscult("evaluate", folder / "base-submission", "--truth", truth, "--json"))}

    theirs = packed(base)
    yield taken("base's run, packed and scored", theirs, lambda: packed(today))
    yield taken("base's packed detector", theirs, lambda: today.scores(folder / f"base-{PACKED}.auscult", sounds))
    yield taken("base's run, submitted", submitted(base), lambda: submitted(today))
    yield taken("base's submission, evaluated", evaluated(base), lambda: evaluated(today))
    shutil.copytree(run, again)
    before = set(again.glob("store/*/*/"))
    finding = taken("base's run, run again", files_of(run / "scores"), lambda: today.run(factory, again))
    if finding.values:
        new = len(set(again.glob("store/*/*/")) - before)
        finding.note = finding.note or f"it went on and made {new} artefacts beside the {len(before)} there"
    yield finding


def sliders(base: Code, today: Code, folder: Path) -> Iterator[Finding]:
    """A detector of 75 real recordings by each, and the base's in today's hands."""
    if not SLIDER.is_dir():
        yield Finding("sliders", note=f"left out, for {SLIDER} is not there")
        return

    def learned(code: Code) -> Tables:
        code.auscult("learn", SLIDER / "train", "--out", folder / f"{code.name}-slider.auscult", "--workers", 1)
        return code.scores(folder / f"{code.name}-slider.auscult", SLIDER / "test")

    theirs = learned(base)
    yield taken(
        "base's detector of sliders", theirs, lambda: today.scores(folder / "base-slider.auscult", SLIDER / "test")
    )
    yield compared("learn and score: sliders", theirs, learned(today))


def toy_cars(base: Code, today: Code, _: Path) -> Iterator[Finding]:
    """Models of arrays, without the command line."""
    if not TOY_CARS.is_file():
        yield Finding("toy cars", note=f"left out, for {TOY_CARS} is not there")
        return
    theirs, ours = (cells(code.python("-", TOY_CARS, script=ARRAYS)) for code in (base, today))
    for family in ("spectral", "hvae"):
        parts = ({family: [row for row in rows if row[0] == family]} for rows in (theirs, ours))
        yield compared(f"toy cars: {family}", *parts)


PARTS: tuple[Callable[[Code, Code, Path], Iterator[Finding]], ...] = (quick, run_folder, sliders, toy_cars)


def taken(what: str, base: Tables, today: Callable[[], Tables]) -> Finding:
    """What today's code makes of the base's files, which it may also refuse."""
    try:
        return compared(what, base, today())
    except RefusalError as error:
        return Finding(what, note=f"refused: {error}")
    except CommandError as error:
        return Finding(what, same=False, note=f"neither read nor refused with what to do: {error}")


def findings(base: Code, today: Code, folder: Path) -> Iterator[Finding]:
    for part in PARTS:
        try:
            yield from part(base, today, folder)
        except CommandError as error:
            yield Finding(part.__name__.replace("_", " "), same=False, note=str(error))


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A worktree of a commit; removed at the end, whatever happens."""
    git = ["git", "-C", str(PROJECT), "worktree"]
    with tempfile.TemporaryDirectory(prefix="same-base-") as name:
        tree = Path(name, "base")
        try:
            subprocess.run([*git, "add", "--detach", str(tree), commit], check=True, capture_output=True, text=True)
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=False, capture_output=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same", description="Today's code beside a commit's.")
    parser.add_argument("--base", default="4c0da62", help="the commit")
    parser.add_argument("--json", action="store_true", help="print an object for each comparison")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder for what both make; temporary otherwise")
    options = parser.parse_args()
    if options.keep and options.keep.exists():
        parser.error(f"{options.keep} is there already; name a new folder")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the worktree is removed then, too
    same = True
    try:
        with checked_out(options.base) as tree, tempfile.TemporaryDirectory(prefix="same-") as name:
            folder = options.keep.resolve() if options.keep else Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            for finding in findings(Code("base", tree / "src"), Code("today", PROJECT / "src"), folder):
                print(json.dumps(asdict(finding)) if options.json else finding, flush=True)
                same &= finding.same
    except subprocess.CalledProcessError as error:
        print(f"{options.base} cannot be checked out: {error.stderr.strip()}", file=sys.stderr)
        return 2
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
