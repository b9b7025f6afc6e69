"""Packing: a run's system becomes a detector with the run's own scores."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult.denoising.unet import UNet
from auscult.detector import Detector
from auscult.detector.alarms import AlarmSettings
from auscult.detector.learn import LearnSettings, calibrate_detector
from auscult.detector.pack import pack
from auscult.errors import AuscultError, RunError
from auscult.models import Model
from auscult.recipe import parse_recipe
from auscult.runs.results import read_results, read_scores_of
from auscult.runs.run import run
from auscult.scores.ensemble.columns import mean_and_deviation

RECIPE = """
name = "tree"
[[member]]
name = "spectral"
family = "spectral"
features = { n_mels = 16 }
[[member]]
name = "late"
family = "spectral"
features = { n_mels = 16 }
model = { ratio = 0.5 }
[[member]]
name = "hvae"
family = "hvae"
machine_types = ["fan"]
pooling = "winmed"
features = { n_mels = 16 }
model = { hidden = [8], n_latent = 2 }
training = { epochs = 1, batch_size = 32 }
[[ensemble]]
name = "densities"
members = ["spectral", "late"]
weights = "search"
[[ensemble]]
name = "all"
members = ["densities", "hvae"]
"""

DENOISED = """
name = "denoised"
[denoiser]
epochs = 1
steps = 1
batch_size = 2
seconds = 0.5
fixed = 4
[[member]]
name = "spectral"
family = "spectral"
denoise_level = 5
features = { n_mels = 16 }
"""


@pytest.fixture(scope="module")
def finished(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    run(parse_recipe(RECIPE, "a test"), data=factory, out=out)
    return out


@pytest.mark.parametrize(
    ("system", "protocol"),
    [
        ("spectral", "uniform"),
        ("densities", "uniform"),
        ("all", "uniform"),
        ("densities", "leave-one-id-out"),
        ("all", "paper"),
    ],
)
def test_a_packed_system_has_the_scores_of_the_run(
    finished: Path, factory: Path, system: str, protocol: str, tmp_path: Path
) -> None:
    packed = pack(finished, machine_type="fan", system=system, protocol=protocol, window_seconds=2.0)
    packed.detector.save(tmp_path / "fan.auscult")
    detector = Detector.load(tmp_path / "fan.auscult")
    used = packed.detector.provenance["protocol"]  # the choices of leave-one-id-out for it saw all machines
    expected = read_scores_of(finished, system, protocol=used, part="evaluation", machine_type="fan")
    folder = factory / "eval_data" / "fan" / "test"
    scores = [detector.score(folder / row.file, machine_id=row.machine_id, evidence=False).score for row in expected]
    slope, shift = np.polyfit(expected.scores, scores, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * expected.scores + shift, scores, rtol=0, atol=1e-6 * np.abs(scores).max())
    if system == "spectral":
        train = read_scores_of(finished, system, part="train", machine_type="fan")
        mean, deviation = mean_and_deviation(train.scores)
        np.testing.assert_allclose(scores, (expected.scores - mean) / deviation, rtol=1e-9)


def test_the_default_is_uniform_and_unknown(finished: Path) -> None:
    packed = pack(finished, machine_type="fan")
    said = packed.detector.provenance
    assert (said["system"], said["protocol"]) == ("all", "uniform")
    assert {part.name: round(part.weight, 9) for part in packed.detector.parts}.keys() == {"spectral", "late", "hvae"}
    assert all(machine.threshold is None for machine in packed.detector.machines.values())
    assert "no thresholds" in packed.warnings[0]
    assert not any("labels" in line for line in packed.warnings)
    assert any("labels" in line for line in pack(finished, machine_type="fan", protocol="paper").warnings)


def test_a_member_of_before_that_was_pooled_otherwise_is_refused(finished: Path) -> None:
    path = finished / "weights" / "fan" / "hvae.json"
    today = path.read_text(encoding="utf-8")
    path.write_text(today.replace("winmed-2", "winmed"), encoding="utf-8")
    with pytest.raises(RunError, match=r"hvae was pooled by an older definition of 'winmed'; .* scores it anew"):
        pack(finished, machine_type="fan")
    path.write_text(today, encoding="utf-8")


def test_members_of_zero_weight_are_left_out(finished: Path) -> None:
    packed = pack(finished, machine_type="fan", system="densities", protocol="paper")
    made = [item.choice for item in read_results(finished).choices]
    (choice,) = [
        one
        for one in made
        if (one.machine_type, one.ensemble, one.protocol, one.held_out) == ("fan", "densities", "paper", None)
    ]
    assert {part.name for part in packed.detector.parts} == {name for name, weight in choice.weights.items() if weight}
    assert sum(part.weight for part in packed.detector.parts) == pytest.approx(1.0)


def test_members_share_front_ends(finished: Path) -> None:
    packed = pack(finished, machine_type="fan")
    assert len({id(part.front_end) for part in packed.detector.parts}) == 1


def test_a_packed_detector_is_calibrated_on_new_normals(
    finished: Path, record: Callable[..., Path], tmp_path: Path
) -> None:
    packed = pack(finished, machine_type="fan", window_seconds=2.0)
    name = next(iter(packed.detector.machines))
    record(tmp_path / name / "a.wav", seconds=90)
    settings = LearnSettings(rate=60.0, alarm=AlarmSettings(k=1, n=2, cool_down_seconds=1.0))
    learned = calibrate_detector(packed.detector, tmp_path, settings=settings)
    assert learned.detector.machines[name].threshold is not None
    assert [part.name for part in learned.detector.parts] == [part.name for part in packed.detector.parts]
    assert "calibrated_on" in learned.detector.provenance
    others = [machine for machine in learned.detector.machines.values() if machine.name != name]
    assert others
    assert all(machine.threshold is None for machine in others)
    record(tmp_path / "stranger" / "a.wav", seconds=90)
    with pytest.raises(AuscultError, match="stranger"):
        calibrate_detector(packed.detector, tmp_path, settings=settings)


def test_clips_that_the_run_trained_on_do_not_calibrate(
    finished: Path, factory: Path, record: Callable[..., Path], tmp_path: Path, command: Callable[..., Any]
) -> None:
    record(tmp_path / "new" / "a.wav", seconds=30)
    packed = pack(finished, machine_type="fan", store=tmp_path)
    packed.require_unheard(tmp_path / "new")
    test, train = (next((factory / "dev_data/fan" / part).glob("normal_*.wav")) for part in ("test", "train"))
    shutil.copy(test, tmp_path / "new" / "b.wav")
    packed.require_unheard(tmp_path / "new")
    shutil.copy(train, tmp_path / "new" / "c.wav")
    with pytest.raises(AuscultError, match=r"trained on 1 of the 3 recordings in .*c\.wav"):
        packed.require_unheard(tmp_path / "new")
    arguments = ("pack", finished, "-o", tmp_path / "a.auscult", "--machine-type", "fan", "--calibrate")
    done = command(*arguments, tmp_path / "new", "--machine", next(iter(packed.detector.machines)))
    assert done.code == 2
    assert "c.wav" in done.err
    assert not (tmp_path / "a.auscult").exists()


def test_a_denoised_member_takes_its_denoiser_along(
    pumps: Path, record: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(UNet.__init__.__kwdefaults__, "channels", (2, 2, 3, 3, 3, 3, 3, 4))
    monkeypatch.setattr("auscult.denoising.learn.FIXED_SECONDS", 1.0)
    for index in range(4):
        record(pumps / "fan" / "train" / f"{index}.wav")
        record(tmp_path / "clean" / "bell" / f"{index}.wav", seconds=1.0)
    out = tmp_path / "run"
    done = run(
        parse_recipe(DENOISED, "a test"),
        data=pumps,
        out=out,
        clean=tmp_path / "clean",
        store=tmp_path / "store",
        machine_types=["pump"],
    )
    assert not done.failures
    with pytest.raises(AuscultError, match="--store"):
        pack(out)
    packed = pack(out, store=tmp_path / "store")
    packed.detector.save(tmp_path / "pump.auscult")
    expected = read_scores_of(out, "spectral", part="train")
    mean, deviation = mean_and_deviation(expected.scores)
    detector = Detector.load(tmp_path / "pump.auscult")
    for row in expected:
        score = detector.score(pumps / "pump" / "train" / row.file.removeprefix("train/")).score
        assert score == pytest.approx((row.score - mean) / deviation, abs=1e-6)


def test_a_run_that_does_not_say_how_its_members_were_made_says_so_after_the_same_command(
    factory: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run of an older version."""
    out = shutil.copytree(finished, tmp_path / "run")
    said = {path: path.read_text() for path in out.glob("weights/*/*.json")}
    (out / "weights" / "fan" / "late.json").write_text("{}")
    with pytest.raises(AuscultError, match=r"late\.json is damaged"):
        pack(out, machine_type="fan")
    for path in said:
        path.unlink()
    with pytest.raises(AuscultError, match=r"spectral\.json is not there: .*The same `auscult run` command writes it"):
        pack(out, machine_type="fan")
    monkeypatch.setattr(Model, "fit", None)
    assert run(parse_recipe(RECIPE, "a test"), data=factory, out=out).failures == []
    assert {path: path.read_text() for path in out.glob("weights/*/*.json")} == said
    assert pack(out, machine_type="fan").detector.parts


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "fan, valve"),
        ({"machine_type": "fam"}, "did you mean 'fan'"),
        ({"machine_type": "fan", "system": "al"}, "did you mean 'all'"),
        ({"machine_type": "fan", "protocol": "labels"}, "uniform"),
    ],
)
def test_what_a_run_does_not_have_is_one_clear_error(finished: Path, arguments: dict[str, str], words: str) -> None:
    with pytest.raises(AuscultError, match=words):
        pack(finished, **arguments)


def test_the_command(finished: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    out = tmp_path / "fan.auscult"
    done = command("pack", finished, "--machine-type", "fan", "-o", out, "--window", 2)
    assert done.code == 0, done.err
    assert "no thresholds" in done.err
    assert "no threshold" in command("info", out).out
    assert command("pack", tmp_path, "-o", tmp_path / "x.auscult").code == 2
