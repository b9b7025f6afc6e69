"""YAMNet: front end against plain numpy, network against the ONNX graph and against batch norms that are not folded."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from auscult.datasets.factory.hall import Hall
from auscult.detector import Detector
from auscult.errors import FeatureError, RecipeError
from auscult.features import yamnet_weights as weights
from auscult.features.weights import file_sha256
from auscult.features.yamnet import LENGTH, MECHANICAL, Yamnet
from auscult.features.yamnet_network import BLOCKS, LogMelPatches, MobileNet
from auscult.features.yamnet_weights import OFFICIAL
from auscult.members.making import make_features
from auscult.sound.audio import read_waveform

RATE = 16000
Arrays = dict[str, NDArray[np.float32]]


def random_layers(seed: int = 0) -> dict[str, Arrays]:
    """The network's layers in Keras' names, order and shapes, with weights that keep the signal alive."""
    rng = np.random.default_rng(seed)
    shapes: list[tuple[str, str, tuple[int, ...]]] = [("layer1/conv", "kernel", (3, 3, 1, 32))]
    for place, (n_in, n_out, _) in enumerate(BLOCKS, start=2):
        shapes.append((f"layer{place}/depthwise_conv", "depthwise_kernel", (3, 3, n_in, 1)))
        shapes.append((f"layer{place}/pointwise_conv", "kernel", (1, 1, n_in, n_out)))
    found: dict[str, Arrays] = {}
    for name, key, shape in shapes:
        n_out = shape[2] if key == "depthwise_kernel" else shape[3]
        fan_in = shape[0] * shape[1] * (1 if key == "depthwise_kernel" else shape[2])
        found[name] = {key: rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)}
        norm = rng.normal(0, 0.1, n_out), rng.normal(0, 0.1, n_out), rng.uniform(0.5, 2, n_out)
        keys = ("beta", "moving_mean", "moving_variance")
        found[f"{name}/bn"] = {key: value.astype(np.float32) for key, value in zip(keys, norm, strict=True)}
    found["logits"] = {
        "kernel": rng.normal(0, 0.05, (1024, 521)).astype(np.float32),
        "bias": rng.normal(0, 0.1, 521).astype(np.float32),
    }
    return found


def write_keras(path: Path, layers: dict[str, Arrays]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", *(name.encode() for name in layers), b"predictions"]
        for name in ("input_1", "predictions"):
            file.create_group(name).attrs["weight_names"] = []
        for name, arrays in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, array in arrays.items():
                group[f"{name}/{key}:0"] = array
    return path


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of the official layout with random weights, which is taken for the official one."""
    path = write_keras(tmp_path_factory.mktemp("yamnet") / weights.KERAS, random_layers())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "OFFICIAL", file_sha256(path))
        yield path


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    return shared_data / "encoders"


def hum(seconds: float) -> NDArray[np.float32]:
    times = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(0, 0.05, len(times))
    return (0.3 * np.sin(2 * np.pi * 440 * times) + noise).astype(np.float32)


def test_the_spectrogram_is_that_of_plain_numpy() -> None:
    waveform = hum(0.5).astype(np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    places = range(0, len(waveform) - 400 + 1, 160)
    magnitudes = np.abs([np.fft.rfft(waveform[start : start + 400] * window, 512) for start in places])
    edges = np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700), 66)
    bins = 1127 * np.log1p(np.fft.rfftfreq(512, 1 / RATE) / 700)
    mels = [np.interp(bins, edges[m : m + 3], [0, 1, 0], left=0, right=0) for m in range(64)]
    expected = np.log(magnitudes @ np.array(mels).T + 0.001)
    assert np.allclose(LogMelPatches()(torch.from_numpy(hum(0.5))).numpy(), expected, atol=1e-4)


def test_the_norms_of_the_official_layout_are_folded(keras: Path) -> None:
    features, layers = Yamnet(weights=str(keras.parent)), random_layers()
    waveform = hum(1.2)
    spectrogram = LogMelPatches()(torch.nn.functional.pad(torch.from_numpy(waveform), (0, 4080)))
    x = spectrogram[48:144][None, None]
    for name in [name for name in layers if f"{name}/bn" in layers]:
        place = int(name.removeprefix("layer").split("/")[0])
        deep, norm = "depthwise" in name, layers[f"{name}/bn"]
        stride = 2 if place == 1 or (deep and BLOCKS[place - 2][2] == 2) else 1
        kernel = next(iter(layers[name].values()))
        weight = torch.from_numpy(kernel.transpose(2, 3, 0, 1) if deep else kernel.transpose(3, 2, 0, 1))
        if weight.shape[-1] == 3:
            x = torch.nn.functional.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        x = torch.nn.functional.conv2d(x, weight, stride=stride, groups=weight.shape[0] if deep else 1)
        mean, variance, beta = (torch.from_numpy(norm[key]) for key in ("moving_mean", "moving_variance", "beta"))
        x = torch.nn.functional.batch_norm(x, mean, variance, bias=beta, eps=1e-4).relu()
    embeddings, likely = features.heard(waveform)
    assert np.allclose(embeddings[1], x.mean(dim=(2, 3))[0].numpy(), rtol=1e-3, atol=1e-4)
    logits = embeddings @ layers["logits"]["kernel"] + layers["logits"]["bias"]
    assert np.allclose(likely, 1 / (1 + np.exp(-logits)), atol=1e-4)


