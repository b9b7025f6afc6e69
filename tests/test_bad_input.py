"""Bad input, through the command line: it is read right or named in one clear line, and nothing is lost."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import auscult.sound.audio
from auscult.datasets import load_clips
from auscult.features.bank import Bank
from auscult.recipe import load_recipe
from auscult.runs.plan import make_plan
from auscult.runs.store import Store
from auscult.scores.table import ScoreTable

RECIPE = """
name = "small"
[training]
epochs = 2
[[member]]
name = "ae"
family = "autoencoder"
features = { n_mels = 24 }
model = { context = 3, hidden = [8], n_latent = 2 }
"""

FULL = Path("/dev/full")
needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full, a disk that is full")


class Bench:
    """A recipe, a folder of recordings, a run folder, and the command that brings them together."""

    def __init__(self, command: Callable[..., Any], data: Path, contents: Callable[..., dict[str, str]]) -> None:
        self.command, self.data, self.contents = command, data, contents
        self.out = data.parent / "run"
        self.recipe = data.parent / "small.toml"
        self.recipe.write_text(RECIPE)

    def run(self, *more: object) -> Any:
        return self.command("run", self.recipe, "--data", self.data, "--out", self.out, "--device", "cpu", *more)

    def refuse(self, *words: str, more: tuple[object, ...] = ()) -> None:
        """The run is refused in one line that holds the words; recordings and what was finished stay as they are."""
        outcome = self._disturbed(*more)
        assert outcome.code == 2
        for word in words:
            assert word in outcome.error

    def fail(self, *words: str) -> None:
        """The run's only member cannot be had, for the reason in one line; all that was there stays as it is."""
        outcome = self._disturbed()
        assert outcome.code == 3
        for word in words:
            assert word in outcome.failures[0]

    def _disturbed(self, *more: object) -> Any:
        data, finished = self.contents(self.data), self.finished()
        outcome = self.run(*more)
        assert outcome.out == ""
        assert self.contents(self.data) == data
        assert finished.items() <= self.finished().items()
        assert not [path for path in self.out.rglob("*") if path.suffix == ".tmp"]
        return outcome

    def finished(self) -> dict[str, str]:
        """What a run made and must not lose."""
        files = self.contents(self.out) if self.out.exists() else {}
        return {name: hash_ for name, hash_ in files.items() if "unfinished" not in name and "sqlite" not in name}

    def succeed(self) -> ScoreTable:
        """The run ends well, and leaves the scores of the test clips."""
        outcome = self.run()
        assert outcome.code == 0, outcome.err
        return ScoreTable.read(self.out / "scores" / "pump" / "ae.test.csv")


