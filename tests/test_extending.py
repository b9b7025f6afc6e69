"""Adding something is one file and one line: toys from `toys/` go all the way, and nothing but a line names them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from auscult.datasets import DATASETS
from auscult.detector import Detector
from auscult.errors import ModelError
from auscult.features import FEATURES
from auscult.features.bank import bank_of
from auscult.models import MODELS, load_model
from auscult.recipe import load_recipe
from auscult.runs.results import read_scores_of
from auscult.runs.run import run
from auscult.scores.metrics import METRICS
from toys import layout
from toys.bands import Bands
from toys.metric import METRIC
from toys.nearest import Nearest

RATE = 8000

RECIPE = """
name = "toys"
[[member]]
name = "near"
family = "nearest"
features = { kind = "bands", n_bands = 12 }
model = { k = 3 }
[[member]]
name = "yardstick"
family = "spectral"
features = { kind = "bands" }
[[ensemble]]
name = "both"
members = ["near", "yardstick"]
"""


@pytest.fixture(autouse=True)
def _one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "nearest", Nearest)
    monkeypatch.setitem(FEATURES, "bands", Bands)
    monkeypatch.setitem(DATASETS, "toy", layout)
    monkeypatch.setitem(METRICS, "auc_near", METRIC)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "toys.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layout.write(tmp_path_factory.mktemp("data"))


def hum(seconds: float, *, whistle: float = 0.0, seed: int = 0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    tones = 0.05 * np.sin(2 * np.pi * 200 * time) + whistle * np.sin(2 * np.pi * 2500 * time)
    return tones + 0.01 * np.random.default_rng(seed).standard_normal(len(time))


def test_a_plan_knows_what_toys_cost(command: Callable[..., Any], recipe: Path, data: Path) -> None:
    outcome = command("plan", recipe, "--data", data, "--json")
    assert outcome.code == 0, outcome.err
    rows = {row["what"]: row for row in json.loads(outcome.out)["rows"]}
    assert list(rows) == ["bands", "nearest", "spectral"]
    assert rows["nearest"]["parameters"] == [0, 0]
    assert all(row["seconds"] > 0 for row in rows.values())


def test_a_run_goes_on_where_it_was_killed_and_its_system_is_packed(
    command: Callable[..., Any], recipe: Path, data: Path, tmp_path: Path
) -> None:
    def power_cut(label: str, done: int, total: int, text: str) -> None:
        if label == "fan near" and text == "done":
            raise KeyboardInterrupt

    out, whole = tmp_path / "run", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        run(load_recipe(str(recipe)), data=data, out=out, on_progress=power_cut)
    run(load_recipe(str(recipe)), data=data, out=whole)
    outcome = command("run", recipe, "--data", data, "--out", out)
    assert outcome.code == 0, outcome.err
    near, again = read_scores_of(out, "near"), read_scores_of(whole, "near")
    assert list(near) == list(again)
    assert list(read_scores_of(out, "both", protocol="uniform")) == list(
        read_scores_of(whole, "both", protocol="uniform")
    )
    normal, faulty = ([row.score for row in near if row.label == label] for label in ("normal", "anomaly"))
    assert min(faulty) > max(normal)
    assert {row.domain for row in near} == {"source", "target"}
    report = (out / "report.html").read_text()
    assert ">near</th>" in report
    assert "AUC source" in report
    figures = json.loads((out / "results.json").read_text())
    assert '"auc_near": 1.0' in json.dumps(figures)

    outcome = command("pack", out, "--out", tmp_path / "fan.auscult", "--system", "near", "--window", "1")
    assert outcome.code == 0, outcome.err
    detector = Detector.load(tmp_path / "fan.auscult")
    part = detector.parts[0]
    assert isinstance(part.model, Nearest)
    for row in near:
        score = detector.score(data / row.file, machine_id=row.machine_id, evidence=False).score
        assert score == pytest.approx((row.score - part.mean) / part.sd)


HOW = ("--false-alarms", "60/hour", "--window", "1", "--override", f"sample_rate={RATE}")


def test_a_detector_learns_scores_and_listens(command: Callable[..., Any], recipe: Path, tmp_path: Path) -> None:
    day, faulty, path = tmp_path / "day.wav", tmp_path / "faulty.wav", tmp_path / "fan.auscult"
    soundfile.write(day, hum(400, seed=1), RATE)
    whole = np.concatenate([hum(10, seed=2), hum(10, whistle=0.05, seed=3)])
    soundfile.write(faulty, whole, RATE)
    outcome = command("learn", day, "--recipe", recipe, "--out", path, *HOW)
    assert outcome.code == 0, outcome.err
    outcome = command("score", path, faulty, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["decision"] == "anomalous"
    outcome = command("monitor", path, "--source", faulty, "--json", "--state", tmp_path / "state")
    assert outcome.code == 0, outcome.err
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert any(event["type"] == "alarm" and event["event"] == "raised" for event in events)
    outcome = command("export", path, "--onnx", tmp_path / "onnx")
    assert outcome.code == 2
    assert "near: the family nearest is not exported" in outcome.err


def test_a_model_keeps_as_many_clips_as_it_has_heard(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).standard_normal((7, 5, 4)).astype(np.float32)
    model = Nearest(4).fit(clips, ["a"] * 7)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert len(loaded.state_dict()["vectors"]) == 7
    np.testing.assert_array_equal(loaded.score_clips(clips, ["a"] * 7), model.score_clips(clips, ["a"] * 7))
    (evidence,) = model.maps(clips[0], "a").values()
    np.testing.assert_array_equal(evidence, np.repeat(model.frame_scores(clips[:1], ["a"])[0][:, None], 4, axis=1))
    with pytest.raises(ModelError, match="nearest: the score is defined on the whole clip, so pooling 'mean'"):
        model.score_clips(bank_of(clips, ["a"] * 7), pooling="mean")


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"vectors": torch.zeros(7, 5)}, r"'vectors' as \[7, 5\] float32, and by its arguments that is \[any, 4\]"),
        ({"vectors": torch.zeros(7, 4, 1)}, r"as \[7, 4, 1\]"),
        ({"vectors": torch.zeros(7, 4, dtype=torch.float64)}, "float64"),
        ({}, "'vectors' as missing"),
        ({"vectors": torch.zeros(7, 4), "more": torch.zeros(1)}, r"'more' as \[1\] float32, .* missing"),
    ],
)
def test_only_the_length_is_free(tensors: dict[str, torch.Tensor], words: str) -> None:
    with pytest.raises(ModelError, match=f"^a model with .*{words}"):
        Nearest.rebuilt({"n_bins": 4}, ["a"], tensors, what="a model")
