"""Which of our own files and functions a command enters, and through how many hands a window of the monitor goes.

Each command runs in a process of its own, in one thread, on a tiny factory. A file counts if anything in it ran since
the commands were known, were it that it was imported; bodies of modules and classes are no functions.
"""

import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmarks.places import PROJECT

PACKAGE = str(PROJECT / "src" / "auscult") + os.sep

LOOP = "Monitor.run"
"""Takes what the source gives; what it calls counts."""

ENDS = ("SlidingWindows.feed", "LogMel.__call__", "Spectral.clip_score")
"""Where the window is cut, becomes features and gets its score; on the stack are then all who handed it on."""

WORK = {"models", "log_mel.py"}
"""Folder and file of those who compute with it, who are not counted."""

COMMANDS = ("run", "learn", "score", "monitor")


def entered(commands: Collection[str] = COMMANDS) -> dict[str, dict[str, int]]:
    """Command -> `files` and `frames` (functions) that it enters; for `monitor`, also `calls_to_score`.

    What `score` and `monitor` need is learned in any case.
    """
    from auscult.datasets.factory import write_factory

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        factory = write_factory(root / "factory", size="tiny", machine_types=["fan"])
        normals = next(factory.rglob("fan/train"))
        clip, detector = str(next(normals.glob("*.wav"))), str(root / "fan.auscult")
        hvae = ["run", "hvae", "--data", str(factory), "--override", "training.epochs=1"]
        learn = ["learn", str(normals), "--machine", "fan", "--recipe", "spectral", "--out", detector, "--workers", "1"]
        if "learn" not in commands:
            command(["-m", "auscult", *learn], cwd=root)
        arguments = {
            "run": [*hvae, "--out", str(root / "run"), "--workers", "1", "--machine-type", "fan"],
            "learn": learn,
            "score": ["score", detector, clip],
            "monitor": ["monitor", detector, "--source", clip, "--threshold", "0"],
        }
        return {name: traced(line) for name, line in arguments.items() if name in commands}


def command(line: Sequence[str], *, cwd: Path) -> None:
    """Run Python in a process of its own, in one thread.

    Raises:
        RuntimeError: if it fails.
    """
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "src")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *line], capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)} failed: {done.stderr[-2000:]}")


def traced(arguments: Sequence[str]) -> dict[str, int]:
    """What one command enters.

    Raises:
        RuntimeError: if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.json")
        command(["-c", "from benchmarks.tracing import trace; trace()", str(found), *arguments], cwd=Path(folder))
        return dict(json.loads(found.read_text(encoding="utf-8")))


def trace() -> None:
    """In a process of its own: run the command of the further arguments, and write what it entered to the first."""
    from auscult.cli import main

    codes: set[CodeType] = set()
    handed: dict[str, set[CodeType]] = {}

    def watch(frame: FrameType, *_: Any) -> None:
        """Called where a function is entered; it watches no line, so nowhere else, which a profile would be."""
        if frame.f_code.co_filename.startswith(PACKAGE):
            codes.add(frame.f_code)
            if frame.f_code.co_qualname in ENDS:
                handed[frame.f_code.co_qualname] = handed.get(frame.f_code.co_qualname) or _hands(frame)

    out, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    threading.settrace(watch)
    sys.settrace(watch)
    try:
        main(sys.argv[1:])
    except SystemExit as stop:
        if stop.code:
            raise
    finally:
        sys.settrace(None)
    found = {"files": len({code.co_filename for code in codes}), "frames": sum(map(_is_function, codes))}
    if handed:
        found["calls_to_score"] = len(set().union(*handed.values()))
    Path(out).write_text(json.dumps(found), encoding="utf-8")


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_name[0] != "<"


def _hands(frame: FrameType | None) -> set[CodeType]:
    """Our functions on the stack between the loop of the monitor and one of the ends; none if that is not there."""
    found: set[CodeType] = set()
    while frame is not None and frame.f_code.co_qualname != LOOP:
        place = Path(frame.f_code.co_filename)
        if place.is_relative_to(PACKAGE) and _is_function(frame.f_code) and not {place.name, place.parent.name} & WORK:
            found.add(frame.f_code)
        frame = frame.f_back
    return found if frame is not None else set()
