"""From folders to denoised files and denoised runs, on a tiny factory; and what is missing is said."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from auscult.datasets import load_clips
from auscult.datasets.factory import write_factory
from auscult.denoising.learn import DenoiserSettings
from auscult.denoising.levels import read_levels
from auscult.denoising.streaming import Denoiser
from auscult.denoising.unet import UNet
from auscult.errors import AuscultError, RecipeError
from auscult.features.bank import Bank
from auscult.recipe import Recipe, parse_recipe
from auscult.report.run import write_pages
from auscult.runs import run as runs
from auscult.runs.plan import make_plan
from auscult.runs.request import plan_for, request_of
from auscult.runs.store import Store
from auscult.sound.audio import read_waveform

run = partial(runs.run, pages=write_pages)  # as the command does

RECIPE = """
name = "denoised"
training = {epochs = 1}
denoiser = {epochs = 2, steps = 2, batch_size = 2, seconds = 0.5, fixed = 4}
[[member]]
name = "plain"
family = "spectral"
[[member]]
name = "soft"
family = "spectral"
denoise_level = 1
[[member]]
name = "hard"
family = "spectral"
denoise_level = 10
[[member]]
name = "hard-too"
family = "spectral"
denoise_level = 10
model = {ratio = 0.5}
"""


def recipe(*overrides: str) -> Recipe:
    return parse_recipe(RECIPE, "test", overrides)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Makes networks and fixed mixtures small, where their size does not matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(UNet.__init__.__kwdefaults__, "channels", (2, 2, 3, 3, 3, 3, 3, 4))
        patch.setattr("auscult.denoising.learn.FIXED_SECONDS", 1.0)
        yield


@pytest.fixture(scope="module")
def finished(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("denoised") / "run"
    return run(recipe(), data=factory, out=out, clean=factory / "clean", machine_types=["fan"])


def test_a_run_trains_one_denoiser_and_banks_each_level_once(finished: Any) -> None:
    plan, store = finished.plan, finished.store
    (denoiser,) = plan.denoisers
    assert {clip.machine_type for clip in denoiser.noise} == {"valve"}, "the noise is of the type that was left out"
    assert len(plan.banks) == 3 * 4
    levels = read_levels(store.path("denoiser", denoiser.key))
    assert len(levels.validations) == 2
    of_level = {bank.level: bank for bank in plan.banks if (bank.split, bank.subset) == ("train", "development")}
    frames = {level: Bank.load(store.path("bank", bank.key)).frames for level, bank in of_level.items()}
    assert frames[0].shape == frames[10].shape
    assert np.abs(frames[0] - frames[10]).max() > 0.1
    plain, soft, hard, too = plan.members
    assert [job.key for job in hard.train] == [job.key for job in too.train]
    assert not {job.key for job in plain.train} & {job.key for job in (*soft.train, *hard.train)}


def test_the_report_shows_the_denoiser(finished: Any) -> None:
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    for words in ("The denoiser of fan", "The run uses level 1, 10.", "Gain against training", "level 7", "SI-SDR"):
        assert words in page


def test_denoised_features_are_those_of_the_denoised_waveform(finished: Any) -> None:
    from auscult.features import features_of

    bank = next(bank for bank in finished.plan.banks if bank.level == 10)
    denoiser = Denoiser.load(finished.store.path("denoiser", bank.denoiser.key), 10)
    waveform = denoiser(read_waveform(bank.clips[0].path, sample_rate=16000))
    frames = Bank.load(finished.store.path("bank", bank.key)).clip(0)
    np.testing.assert_allclose(frames, features_of(bank.features)(waveform), atol=1e-3)


def test_members_without_a_denoiser_keep_their_keys(finished: Any, factory: Path, tmp_path: Path) -> None:
    plain = parse_recipe(RECIPE.split('[[member]]\nname = "soft"', maxsplit=1)[0], "test")
    clips = load_clips(factory, machine_types=["fan"])
    plan = make_plan(plain, clips, Store(tmp_path), device="cpu")
    assert plan.denoisers == ()
    assert plan.members[0].key == finished.plan.members[0].key


@pytest.mark.parametrize("level", [0, "-"])
def test_no_denoising_needs_no_clean_sounds(level: Any, factory: Path, tmp_path: Path) -> None:
    none = recipe(f"member.*.denoise_level={json.dumps(level)}")
    assert make_plan(none, load_clips(factory), Store(tmp_path), device="cpu").denoisers == ()
    assert parse_recipe(none.to_toml(), "again") == none


@pytest.mark.parametrize("level", ["11", "-1", "2.5", "true", '"x"'])
def test_other_levels_are_refused(level: str) -> None:
    with pytest.raises(RecipeError, match="denoise_level"):
        recipe(f"member.soft.denoise_level={level}")


def test_what_a_denoiser_lacks_is_said_before_anything_is_trained(
    factory: Path, pumps: Path, tmp_path: Path, record: Callable[..., Path]
) -> None:
    clips, store, clean = load_clips(factory), Store(tmp_path / "store"), factory / "clean"
    cases: list[tuple[Any, Any, str]] = [
        (clips, None, "soft, hard, hard-too.*give their folder with --clean"),
        (clips, tmp_path / "none", "does not exist"),
        (load_clips(pumps), clean, "no other machine type"),
        (clips, record(tmp_path / "two" / "a.wav").parent, "clean sounds of 1 recordings; a denoiser needs 3"),
    ]
    for some, folder, words in cases:
        with pytest.raises(AuscultError, match=words):
            make_plan(recipe(), some, store, device="cpu", clean=folder)


@pytest.fixture
def supplied(tmp_path: Path) -> Path:
    """Machines of 2025: the ToyCar has clean clips beside it, and the ToyTrain clips of noise; four of each."""
    data = write_factory(tmp_path / "2025", size="tiny", layout=2025, machine_types=["ToyCar", "ToyTrain"])
    for path in sorted(data.rglob("supplemental/*.wav")):
        sound, rate = soundfile.read(path)
        soundfile.write(path.with_name(path.stem[:-4] + f"1{path.stem[-3:]}.wav"), sound[::-1], rate)
    return data


def test_supplemental_clips_are_clean_sounds_and_noise_by_recipe(supplied: Path, tmp_path: Path) -> None:
    store, folder, asked = Store(tmp_path / "store"), supplied / "clean", request_of(recipe(), supplied)
    plan = partial(plan_for, store=store, device="cpu", weights=None, stack="off")
    of_type = {job.machine_type: job for job in plan(asked, clean=folder).denoisers}
    car, train = of_type["ToyCar"], of_type["ToyTrain"]
    assert len(car.clean) == 4 and {sound.path.parent.name for sound in car.clean} == {"supplemental"}
    assert all(sound.path.is_relative_to(folder) for sound in train.clean)
    alone = [clip for clip in train.noise if clip.path.parent.name == "supplemental"]
    assert len(alone) == 4 and {clip.machine_type for clip in alone} == {"ToyTrain"}
    assert {clip.machine_type for clip in car.noise} == {"ToyTrain"}
    assert "supplemental" not in {clip.path.parent.name for clip in car.noise}
    with pytest.raises(RecipeError, match="give their folder with --clean"):
        plan(asked, clean=None)
    without = plan(request_of(recipe("denoiser.supplemental=false"), supplied), clean=folder).denoisers
    used = [path for job in without for path in (*(one.path for one in job.clean), *(one.path for one in job.noise))]
    assert not [path for path in used if path.parent.name == "supplemental"]


def test_the_command_learns_from_the_supplemental_clips(
    supplied: Path, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = DenoiserSettings(steps=1, seconds=0.3, fixed=4)
    monkeypatch.setattr("auscult.denoising.commands.DenoiserSettings", lambda: small)
    learn = ("train-denoiser", supplied, "--epochs", 1)
    done = command(*learn, "--machine-type", "ToyCar", "--out", tmp_path / "car")
    assert done.code == 0, done.err
    assert "SI-SDR" in done.out
    lacking = command(*learn, "--machine-type", "ToyTrain", "--out", tmp_path / "train")
    assert lacking.code == 2 and "has not the 3 supplemental clips of ToyTrain without noise" in lacking.error
    chosen = command(*learn, "--machine-type", "ToyCar", "--out", tmp_path / "car", "--choose", "mechanical")
    assert chosen.code == 2 and "give it with --clean" in chosen.error


def test_the_command_says_in_one_line_what_is_missing(
    factory: Path, pumps: Path, tmp_path: Path, record: Callable[..., Path], command: Callable[..., Any]
) -> None:
    silent, few = tmp_path / "silent", record(tmp_path / "few" / "a.wav").parent
    silent.mkdir()
    for index in range(4):
        soundfile.write(silent / f"{index}.wav", np.zeros(8000), 16000)
    (tmp_path / "empty").mkdir()
    for data, clean, kind, words in (
        (factory, tmp_path / "none", "fan", "does not exist"),
        (factory, tmp_path / "empty", "fan", "holds no .wav, .flac, .ogg files"),
        (factory, few, "fan", "clean sounds of 1 recordings; a denoiser needs 3 at least"),
        (factory, silent, "fan", "4 of 4 clean sounds are silent"),
        (pumps, factory / "clean", "pump", "the data has no other machine type"),
    ):
        out = tmp_path / f"out of {clean.name}"
        done = command("train-denoiser", data, "--clean", clean, "--machine-type", kind, "--out", out)
        assert done.code == 2
        assert words in done.error
        assert not list(out.glob("*.safetensors"))


def test_the_commands_train_and_denoise(
    factory: Path, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = DenoiserSettings(steps=1, seconds=0.3, fixed=4)
    monkeypatch.setattr("auscult.denoising.commands.DenoiserSettings", lambda: small)
    learn = ("train-denoiser", factory, "--clean", factory / "clean", "--out", tmp_path / "fan", "--epochs", 1)
    done = command(*learn, "--machine-type", "fan")
    assert done.code == 0, done.err
    assert "SI-SDR" in done.out
    assert command(*learn, "--machine-type", "fan").out == done.out, "a finished one is only shown"
    assert "another denoiser" in command(*learn, "--machine-type", "valve").error
    assert "did you mean 'fan'" in command(*learn, "--machine-type", "fam").error

    clip = load_clips(factory)[0].path
    use = ("denoise", clip, "--denoiser", tmp_path / "fan", "--level", 10)
    assert command(*use, "-o", tmp_path / "out.wav").code == 0
    denoised = read_waveform(tmp_path / "out.wav", sample_rate=16000)
    expected = Denoiser.load(tmp_path / "fan", 10)(read_waveform(clip, sample_rate=16000))
    np.testing.assert_allclose(denoised, np.clip(expected, -1, 1), atol=1e-5)
    assert "--force" in command(*use, "-o", tmp_path / "out.wav").error
    assert "onto a recording" in command(*use, "-o", clip, "--force").error
    assert "level 11" in command(*use[:-1], 11, "-o", tmp_path / "new.wav").error
    folder = clip.parent
    assert command("denoise", folder, *use[2:], "-o", tmp_path / "all").code == 0
    assert {path.name for path in (tmp_path / "all").iterdir()} == {path.name for path in folder.iterdir()}
