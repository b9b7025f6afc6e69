"""Encoders in ONNX files: windows and clips, shapes of any order, graphs that are damaged, foreign or endless."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from auscult.detector import Detector, Machine, Part
from auscult.detector.archive import write_archive
from auscult.errors import DetectorError, FeatureError, RecipeError
from auscult.features import features_of
from auscult.features.front_end import FrontEnd
from auscult.features.log_mel import LogMel
from auscult.features.onnx_graph import Graph
from auscult.features.weights import file_sha256
from auscult.members.making import make_features
from auscult.models import Neighbours

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
from onnx import TensorProto, helper  # noqa: E402  # behind the check that it is there

RATE = 1000
Array = NDArray[np.float32]


def noise(count: int = 2000, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 0.2, count).astype(np.float32)


def graph(
    nodes: list[Any],
    *,
    x: list[Any],
    y: list[Any],
    constants: dict[str, Any] | None = None,
    kind: int = TensorProto.FLOAT,
    outputs: tuple[str, ...] = ("y",),
    domain: str = "",
) -> Any:
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    found = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", kind, x)],
        [helper.make_tensor_value_info(name, kind, y) for name in outputs],
        tensors,
    )
    imports = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(found, opset_imports=imports, ir_version=9)


def projection(x: list[Any], *, size: int = 100, out: int = 3, name: str = "x") -> Any:
    """Multiplies the last axis by a matrix of known numbers."""
    return graph(
        [helper.make_node("MatMul", [name, "w"], ["y"])],
        x=x,
        y=[*x[:-1], out],
        constants={"w": matrix(size, out)},
    )


def matrix(size: int, out: int) -> Array:
    return np.random.default_rng(1).normal(size=(size, out)).astype(np.float32)


def encoder(folder: Path, model: Any, **arguments: Any) -> Any:
    (folder / "encoder.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    usual = {"kind": "onnx", "sample_rate": RATE, "file": "encoder.onnx", "window": 0.1, "hop": 0.05}
    return features_of(usual | arguments | {"weights": str(folder)})


@pytest.mark.parametrize(
    "axes", [["batch", 100], ["batch", "time"], [1, 100], [100], ["time"], ["batch", 1, 100]], ids=str
)
def test_windows_of_a_waveform_are_embedded_in_whatever_axes(tmp_path: Path, axes: list[Any]) -> None:
    features = encoder(tmp_path, projection(axes), scale=2.0, offset=0.5)
    waveform = noise(530)
    starts = range(0, 431, 50)
    expected = np.stack([(2 * waveform[start : start + 100] + 0.5) @ matrix(100, 3) for start in starts])
    assert features.n_frames(530) == len(expected) == 9
    assert np.allclose(features(waveform), expected, atol=1e-4)
    assert features.frame_rate == 20
    assert np.allclose(
        features(waveform[:40])[0], (2 * np.pad(waveform[:40], (0, 60)) + 0.5) @ matrix(100, 3), atol=1e-4
    )


@pytest.mark.parametrize(
    "axes", [["batch", 8, 24], ["batch", 1, 8, 24], [1, 1, 8, 24], ["batch", 8, 24, 1], ["batch", 24, 8]], ids=str
)
def test_a_graph_may_take_features_that_the_recipe_describes(tmp_path: Path, axes: list[Any]) -> None:
    size = 24 * 8
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    model = graph(nodes, x=axes, y=[axes[0], 3], constants={"w": matrix(size, 3)})
    mel = {"kind": "log_mel", "n_fft": 64, "hop_length": 20, "n_mels": 24}
    features = encoder(tmp_path, model, front_end=mel, window=0.16, hop=0.08)
    waveform = noise(700)
    frames = LogMel(RATE, n_fft=64, hop_length=20, n_mels=24)(waveform)
    turn = axes[-1] == 8
    expected = [
        np.ravel(frames[at : at + 8].T if turn else frames[at : at + 8]) @ matrix(size, 3)
        for at in range(0, len(frames) - 7, 4)
    ]
    assert np.allclose(features(waveform), expected, rtol=1e-3, atol=1e-2)
    assert features.n_frames(700) == len(expected)
    assert features.frame_rate == 12.5


@pytest.mark.parametrize(("batch", "runs"), [(1, 6), (8, 3)])
def test_of_windows_embedded_alone_those_heard_before_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, runs: int
) -> None:
    features = encoder(tmp_path, projection(["batch", 100]), batch=batch)
    sound, calls, call = noise(1500), [], Graph.__call__

    def counted(graph: Graph, values: Array) -> Array:
        calls.append(len(values))
        return call(graph, values)

    features(sound[:1000])
    monkeypatch.setattr(Graph, "__call__", counted)
    again = features(sound[300:1300])  # 19 windows, 6 of them new
    assert len(calls) == runs
    fresh = encoder(tmp_path, projection(["batch", 100]), batch=batch)
    assert np.array_equal(again, fresh(sound[300:1300]))


def test_a_graph_may_see_the_whole_clip(tmp_path: Path) -> None:
    """A convolution of 100 samples every 50, `[1, 1, T]` -> `[1, 3, N]`, which is turned."""
    kernel = matrix(100, 3).T[:, None]
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], strides=[50]),
        helper.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 1]),
    ]
    model = graph(nodes, x=["batch", 1, "time"], y=["batch", "frames", 3], constants={"k": kernel})
    features, waveform = encoder(tmp_path, model, sees="clip"), noise(530)
    expected = np.stack([waveform[start : start + 100] @ matrix(100, 3) for start in range(0, 431, 50)])
    assert np.allclose(features(waveform), expected, atol=1e-4)
    with pytest.raises(FeatureError, match=r"makes \d+ frames, and with a window of 0.1 s every 0.02 s"):
        encoder(tmp_path, model, sees="clip", hop=0.02)


def test_the_real_two_stage_encoder_gives_its_frames(shared_data: Path) -> None:
    folder = str(shared_data / "encoders")
    mel = {
        "kind": "onnx",
        "file": "melspectrogram.onnx",
        "window": 0.032,
        "hop": 0.01,
        "sees": "clip",
        "scale": 32767.0,
    }
    config = {"kind": "onnx", "file": "speech_embedding.onnx", "window": 0.76, "hop": 0.08, "scale": 0.1, "offset": 2.0}
    features = features_of({**config, "sample_rate": 16000, "front_end": mel, "weights": folder})
    assert features.frame_rate == pytest.approx(12.5)
    waveform = noise(32000)
    assert features(waveform).shape == (features.n_frames(32000), 96)


def test_a_member_keeps_the_hash_and_not_the_place(tmp_path: Path) -> None:
    features = encoder(tmp_path, projection(["batch", 100]))
    assert features.config()["sha256"] == file_sha256(tmp_path / "encoder.onnx")
    assert "weights" not in features.config()
    again = features_of(features.arguments())
    assert np.array_equal(again(noise()), features(noise()))


def several(model: Any) -> Any:
    model.graph.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [100, 3]))
    return model


def external(model: Any) -> Any:
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    return model


def allocating(rows: int) -> Any:
    """Makes a constant of so many rows of 4 kB and adds its sum."""
    one = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["b"], value=one),
        helper.make_node("ReduceSum", ["b"], ["r"], keepdims=0),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    return graph(nodes, x=["batch", 100], y=["batch", 100], constants={"s": np.array([rows, 1000])})


def looping() -> Any:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, ["batch", 100]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, ["batch", 100]),
        ],
    )
    node = helper.make_node("Loop", ["n", "true", "x"], ["y"], body=body)
    return graph([node], x=["batch", 100], y=["batch", 100], constants={"n": np.array(2**62), "true": np.array(True)})


def two_inputs() -> Any:
    model = projection(["batch", 100])
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    return model


def halves() -> Any:
    constants = {"w": matrix(100, 3).astype(np.float16)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return graph(nodes, x=["batch", 100], y=["batch", 3], constants=constants, kind=TensorProto.FLOAT16)


def three_axes() -> Any:
    nodes = [helper.make_node("Unsqueeze", ["x", "axes"], ["u"]), helper.make_node("MatMul", ["u", "w"], ["y"])]
    constants = {"axes": np.array([2]), "w": matrix(1, 6).reshape(1, 6)}
    return graph(nodes, x=["batch", 100], y=["batch", 100, 6], constants=constants)


OWN = helper.make_node("Secret", ["x"], ["y"], domain="evil")


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        pytest.param(
            lambda: projection(["batch", 100]),
            {"window": 0.2},
            r"takes \['\?', 100\], and a window of 0.2 s has \[200\]",
            id="shape",
        ),
        pytest.param(
            lambda: projection(["batch", "time"]),
            {"window": 0.2},
            r"fails on an input of the shape \[1, 200\]",
            id="dynamic",
        ),
        pytest.param(
            lambda: several(projection(["batch", 100])), {}, "has the outputs y, w; say which with output", id="outputs"
        ),
        pytest.param(lambda: projection(["batch", 100]), {"output": "z"}, "has no output 'z'.*it has y", id="name"),
        pytest.param(lambda: projection(["batch", 100]), {"input": "z"}, "has no input 'z'.*it has x", id="input"),
        pytest.param(two_inputs, {"input": "x"}, "wants the inputs x, mask", id="inputs"),
        pytest.param(lambda: external(projection(["batch", 100])), {}, "keeps weights in other files", id="external"),
        pytest.param(halves, {}, "no float32 .*export the graph in float32", id="float16"),
        pytest.param(lambda: projection(["batch", 100]).SerializeToString()[:-300], {}, "truncated", id="truncated"),
        pytest.param(lambda: b"", {}, "holds no operators", id="empty"),
        pytest.param(
            lambda: allocating(50_000_000),
            {},
            r"Available memory of \d+ is smaller",
            id="allocating",
        ),
        pytest.param(looping, {}, "operator Loop, which may never end", id="loop"),
        pytest.param(
            lambda: graph([OWN], x=["batch", 100], y=["batch", 3], domain="evil"),
            {},
            r"operators of its own \(evil.Secret\)",
            id="custom",
        ),
        pytest.param(three_axes, {}, r"makes 100 frames, and with a window of 0.1 s", id="frames"),
        pytest.param(lambda: projection(["batch", 100]), {"sees": "all"}, "choose one of window, clip", id="sees"),
        pytest.param(lambda: projection(["batch", 100]), {"file": "../encoder.onnx"}, "without a path", id="path"),
        pytest.param(lambda: projection(["batch", 100]), {"hop": 0.0}, "give seconds above 0", id="hop"),
        pytest.param(
            lambda: projection(["batch", 100]), {"sha256": "0" * 64}, "is not the file that was asked for", id="hash"
        ),
        pytest.param(
            lambda: projection(["batch", 100]),
            {"front_end": {"kind": "mel"}},
            "features of the kind 'mel'; choose one of",
            id="front end",
        ),
    ],
)
def test_what_is_no_encoder_is_refused_in_a_line(
    tmp_path: Path, model: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(FeatureError, match=message) as refused:
        encoder(tmp_path, model(), **arguments)
    assert "\n" not in str(refused.value)


def test_a_graph_of_bounded_memory_runs(tmp_path: Path) -> None:
    assert encoder(tmp_path, allocating(10), window=0.1)(noise(100))[0, 0] == pytest.approx(
        10_000 + noise(100)[0], abs=0.01
    )


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    table = {"kind": "onnx", "file": "beats.onnx", "window": 1.0, "hop": 0.5}
    with pytest.raises(
        RecipeError, match=r"needs the weights beats.onnx and .* has no such file; put the encoder's file"
    ):
        make_features(table, sample_rate=RATE, weights=tmp_path, where="member 'a'")


# In a detector


def detector_with(features: Any) -> Detector:
    rng = np.random.default_rng(0)
    front_end = FrontEnd(features)
    clips = [features(rng.normal(0, 0.2, 1000).astype(np.float32)) for _ in range(12)]
    model = Neighbours(features.n_bins, space="cosine").fit(clips, ["a"] * 12)
    parts = [Part("one", "neighbours", front_end, model, None, 0.0, 1.0, 1.0)]
    return Detector(parts, {"pump": Machine("pump", "a")}, 1.0, 0.5)


@pytest.mark.parametrize("nested", [False, True])
def test_a_detector_carries_its_encoder_or_names_it(
    tmp_path: Path, nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUSCULT_WEIGHTS", raising=False)
    weights = tmp_path / "weights"
    weights.mkdir()
    features = encoder(weights, projection(["batch", 100]))
    if nested:
        features = features_of(
            {"kind": "statistics", "sample_rate": RATE, "of": features.config(), "weights": str(weights)}
        )
    made, sound = detector_with(features), noise(1000, seed=7)
    made.save(tmp_path / "whole.auscult")
    made.save(tmp_path / "named.auscult", carry=False)
    weights.rename(tmp_path / "elsewhere")
    whole = Detector.load(tmp_path / "whole.auscult")
    assert whole.window_score(sound) == made.window_score(sound)
    whole.save(tmp_path / "again.auscult")
    assert (tmp_path / "again.auscult").read_bytes() == (tmp_path / "whole.auscult").read_bytes()
    with pytest.raises(DetectorError, match=r"needs published weights: onnx needs the weights encoder\.onnx"):
        Detector.load(tmp_path / "named.auscult")
    monkeypatch.setenv("AUSCULT_WEIGHTS", str(tmp_path / "elsewhere"))
    assert Detector.load(tmp_path / "named.auscult").window_score(sound) == made.window_score(sound)


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """A detector's file whose description and other entries are changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(entries.pop("detector.json"))
    change(description, entries)
    write_archive(path, description, entries)
    return path