def test_embeddings_and_classes_are_those_of_the_onnx_graph(real: Path, shared_data: Path) -> None:
    ort = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session, features = ort.InferenceSession(real / weights.ONNX, options), Yamnet(weights=str(real))
    waveform = read_waveform(next((shared_data / "mechanical" / "engine").iterdir()), sample_rate=RATE, channel=0)
    embeddings, likely = features.heard(waveform)
    spectrogram = LogMelPatches()(torch.from_numpy(waveform))
    for window in range(3):
        patch = spectrogram[48 * window : 48 * window + 96].numpy()[None, None]
        embedding, logits = session.run(None, {"audio": patch})
        assert np.allclose(embeddings[window], embedding.ravel(), atol=1e-4)
        assert np.allclose(likely[window], 1 / (1 + np.exp(-logits[0])), atol=1e-4)


def test_what_was_heard_before_is_not_embedded_again(keras: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waveform, embedded, forward = hum(14), [], MobileNet.forward

    def counted(network: MobileNet, patches: torch.Tensor) -> torch.Tensor:
        embedded.append(len(patches))
        return forward(network, patches)

    monkeypatch.setattr(MobileNet, "forward", counted)
    features = Yamnet(hop=0.5, weights=str(keras.parent))
    for start in range(5):
        window = waveform[start * RATE : (start + 10) * RATE]
        expected = Yamnet(hop=0.5, weights=str(keras.parent))(window)
        embedded.clear()
        assert np.array_equal(features(window), expected)
        assert sum(embedded) == (3 if start else 20)  # what came in a second, and the last one, which ends in silence


@pytest.mark.parametrize(
    ("folder", "name"),
    [("helicopter", "Helicopter"), ("chainsaw", "Chainsaw"), ("vacuum_cleaner", "Vacuum cleaner"), ("train", "Train")],
)
def test_mechanical_sounds_are_known(real: Path, shared_data: Path, folder: str, name: str) -> None:
    """In a window of one of four clips, the class is among the five that are likeliest."""
    with (real / "yamnet_class_map.csv").open(encoding="utf-8") as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    features = Yamnet(weights=str(real))
    clips = sorted((shared_data / "mechanical" / folder).iterdir())[::4]
    likely = np.mean(
        [features.heard(read_waveform(clip, sample_rate=RATE, channel=0))[1].max(axis=0) for clip in clips], axis=0
    )
    assert names.index(name) in np.argsort(likely)[-5:]


@pytest.mark.parametrize(
    ("samples", "windows"), [(1, 1), (LENGTH, 1), (LENGTH + 1, 2), (LENGTH + 7681, 3), (160000, 20)]
)
def test_a_clip_of_any_length_has_its_windows(keras: Path, samples: int, windows: int) -> None:
    features = Yamnet(weights=str(keras.parent))
    assert features.n_frames(samples) == windows
    if samples < 30000:
        assert features(hum(2)[:samples]).shape == (windows, 1024)


def test_an_embedding_does_not_depend_on_the_windows_beside_it(keras: Path) -> None:
    features, waveform = Yamnet(weights=str(keras.parent), hop=0.1), hum(3)
    assert np.array_equal(features(waveform)[5], features(waveform[8000 : 8000 + LENGTH])[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hop": 0.005}, r"hop is 0\.005 s; windows lie whole frames"),
        ({"hop": 0.123}, r"0\.12 for instance"),
        ({"device": "tpu"}, "yamnet: .*tpu"),
        ({"sha256": "0" * 64}, r"is not the one that was asked for: its SHA-256 is \w{64}, not 0{64}"),
    ],
)
def test_what_cannot_be_is_refused(keras: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        Yamnet(weights=str(keras.parent), **arguments)


def test_weights_that_are_missing_damaged_or_others_are_named(keras: Path, tmp_path: Path) -> None:
    def refused(message: str, **arguments: Any) -> None:
        with pytest.raises(RecipeError, match=message):
            make_features({"kind": "yamnet", **arguments}, sample_rate=RATE, weights=tmp_path, where="member 'a'")

    refused(r"yamnet needs the weights yamnet\.h5 and .* has no such file; fetch .*--without yamnet")
    (tmp_path / weights.KERAS).write_bytes(keras.read_bytes()[:-5000])
    refused("is not the official one: its SHA-256 is")
    refused("cannot be read as weights that Keras saved", sha256=file_sha256(tmp_path / weights.KERAS))
    (tmp_path / weights.KERAS).unlink()
    (tmp_path / weights.ONNX).write_bytes(b"no graph")
    refused("cannot be read as an ONNX graph")
    few = dict(list(random_layers().items())[:-3])
    path = write_keras(tmp_path / weights.KERAS, few)
    refused("holds another network than YAMNet's", sha256=file_sha256(path))
    layers = random_layers()
    layers["logits"]["bias"][7] = np.nan
    path.unlink()
    refused("not finite", sha256=file_sha256(write_keras(path, layers)))


def test_an_empty_clip_is_refused(keras: Path) -> None:
    with pytest.raises(FeatureError, match="not empty"):
        Yamnet(weights=str(keras.parent))(np.zeros(0, np.float32))


def test_an_outline_needs_no_weights() -> None:
    outline = Yamnet.outline(hop=0.96)
    assert outline.config()["sha256"] == OFFICIAL  # of the real file
    assert outline(hum(1)).shape == (2, 1024)


def test_machines_are_chosen_among_any_sounds(real: Path, shared_data: Path, tmp_path: Path) -> None:
    from auscult.denoising.sounds import find_sounds
    from auscult.errors import DatasetError

    rng = np.random.default_rng(0)
    for kind in ("chainsaw", "vacuum_cleaner"):
        clip = sorted((shared_data / "mechanical" / kind).iterdir())[0]
        (tmp_path / clip.name).symlink_to(clip)
    soundfile.write(tmp_path / "beep.wav", np.sin(np.arange(2 * RATE)), RATE)
    soundfile.write(tmp_path / "silence.wav", rng.normal(0, 1e-4, 2 * RATE), RATE)
    mechanical = Yamnet(weights=str(real)).mechanical
    assert {sound.label for sound in find_sounds(tmp_path, label=mechanical)} <= set(MECHANICAL.values())
    assert {sound.path.suffix for sound in find_sounds(tmp_path, label=mechanical)} == {".flac"}
    for clip in tmp_path.glob("*.flac"):
        clip.unlink()
    with pytest.raises(DatasetError, match="holds 2 sounds, none of which is heard to be mechanical"):
        find_sounds(tmp_path, label=mechanical)


def test_the_places_of_mechanical_classes_are_those_of_the_class_map(real: Path) -> None:
    with (real / "yamnet_class_map.csv").open(encoding="utf-8") as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    assert {place: names[place] for place in MECHANICAL} == MECHANICAL


@pytest.mark.slow
def test_a_detector_by_yamnet_hears_live_what_it_hears_offline(
    command: Callable[..., Any], real: Path, tmp_path: Path
) -> None:
    hall, weights = Hall(seed=0, snr_db=6.0), ("--weights", real)
    (tmp_path / "normals").mkdir()
    for index in range(4):
        sound = hall.record("fan", "id_00", "train", "normal", index, n_samples=60 * RATE).mix
        soundfile.write(tmp_path / "normals" / f"{index}.wav", sound, RATE)
    soundfile.write(tmp_path / "new.wav", sound[: 30 * RATE], RATE)
    out = tmp_path / "fan.auscult"
    learned = command("learn", tmp_path / "normals", "--encoder", "yamnet", *weights, "--window", 5, "--out", out)
    assert learned.code == 0, learned.err
    detector = Detector.load(out)  # carries its encoder
    window, step = (detector.samples(seconds) for seconds in (detector.window_seconds, detector.step_seconds))
    heard = read_waveform(tmp_path / "new.wav", sample_rate=RATE, channel=0)
    offline = [
        Detector.load(out).window_score(heard[start : start + window])
        for start in range(0, len(heard) - window + 1, step)
    ]
    outcome = command("monitor", out, "--source", tmp_path / "new.wav", "--json", "--windows", "--threshold", 9)
    assert outcome.code == 0, outcome.err
    lines = map(json.loads, outcome.out.splitlines())
    assert [line["score"] for line in lines if line["type"] == "window"] == offline
    assert command("score", out, tmp_path / "new.wav", "--json").code == 0
