"""Fixtures that several test files share."""

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# One thread per test process, set before torch is imported: threads of several processes get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Where Python may write no bytecode, each process that a test starts would compile all its imports: torch alone 2 s.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False

# A shell without job control starts what it puts into the background deaf to Ctrl-C, and so would be all that we start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from hypothesis import settings

from brokers import broker  # noqa: F401 - a fixture

# A busy machine is slow at random; what is too slow shows in the benchmarks.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out tests of bfloat16 where the processor would take minutes for them."""
    if item.get_closest_marker("bf16"):
        from auscult.training.settings import SLOWEST_BF16, bf16_slowness

        if bf16_slowness() > SLOWEST_BF16:
            pytest.skip("this processor has no instructions for bfloat16")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real sounds beside the project; tests that need it are skipped where it is missing."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real sounds are not there: {folder}")
    return folder


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny factory of fans and valves: development, additional and evaluation clips. Tests do not change it."""
    from auscult.datasets.factory import write_factory

    return write_factory(tmp_path_factory.mktemp("data") / "factory", size="tiny", machine_types=["fan", "valve"])


@pytest.fixture(scope="session")
def record() -> Callable[..., Path]:
    """Writes a recording: `record(path, seconds=0.4, sample_rate=16000, channels=1, seed=None, **soundfile)`.

    Noise and a tone, which differ with the seed: by default the path's last two parts.
    """

    def write(
        path: Path,
        *,
        seconds: float = 0.4,
        sample_rate: int = 16000,
        channels: int = 1,
        seed: Any = None,
        **options: Any,
    ) -> Path:
        import soundfile

        rng = np.random.default_rng(list(str(seed if seed is not None else path.parts[-2:]).encode()))
        time = np.arange(round(seconds * sample_rate))[:, None] / sample_rate
        tone = np.sin(2 * np.pi * (300 + 100 * np.arange(channels)) * time + rng.random())
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.2 * tone + 0.02 * rng.standard_normal(tone.shape), sample_rate, **options)
        return path

    return write


@pytest.fixture
def pumps(tmp_path: Path, record: Callable[..., Path]) -> Path:
    """A plain folder of one pump, which a test may change: six training clips, two normal and two anomalous ones."""
    root = tmp_path / "recordings"
    for index in range(6):
        record(root / "pump" / "train" / f"{index}.wav")
    for label in ("normal", "anomaly"):
        for index in range(2):
            record(root / "pump" / "test" / label / f"{index}.wav")
    return root


class Outcome(NamedTuple):
    """What a command did."""

    code: Any
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of its error."""
        (line,) = self._lines("error: ")
        return line

    @property
    def failures(self) -> list[str]:
        """The lines of its jobs that failed."""
        return self._lines("failed: ")

    def _lines(self, kind: str) -> list[str]:
        assert "Traceback" not in self.err
        return [line.removeprefix(kind) for line in self.err.splitlines() if line.startswith(kind)]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs a command of auscult in this process, jobs included: `command("run", "quick", "--data", ...)`."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("auscult.processes.default_workers", lambda device="cpu": 1)
    monkeypatch.setattr("auscult.runs.executors.default_workers", lambda device="cpu": 1)

    def call(*arguments: object) -> Outcome:
        from auscult.cli import main

        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return Outcome(stop.value.code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def contents() -> Callable[..., dict[str, str]]:
    """All files below a folder with their hashes: `contents(folder, "scores/**/*.csv")`; all by default."""

    def read(folder: Path, pattern: str = "**/*") -> dict[str, str]:
        files = sorted(path for path in folder.glob(pattern) if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return read