@pytest.fixture
def bench(
    command: Callable[..., Any], pumps: Path, contents: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Bench:
    monkeypatch.setattr("auscult.training.CHECKPOINT_SECONDS", 0)
    return Bench(command, pumps, contents)


@pytest.fixture
def train(pumps: Path) -> Path:
    return pumps / "pump" / "train"


def samples(path: Path) -> NDArray[Any]:
    waveform, _ = soundfile.read(path)
    return np.asarray(waveform)


# Folders


@pytest.mark.parametrize("content", [[], ["readme.txt"], [".hidden.wav"]])
def test_an_empty_folder(bench: Bench, content: list[str]) -> None:
    shutil.rmtree(bench.data)
    bench.data.mkdir()
    for name in content:
        (bench.data / name).write_text("x")
    bench.refuse(str(bench.data), "holds no wav, flac or ogg files", "known layouts are")
    assert not bench.out.exists()


def test_no_training_clips(bench: Bench, record: Callable[..., Path], train: Path) -> None:
    record(bench.data / "fan" / "test" / "normal" / "0.wav")
    bench.refuse("has no training clips of fan", "--machine-type pump")
    assert not bench.out.exists()
    assert bench.run("--machine-type", "pump").code == 0
    shutil.rmtree(bench.data / "fan")
    shutil.rmtree(train)
    bench.refuse(str(bench.data), "has no training clips of pump", "add recordings of normal operation")


def test_a_file_out_of_place(bench: Bench, record: Callable[..., Path], train: Path) -> None:
    """Named, with what to do; when it is gone the same command goes on."""
    pump, flac = bench.data / "pump", train / "0.flac"
    soundfile.write(flac, samples(train / "0.wav"), 16000)
    bench.refuse(str(train / "0.wav"), str(flac), "is the same clip as", "keep one of the two")
    flac.unlink()
    (train / "0.mp3").write_bytes(b"ID3")
    bench.refuse(str(train / "0.mp3"), "convert or remove it")
    (train / "0.mp3").unlink()
    for place, what, to_do in (
        ("elsewhere", "lies in no train or test folder", "the layout is"),
        ("test", "has no label", "move it to test/normal or test/anomaly"),
        ("train/anomaly", "anomaly in the training data", "move it to test/anomaly"),
    ):
        path = record(pump / place / "0.wav")
        bench.refuse(str(path), what, to_do)
        path.unlink()
    bench.succeed()


# Files that cannot be read


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewritten(path: Path, waveform: NDArray[Any]) -> None:
    soundfile.write(path, waveform, 16000, subtype="FLOAT")


def with_sample(path: Path, value: float) -> None:
    waveform = samples(path)
    waveform[1600] = value
    rewritten(path, waveform)


def a_text(path: Path) -> None:
    path.write_text("Please find the recording attached.\n" * 100)


def a_snippet(path: Path) -> None:
    rewritten(path, samples(path)[:500])


def a_broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "gone.wav")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[tuple[Callable[[Path], object], str, str]] = [
    (truncated, "is truncated", "copy or download the file again"),
    (lambda path: rewritten(path, np.zeros(0)), "holds no samples", "record or copy the file again"),
    (lambda path: path.write_bytes(b""), "is empty", "record or copy it again"),
    (lambda path: with_sample(path, np.nan), "sample 1600 (at 0.100 s) is nan", "Repair or remove the file"),
    (lambda path: with_sample(path, np.inf), "sample 1600 (at 0.100 s) is inf", "Repair or remove the file"),
    (lambda path: rewritten(path, samples(path) * 1e30), "the features are not finite", "Repair or remove the file"),
    (a_text, "is no audio file that can be read", "use wav, flac or ogg, or remove the file"),
    (a_snippet, "has 500 samples at 16000 Hz; a frame needs 1024", "Remove the clip"),
    (a_broken_link, "is a broken link", "restore or remove it"),
    (a_folder, "is a folder named like a sound file", "rename or remove it"),
]


@pytest.mark.parametrize("part", ["train", "test/normal"])
def test_a_file_that_cannot_be_read(bench: Bench, part: str) -> None:
    """Named before the training, wherever it lies and whatever was wrong before; mended, the same command goes on."""
    path = bench.data / "pump" / part / "1.wav"
    whole = path.read_bytes()
    for damage, what, to_do in DAMAGES:
        damage(path)
        listed = path.is_dir() or not path.exists() or not path.stat().st_size
        (bench.refuse if listed else bench.fail)(str(path), what, to_do)
        assert not list(bench.out.glob("store/model/*"))
        path.rmdir() if path.is_dir() else path.unlink()
        path.write_bytes(whole)
    bench.succeed()


def test_a_clip_shorter_than_a_window_of_frames(bench: Bench) -> None:
    path = bench.data / "pump" / "test" / "normal" / "1.wav"
    soundfile.write(path, samples(path)[:1024], 16000)
    bench.recipe.write_text(RECIPE.replace("context = 3", "context = 4"))
    bench.fail(str(path), "has 3 frames; pump ae needs at least 4", "Remove the clip")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions here are of another kind")
