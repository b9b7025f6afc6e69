"""The export: graphs say what torch says, the runner prints what `auscult score` prints, without auscult and torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from auscult.cli import main
from auscult.denoising.streaming import Denoiser
from auscult.denoising.unet import UNet
from auscult.detector import Detector, Machine, Part
from auscult.detector.alarms import AlarmSettings, WindowScores
from auscult.detector.calibration.fit import calibrate
from auscult.detector.scorer import Scorer
from auscult.errors import ExportError
from auscult.export import export_detector, writing
from auscult.export.front_ends import LogMelGraph, ModulationGraph, least_samples
from auscult.export.graph import PartGraph
from auscult.export.parity import sounds
from auscult.features import features_of
from auscult.features.bank import bank_of
from auscult.features.base import Features
from auscult.features.front_end import FrontEnd
from auscult.features.log_mel import LogMel
from auscult.features.modulation import Modulation
from auscult.models import HVAE, IDCAE, Autoencoder, Classifier, Freak, Mahalanobis, Model, Neighbours, Spectral
from auscult.sound.audio import read_waveform, resample
from auscult.training import Training

for package in writing.PACKAGES:
    pytest.importorskip(package, reason=f"{package} is not there: pip install 'auscult[onnx]'")

RATE = 8000
SMALL = {"hidden": (8,), "n_latent": 2}
FREAK = {"m": 1, "n_layers": 1, "crop": 12}

VARIANTS: dict[str, Callable[[], tuple[Model, str | None]]] = {
    "spectral": lambda: (Spectral(16), None),
    "spectral of ranks": lambda: (Spectral(16, ratio=0.9), None),
    "spectral of all statistics": lambda: (Spectral(16, statistics=["mean", "deviation", "flux"]), None),
    "spectral of maxima, a mixture": lambda: (Spectral(16, ratio=0.0, n_components=2), None),
    "autoencoder, mean": lambda: (Autoencoder(16, **SMALL), "mean"),
    "autoencoder, standardised, winmed": lambda: (Autoencoder(16, standardise=True, **SMALL), "winmed"),
    "hvae, softplus, median": lambda: (HVAE(16, precision_link="softplus", **SMALL), "median"),
    "hvae, meancap": lambda: (HVAE(16, big_precision=True, score="mse", **SMALL), "meancap"),
    "hvae, winmed-sliding": lambda: (HVAE(16, score="nll", **SMALL), "winmed-sliding"),
    "idcae": lambda: (IDCAE(16, context=3, windows_per_clip=10), None),
    "idcae, clip, l2": lambda: (IDCAE(16, context=2, windows_per_clip=9, standardise="clip", norm="l2"), "median"),
    "neighbours": lambda: (Neighbours(16, statistics=["mean", "flux", "maximum"], k=2), None),
    "neighbours, standardised, of all ids": lambda: (
        Neighbours(16, space="standardised", per_id=False, log=False),
        None,
    ),
    "neighbours, cosine, few": lambda: (Neighbours(16, space="cosine", bank=3, density=0), None),
    "freak, gaussian": lambda: (Freak(16, covariance="diagonal", **FREAK), None),
    "freak, clip": lambda: (
        Freak(16, covariance="diagonal", domain="amplitude", norm="clip", **FREAK),
        None,
    ),
    "freak, percentile": lambda: (Freak(16, score="percentile", **FREAK), None),
    "mahalanobis": lambda: (Mahalanobis(16, **SMALL), None),
    "classifier": lambda: (Classifier(16, hidden=(8,), n_embedding=4, k=4), None),
    "classifier of spectrograms": lambda: (
        Classifier(16, network="spectrogram", channels=(2, 3), n_embedding=4, crop=16),
        None,
    ),
    "classifier of all statistics": lambda: (
        Classifier(16, hidden=(8,), n_embedding=4, statistics=["mean", "deviation", "flux"], ratio=0.9),
        None,
    ),
    "freak, mse": lambda: (Freak(16, score="mse", **FREAK), None),
}


def sound(seed: int, seconds: float = 5.0, *, tone: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    waveform = 0.02 * rng.standard_normal(len(time)) + 0.1 * np.sin(2 * np.pi * 440 * time + rng.random())
    return (waveform + tone * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)


def make(*variants: str, features: LogMel | None = None, denoiser: Denoiser | None = None) -> Detector:
    """A small detector of two machines; only the left is calibrated."""
    front_end = FrontEnd(features or LogMel(RATE, n_fft=256, hop_length=128, n_mels=16), denoiser=denoiser)
    return fitted({name: VARIANTS[name]() for name in variants}, front_end, [sound(seed, 2.0) for seed in range(6)])


def fitted(models: dict[str, tuple[Model, str | None]], front_end: FrontEnd, normals: list[np.ndarray]) -> Detector:
    """A detector of models, fitted to sounds of machine a, then as many of machine b."""
    frames = [front_end.features(waveform) for waveform in normals]
    ids = [name for name in "ab" for _ in range(len(frames) // 2)]
    bank = bank_of(frames, ids, frame_rate=front_end.features.frame_rate)
    parts = []
    for name, (model, pooling) in models.items():
        scores = model.fit(bank, training=Training(epochs=1, batch_size=16)).score_clips(bank, pooling=pooling)
        parts.append(Part(name, model.family, front_end, model, pooling, scores.mean(), scores.std(), 0.7))
    alarm = AlarmSettings(k=2, n=3, cool_down_seconds=2.0)
    series = WindowScores(2.0 + np.arange(400), 8 * np.random.default_rng(0).standard_normal(400), 2.0, 1.0)
    machines = {
        "left": Machine("left", "a", calibrate([series], 20.0, settings=alarm)),
        "right": Machine("right", "b"),
    }
    return Detector(parts, machines, 2.0, 1.0, alarm, {"recipe": "test"}, "CC0")


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The runner, where torch and auscult cannot be imported: their entry of `sys.modules` is none."""
    blocked = ("torch", "auscult", "librosa", "soundfile", "scipy", "onnx")
    code = (
        f"import sys, runpy\nfor name in {blocked}: sys.modules[name] = None\n"
        "del sys.argv[0]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    )
    line = [sys.executable, "-I", "-c", code, *(str(argument) for argument in (folder / "run.py", *arguments))]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


def command(*arguments: object) -> int:
    """The exit code of auscult."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


WORDS = ("reason", "words", "differences")


def assert_same(found: list[dict[str, object]], expected: list[dict[str, object]]) -> None:
    """The runner prints what the command prints, but for the reasons and what differs in words."""
    expected = [{name: row[name] for name in row if name not in WORDS} for row in expected]
    assert [list(row) for row in found] == [list(row) for row in expected]
    assert found
    for one, other in zip(found, expected, strict=True):
        assert one["score"] == pytest.approx(other["score"], rel=1e-4, abs=1e-4)
        assert one | {"score": None} == other | {"score": None}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A detector's file and its export."""
    folder = tmp_path_factory.mktemp("export")
    make("spectral", "hvae, winmed-sliding", "idcae").save(folder / "one.auscult")
    assert command("export", folder / "one.auscult", "--onnx", folder / "onnx") == 0
    return folder / "one.auscult", folder / "onnx"


QUICK = ("spectral of maxima, a mixture", "autoencoder, standardised, winmed", "freak, clip")

FEATURES = [
    LogMel(RATE, n_fft=256, hop_length=100, n_mels=16, scale="sqrt"),
    LogMel(RATE, n_fft=255, hop_length=64, n_mels=16, scale="linear", fmax=3000.0),
    LogMel(RATE, n_fft=300, hop_length=300, n_mels=16, fmin=100.0),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_exported_computes_the_score_of_the_model(variant: str) -> None:
    (part,) = make(variant).parts
    features = part.front_end.features
    graph = PartGraph(part, LogMelGraph(features)).eval()
    for waveform in sounds(5 * RATE, least_samples(features, part.model.frame_context), sample_rate=RATE):
        for place, machine_id in enumerate(part.model.ids):
            score = Scorer([part]).score(waveform, machine_id, sample_rate=RATE).score
            with torch.no_grad():
                found = (float(graph(torch.from_numpy(waveform), torch.tensor(place))) - part.mean) / part.sd
            assert found == pytest.approx(score, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("features", FEATURES, ids=lambda features: f"{features.scale} {features.n_fft}")
def test_every_front_end_is_exported_as_it_is(features: LogMel) -> None:
    for length in (features.n_fft, 1000, 5 * RATE + 1):
        waveform = sound(0, length / RATE)
        found = LogMelGraph(features)(torch.from_numpy(waveform))
        np.testing.assert_allclose(found.numpy(), features(waveform), rtol=2e-5, atol=1e-3)


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in VARIANTS]
)
def test_the_file_of_every_family_and_pooling_says_what_torch_says(variant: str, tmp_path: Path) -> None:
    (member,) = export_detector(make(variant), tmp_path / "onnx")
    assert member.difference <= 1e-4


def test_the_runner_prints_what_the_command_prints(
    both: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector, folder = both
    files = []
    for name, waveform, options in (
        ("left_normal.wav", sound(20), {"subtype": "PCM_16"}),
        ("left_broken.wav", sound(21, tone=0.5), {"subtype": "PCM_32"}),
        ("left_dropout.wav", np.where(np.arange(5 * RATE) // RATE == 2, 0, sound(25)), {}),
        ("left_silent.wav", np.zeros(3 * RATE), {}),
        ("left_clipped.wav", np.clip(20 * sound(26), -1, 1), {}),
        ("left_short.wav", sound(22, 1.0), {}),
        ("right/two.wav", np.stack([sound(23, 2.0), sound(24, 2.0)], axis=1), {}),
    ):
        files.append(tmp_path / name)
        files[-1].parent.mkdir(exist_ok=True)
        soundfile.write(files[-1], waveform, RATE, **options)
    assert command("score", detector, *files, "--json") == 0
    expected = capsys.readouterr().out
    found = run(folder, *files)
    assert found.returncode == 0, found.stderr
    assert_same(rows(found.stdout), rows(expected))
    decisions = [row["decision"] for row in rows(found.stdout)]
    assert decisions[1] == "anomalous"
    assert decisions[3:] == ["unknown"] * 4


@pytest.mark.slow
def test_the_runner_says_of_real_sounds_what_torch_says(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sliders = shared_data / "dcase2020_mini" / "dev_data" / "slider"
    clips = [sorted((sliders / "train").glob(f"normal_id_0{machine}_*.wav"))[:6] for machine in (0, 2)]
    normals = [read_waveform(path, sample_rate=16000) for paths in clips for path in paths]
    models: dict[str, tuple[Model, str | None]] = {
        "spectral": (Spectral(), None),
        "autoencoder": (Autoencoder(), "mean"),
        "hvae": (HVAE(), "median"),
        "idcae": (IDCAE(), "winmed"),
        "freak": (Freak(covariance="diagonal"), None),
    }
    fitted(models, FrontEnd(LogMel(16000)), normals).save(tmp_path / "slider.auscult")
    assert command("export", tmp_path / "slider.auscult", "--onnx", tmp_path / "onnx") == 0
    files = [*sorted((sliders / "test").glob("normal_*"))[:3], *sorted((sliders / "test").glob("anomaly_*"))[:3]]
    capsys.readouterr()
    for machine in ("left", "right"):
        assert command("score", tmp_path / "slider.auscult", *files, "--json", "--machine", machine) == 0
        found = run(tmp_path / "onnx", "--machine", machine, *files)
        assert_same(rows(found.stdout), rows(capsys.readouterr().out))


def test_the_runner_says_what_it_cannot_score_and_goes_on(both: tuple[Path, Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "left_fast.wav", sound(1), 16000)
    soundfile.write(tmp_path / "left_24.wav", sound(1), RATE, subtype="PCM_24")
    soundfile.write(tmp_path / "left_tiny.wav", sound(1, 0.01), RATE)
    soundfile.write(tmp_path / "which.wav", sound(1), RATE)
    soundfile.write(tmp_path / "left_good.wav", sound(1), RATE)
    (tmp_path / "left_text.wav").write_text("no sound")
    good = (tmp_path / "left_good.wav").read_bytes()
    (tmp_path / "left_cut.wav").write_bytes(good[: len(good) // 2])
    (tmp_path / "left_empty.wav").write_bytes(b"")
    (tmp_path / "left_odd.wav").write_bytes(good[:12] + b"junk\x03\x00\x00\x00abc" + good[12:])  # no byte that pads
    (tmp_path / "left_head.wav").write_bytes(good[:36])
    (tmp_path / "left_killed.wav").write_bytes(good[:4] + bytes(4) + good[8:40] + bytes(4) + good[44:])
    soundfile.write(tmp_path / "left_wide.wav", sound(1), RATE, format="WAVEX", subtype="PCM_16")
    soundfile.write(tmp_path / "left_float.wav", sound(1), RATE, subtype="FLOAT")
    names = ["fast", "24", "tiny", "text", "cut", "odd", "head", "float", "none", "empty", "good", "killed", "wide"]
    paths = [tmp_path / f"left_{name}.wav" for name in names]
    found = run(both[1], *paths, tmp_path / "which.wav")
    assert found.returncode == 3
    good_row, *others = [row | {"file": ""} for row in rows(found.stdout)]
    assert good_row["machine_id"] == "left"
    assert others == [good_row, good_row]
    errors = found.stderr.splitlines()
    expected = ["16000 Hz", "24 bits", "80 samples", "RIFF", "truncated", "no samples", "no samples",
                "no whole numbers", "No such file", "it is empty", "--machine"]  # fmt: skip
    assert len(errors) == len(expected)
    assert [words for words, line in zip(expected, errors, strict=True) if words not in line] == []
    named = run(both[1], "--machine", "right", tmp_path / "which.wav")
    assert (named.returncode, rows(named.stdout)[0]["decision"]) == (0, "unknown")


def test_the_description_holds_all_that_the_detector_is(both: tuple[Path, Path]) -> None:
    detector = Detector.load(both[0])
    facts = json.loads((both[1] / "detector.json").read_text())
    assert [member["name"] for member in facts["members"]] == [part.name for part in detector.parts]
    assert [(member["mean"], member["sd"]) for member in facts["members"]] == [(p.mean, p.sd) for p in detector.parts]
    assert sum(member["weight"] for member in facts["members"]) == pytest.approx(1)
    assert {machine["name"]: machine["threshold"] for machine in facts["machines"]} == {
        name: machine.threshold for name, machine in detector.machines.items()
    }
    assert (facts["sample_rate"], facts["window_seconds"], facts["licence"]) == (RATE, 2.0, "CC0")
    assert max(facts["parity"]["differences"].values()) <= facts["parity"]["tolerance"]
    assert {"auscult", "torch", "onnxruntime"} <= set(facts["versions"])
    assert sorted(path.name for path in both[1].iterdir()) == sorted(
        ["detector.json", "run.py", *(step["file"] for member in facts["members"] for step in member["steps"])]
    )


def test_a_folder_that_is_there_is_left_alone(both: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(both[1].iterdir())
    assert command("export", both[0], "--onnx", both[1]) == 2
    assert "is there already" in capsys.readouterr().err.replace("\n", " ")
    assert sorted(both[1].iterdir()) == before


def test_a_missing_package_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(writing, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(ExportError, match=r"no_such_package: pip install 'auscult\[onnx\]'"):
        export_detector(make("spectral"), tmp_path / "onnx")


def test_members_without_a_graph_are_all_named_and_nothing_is_written(tmp_path: Path) -> None:
    denoised = make("spectral", "idcae", denoiser=Denoiser(UNet(channels=(2,) * 8), sample_rate=RATE))
    with pytest.raises(ExportError, match=r"spectral: .* denoiser.*; idcae: .* denoiser"):
        export_detector(denoised, tmp_path / "onnx")
    slow, fast = make("spectral"), make("hvae, softplus, median", features=LogMel(2 * RATE, n_fft=256, n_mels=16))
    mixed = Detector([*slow.parts, *fast.parts], slow.machines, 2.0, 1.0)
    with pytest.raises(ExportError, match="spectral: it hears at 8000 Hz and others at 16000 Hz"):
        export_detector(mixed, tmp_path / "onnx")
    assert not list(tmp_path.iterdir())


def test_a_graph_that_differs_is_not_delivered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from auscult.export import graph

    monkeypatch.setattr(graph, "CAP_DEVIATIONS", 0.5)
    with pytest.raises(ExportError, match="differs from torch by"):
        export_detector(make("hvae, meancap"), tmp_path / "onnx")
    assert not list(tmp_path.iterdir())


def test_the_runner_fuses_and_curves_as_the_detector(tmp_path: Path) -> None:
    made = make("spectral", "spectral of ranks")
    parts = [replace(part, curve=curve, weight=1.0) for part, curve in zip(made.parts, ("asinh", "line"), strict=True)]
    replace(made, parts=parts, fusion="tail").save(tmp_path / "one.auscult")
    detector = Detector.load(tmp_path / "one.auscult")
    export_detector(detector, tmp_path / "onnx")
    soundfile.write(tmp_path / "a.wav", sound(3, tone=0.02), RATE)
    file, found = tmp_path / "onnx" / "detector.json", {}
    for fusion in ("tail", "minimum", "mean"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"fusion": fusion}))
        (row,) = rows(run(tmp_path / "onnx", "--machine", "left", tmp_path / "a.wav").stdout)
        found[fusion] = replace(detector, fusion=fusion).score(tmp_path / "a.wav", machine_id="left").score
        assert row["score"] == pytest.approx(found[fusion], rel=1e-4)
    assert len(set(found.values())) == 3


@pytest.mark.parametrize("seconds", [2.0, 0.9])
def test_the_graph_of_modulations_is_the_features(seconds: float) -> None:
    features = Modulation(RATE, n_bands=6, n_modulations=5)
    waveform = sound(1, seconds)
    with torch.no_grad():
        found = ModulationGraph(features)(torch.from_numpy(waveform)).numpy()
    np.testing.assert_allclose(found, features(waveform), atol=2e-3)  # decibels


@pytest.mark.slow
def test_members_on_modulations_are_exported(tmp_path: Path) -> None:
    front_end = FrontEnd(Modulation(RATE, n_bands=6, n_modulations=5))
    models = {"near": (Neighbours(30, k=2), None)}
    (member,) = export_detector(fitted(models, front_end, [sound(seed, 2.0) for seed in range(6)]), tmp_path / "onnx")
    assert member.difference < writing.TOLERANCE


def encoders(shared_data: Path) -> list[Features]:
    """YAMNet, statistics of it, and an encoder of two stages."""
    folder = str(shared_data / "encoders")
    mel = {"kind": "onnx", "file": "melspectrogram.onnx", "window": 0.032, "hop": 0.01, "sees": "clip", "scale": 32767}
    speech = {"kind": "onnx", "file": "speech_embedding.onnx", "window": 0.76, "hop": 0.08, "scale": 0.1, "offset": 2}
    yamnet = {"kind": "yamnet", "hop": 0.5}
    return [
        features_of({**table, "weights": folder})
        for table in (
            yamnet,
            {"kind": "statistics", "sample_rate": 16000, "of": yamnet, "statistics": ["mean", "deviation"]},
            {**speech, "sample_rate": 16000, "front_end": mel},
        )
    ]


@pytest.mark.slow
def test_encoders_are_exported_each_once(shared_data: Path, tmp_path: Path) -> None:
    normals = [resample(sound(seed, 2.0), RATE, 16000) for seed in range(6)]
    parts = []
    for kind, features in enumerate(encoders(shared_data)):
        models = {
            f"{kind} near": (Neighbours(features.n_bins, space="cosine", k=2, density=2), None),
            f"{kind} spectral": (Spectral(features.n_bins), None),
        }
        made = fitted(models, FrontEnd(features), normals)
        parts += made.parts
    detector = replace(made, parts=parts)
    members = export_detector(detector, tmp_path / "onnx")
    assert all(member.difference < writing.TOLERANCE for member in members)
    files = [step["file"] for member in members for step in member.steps[:-1]]
    assert len(set(files)) == 5  # YAMNet for four members; two stages of two graphs each for two members
    assert sorted(set(files)) == sorted(path.name for path in (tmp_path / "onnx").glob("encoder*"))
    soundfile.write(tmp_path / "a.wav", resample(sound(9, 7.0), RATE, 16000), 16000, subtype="PCM_32")
    (row,) = rows(run(tmp_path / "onnx", "--machine", "left", tmp_path / "a.wav").stdout)
    expected = detector.score(tmp_path / "a.wav", machine_id="left").score
    assert row["score"] == pytest.approx(expected, rel=1e-3)  # six clips in a thousand dimensions: a million deviations