def swap(entries: dict[str, bytes], content: bytes) -> None:
    (name,) = [name for name in entries if name.startswith("encoders/")]
    entries[name] = content


PLACED = {"kind": "yamnet", "weights": "/"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said, _: said["front_ends"][0].update(files={"../x.onnx": "encoders/x"}), "which is a path"),
        (lambda said, _: said["front_ends"][0].update(files={"encoder.onnx": "gone"}), "no entry 'gone'"),
        (lambda _, entries: swap(entries, b"no graph"), "is not the file that was asked for"),
        (lambda said, _: said["front_ends"][0]["features"].update(weights="/"), "a place, weights"),
        (lambda said, _: said["front_ends"][0]["features"].update(front_end=PLACED), "no argument 'weights' here"),
        (lambda said, _: said["front_ends"][0]["features"].update(batch=10**6), "batch = 1000000, greater than"),
    ],
)  # fmt: skip
def test_an_encoder_in_a_detector_is_not_trusted(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "pump.auscult"
    detector_with(encoder(tmp_path, projection(["batch", 100]))).save(path)
    with pytest.raises(DetectorError, match=message) as refused:
        Detector.load(rewritten(path, change))
    assert "\n" not in str(refused.value)


def test_a_foreign_graph_in_a_detector_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "pump.auscult"
    detector_with(encoder(tmp_path, projection(["batch", 100]))).save(path)
    evil = looping().SerializeToString()

    def change(said: dict[str, Any], entries: dict[str, bytes]) -> None:
        swap(entries, evil)
        said["front_ends"][0]["features"]["sha256"] = hashlib.sha256(evil).hexdigest()

    with pytest.raises(DetectorError, match="operator Loop, which may never end"):
        Detector.load(rewritten(path, change))