def test_an_unreadable_file(bench: Bench, train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = train / "1.wav"
    path.chmod(0)
    with monkeypatch.context() as forbidden:
        if os.geteuid() == 0:  # to whom nothing is forbidden
            allowed = os.access
            forbidden.setattr(os, "access", lambda file, mode: Path(file) != path and allowed(file, mode))
        outcome = bench.run()
    assert outcome.code == 2
    assert f"{path}: cannot be read; check its permissions" in outcome.error
    path.chmod(0o600)
    bench.succeed()


def test_a_file_that_becomes_unreadable_while_it_is_read(
    bench: Bench, train: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network drive goes away between listing and reading."""
    path = train / "1.wav"
    opened = Path.open

    def gone(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return opened(self, *arguments, **options)

    with monkeypatch.context() as unplugged:
        unplugged.setattr(Path, "open", gone)
        outcome = bench.run()
        assert outcome.code == 2
        assert f"{path} cannot be read: Input/output error" in outcome.error
    bench.succeed()


# Files that are read right


def test_sounds_of_all_formats_and_rates_are_the_same_sounds(bench: Bench) -> None:
    folder = bench.data / "pump" / "test" / "anomaly"
    waveform = samples(folder / "1.wav").astype(np.float32)
    two = np.stack([waveform, waveform[::-1]], axis=1)
    for subtype in ("FLOAT", "DOUBLE", "PCM_24", "PCM_32"):
        soundfile.write(folder / f"{subtype}.WAV", two, 16000, subtype=subtype)
    soundfile.write(folder / "coarse.wav", two, 16000, subtype="PCM_U8")
    soundfile.write(folder / "free.flac", two, 16000)
    soundfile.write(folder / "lossy.ogg", two, 16000, compression_level=0.0)
    soundfile.write(folder / "rate.wav", auscult.sound.audio.resample(waveform, 16000, 44100), 44100)
    scores = {Path(row.file).name: row.score for row in bench.succeed() if "anomaly" in row.file}
    assert scores.keys() == {path.name for path in folder.iterdir()}
    fine = [scores[name] for name in ("FLOAT.WAV", "DOUBLE.WAV", "PCM_24.WAV", "PCM_32.WAV", "free.flac")]
    assert fine == pytest.approx([scores["1.wav"]] * 5, rel=1e-6)
    assert scores["coarse.wav"] > 0  # eight bits are another sound
    near = pytest.approx([scores["1.wav"]] * 2, rel=7e-3)  # another recording is twice as far
    assert [scores["lossy.ogg"], scores["rate.wav"]] == near
    assert abs(scores["0.wav"] / scores["1.wav"] - 1) > 0.013


def test_the_channel_is_chosen_in_the_recipe(bench: Bench) -> None:
    for path in bench.data.rglob("*.wav"):
        soundfile.write(path, np.stack([np.zeros_like(samples(path)), samples(path)], axis=1), 16000)
    bench.recipe.write_text(f"channel = 2\n{RECIPE}")
    bench.fail("channel 2 was asked for; the file has 2, counted from 0", "Choose one of them")
    bench.recipe.write_text(f"channel = 1\n{RECIPE}")
    bench.out = bench.out.with_name("other")
    assert bench.succeed().scores.min() > 0


# Recipes


def test_an_unknown_recipe_key(bench: Bench) -> None:
    bench.recipe.write_text(f"epochs = 3\n{RECIPE}")
    bench.refuse(str(bench.recipe), "the key 'epochs' is unknown", "allowed are name, ")
    bench.recipe.write_text(RECIPE)
    bench.refuse("the key 'sed' is unknown (did you mean 'seed'?)", more=("--override", "sed=1"))
    bench.succeed()


def test_a_member_for_a_machine_type_that_does_not_exist(bench: Bench) -> None:
    """A type of the challenge that the data lack is no mistake: its member waits for other data."""
    other = RECIPE.partition("[[member]]")[2].replace('"ae"', '"other"')
    bench.recipe.write_text(f'{RECIPE}[[member]]{other}machine_types = ["pump", "pumps"]\n')
    bench.refuse("member 'other' is for the machine type 'pumps' (did you mean 'pump'?)", "data (pump)", "ToyCar, ")
    bench.recipe.write_text(f'{RECIPE}machine_types = ["pumps"]\n')
    bench.refuse("member 'ae' is for the machine type 'pumps' (did you mean 'pump'?)")
    bench.recipe.write_text(f'{RECIPE}[[member]]{other}machine_types = ["valve"]\n')
    bench.succeed()


# Full disks


def blocked(out: Path, data: Path, recipe: Path, at: str) -> Path:
    """The temporary or unfinished file that a run will write, by a name for it."""
    store = Store(out / "store")
    plan = make_plan(load_recipe(str(recipe)), load_clips(data), store, device="cpu")
    (job,) = plan.members
    unfinished = out / "store" / "unfinished"
    return {
        "features": unfinished / f"bank-{job.test[0].key}" / "frames.f32",
        "index of features": unfinished / f"bank-{job.test[0].key}" / "bank.json",
        "scores": unfinished / f"scores-{job.scores_key}" / "scores.json",
        "facts": unfinished / f"model-{job.key}" / "facts.json",
        "recipe": out / f"recipe.toml.{os.getpid()}.tmp",
        "results": out / f"results.json.{os.getpid()}.tmp",
        "report": out / f"report.html.{os.getpid()}.tmp",
        "table": out / "scores" / "pump" / f"ae.test.csv.{os.getpid()}.tmp",
        "weights": out / "weights" / "pump" / f"ae.safetensors.{os.getpid()}.tmp",
    }[at]


@needs_full_device
def test_a_disk_that_fills_up(bench: Bench) -> None:
    """Real refusals: the file that the run is about to write lies on a full device. With space again, it goes on."""
    for at in ("recipe", "features", "index of features", "facts", "scores", "results", "report"):
        path = blocked(bench.out, bench.data, bench.recipe, at)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(FULL)
        outcome = bench.run()
        of_a_job = at in ("features", "index of features", "scores", "facts")
        assert outcome.code == (3 if of_a_job else 2), at
        line = outcome.failures[0] if of_a_job else outcome.error
        assert "cannot be written: the disk is full; free some space and repeat the command" in line
        assert str(bench.out) in line
        assert not (bench.out / "report.html").exists()
        path.unlink(missing_ok=True)
    scores = bench.succeed()

    bench.out = bench.out.with_name("undisturbed")
    assert scores == bench.succeed()


@needs_full_device
def test_a_full_disk_does_not_harm_what_a_finished_run_has_written(bench: Bench) -> None:
    bench.succeed()
    before = bench.finished()
    for at in ("table", "weights", "results", "report"):
        path = blocked(bench.out, bench.data, bench.recipe, at)
        written = path.with_name(path.name.removesuffix(f".{os.getpid()}.tmp"))
        os.utime(written, (0, 0))  # it looks changed: written again
        path.symlink_to(FULL)
        outcome = bench.run()
        assert outcome.code == 2, at
        assert "the disk is full" in outcome.error
        path.unlink(missing_ok=True)
        assert bench.finished() == before


@pytest.mark.parametrize("fails", [1, 2, 3], ids=["first checkpoint", "last checkpoint", "model"])
def test_a_disk_that_fills_up_while_weights_are_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """Safetensors has an error of its own, which keeps the system's number in its text alone."""
    import safetensors.torch

    calls: list[Path] = []
    save = safetensors.torch.save_file

    def full(tensors: Any, path: Path, metadata: Any = None) -> None:
        calls.append(path)
        if len(calls) == fails:
            raise safetensors.SafetensorError(
                "Error while serializing: I/O error: No space left on device (os error 28)"
            )
        save(tensors, path, metadata=metadata)

    with monkeypatch.context() as crowded:
        crowded.setattr(safetensors.torch, "save_file", full)
        bench.fail("safetensors cannot be written: the disk is full; free some space", str(bench.out))
    assert len(calls) == fails
    assert len(bench.succeed()) == 4


def test_a_disk_that_is_full_when_a_file_gets_its_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a rename may need space."""

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as crowded:
        crowded.setattr(Path, "replace", full)
        bench.refuse("the disk is full; free some space")
    bench.succeed()


# Ctrl-C (a real one, to a real process: test_run.py)


@pytest.mark.parametrize("where", ["auscult.features.bank.np.ascontiguousarray", "auscult.models.base.train"])
def test_ctrl_c(bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as impatient:
        impatient.setattr(where, interrupt)
        outcome = bench.run()
    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    assert outcome.err.endswith("\nstopped; what was finished is kept, and the same command continues\n")
    assert not list(bench.out.glob("store/model/*"))
    for path in bench.out.glob("store/bank/*"):
        assert Bank.load(path).n_clips > 0, "what has a name is whole"
    assert len(bench.succeed()) == 4
