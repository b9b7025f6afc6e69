"""Bootstrap intervals: a resample is the data with repetitions, the same for all systems, and intervals cover."""

from dataclasses import replace
from math import erf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.errors import ScoreError
from auscult.scores.areas import resampled
from auscult.scores.intervals import bootstrap
from auscult.scores.metrics import auc, evaluate, pauc
from auscult.scores.table import ScoreRow, ScoreTable

values = st.lists(st.integers(-4, 4).map(lambda value: value / 3), min_size=1, max_size=12)
seeds = st.integers(0, 2**32 - 1)


def table(*machines: tuple[str, str, list[float], list[float]]) -> ScoreTable:
    """Machine type, id, scores of normal clips, scores of anomalies."""
    return ScoreTable(
        ScoreRow(machine_type, machine_id, f"{label}_{place}.wav", label, float(score))
        for machine_type, machine_id, normals, anomalies in machines
        for label, scores in (("normal", normals), ("anomaly", anomalies))
        for place, score in enumerate(scores)
    )


def noisy(seed: int, gain: float = 1.0, kind: str = "fan", n_clips: int = 30) -> ScoreTable:
    rng = np.random.default_rng(seed)
    return table(
        *((kind, f"id_0{place}", rng.standard_normal(n_clips), rng.standard_normal(n_clips) + gain) for place in (0, 2))
    )


@settings(deadline=None)
@given(values, values, st.sampled_from([0.1, 0.25, 1.0]))
def test_each_clip_once_gives_the_metrics(normals: list[float], anomalies: list[float], max_fpr: float) -> None:
    scores, labels = np.array([*normals, *anomalies]), np.array([False] * len(normals) + [True] * len(anomalies))
    found = resampled(scores, labels, np.ones((len(scores), 2)), max_fpr=max_fpr)
    assert found[0] == pytest.approx(auc(labels, scores), abs=1e-12)
    assert found[1] == pytest.approx(pauc(labels, scores, max_fpr=max_fpr), abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(values, values, seeds)
def test_a_replicate_equals_the_metrics_of_repeated_clips(
    normals: list[float], anomalies: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    counts = [rng.multinomial(len(some), [1 / len(some)] * len(some), size=5).T for some in (normals, anomalies)]
    scores, labels = np.array([*normals, *anomalies]), np.array([False] * len(normals) + [True] * len(anomalies))
    found = np.array(resampled(scores, labels, np.concatenate(counts).astype(float)))
    for replicate in range(5):
        repeated = np.repeat(scores, np.concatenate(counts)[:, replicate])
        assert found[:, replicate] == pytest.approx([auc(labels, repeated), pauc(labels, repeated)], abs=1e-12)


def test_it_has_the_form_of_the_evaluation_and_holds_its_figures() -> None:
    scores = ScoreTable([*noisy(0), *noisy(1, kind="pump")])
    figures, intervals = evaluate(scores), bootstrap({"a": scores})["a"]
    assert list(intervals) == list(figures) == ["fan", "pump", "mean"]
    assert list(intervals["fan"]) == list(figures["fan"]) == ["id_00", "id_02", "mean"]
    for name in ("auc", "pauc"):
        for own, bounds in [(figures["fan"]["id_02"], intervals["fan"]["id_02"]), (figures["mean"], intervals["mean"])]:
            low, high = bounds[name]
            assert low < own[name] < high
    assert intervals["mean"]["auc"][1] - intervals["mean"]["auc"][0] < np.diff(intervals["fan"]["id_00"]["auc"])[0]


def test_scores_without_doubt_have_intervals_without_width() -> None:
    scores = table(("fan", "id_00", [0, 1, 2], [3, 4]), ("fan", "id_02", [5, 5, 5], [5, 5]))
    intervals = bootstrap({"a": scores})["a"]["fan"]
    assert intervals["id_00"] == {"auc": (1.0, 1.0), "pauc": (1.0, 1.0)}
    assert intervals["id_02"] == {"auc": (0.5, 0.5), "pauc": (0.5, 0.5)}
    assert intervals["mean"] == {"auc": (0.75, 0.75), "pauc": (0.75, 0.75)}


def test_all_systems_get_the_same_draws_whatever_else_is_there() -> None:
    one, other = noisy(0), noisy(1)
    alone = bootstrap({"one": one}, replicates=100)["one"]
    ordered_alike = ScoreTable(replace(row, score=float(np.exp(row.score))) for row in one)
    together = bootstrap({"other": other, "alike": ordered_alike, "one": one}, replicates=100)
    assert together["one"] == together["alike"] == alone
    more = ScoreTable([*noisy(2, kind="valve"), *one])
    assert bootstrap({"more": more}, replicates=100)["more"]["fan"] == alone["fan"]
    assert bootstrap({"one": one}, replicates=100, seed=1)["one"] != alone


def test_a_system_that_scored_fewer_clips_is_no_error() -> None:
    whole = noisy(0)
    part = ScoreTable(row for row in whole if row.file != "normal_3.wav")
    intervals = bootstrap({"whole": whole, "part": part, "again": whole}, replicates=100)
    assert intervals["whole"] == intervals["again"]
    assert intervals["part"] == bootstrap({"part": part}, replicates=100)["part"]


def test_ids_without_an_auc_are_left_out() -> None:
    scores = ScoreTable([*noisy(0), *table(("fan", "id_04", [1.0], []), ("pump", "id_00", [1.0], []))])
    assert bootstrap({"a": scores}, replicates=50) == bootstrap({"a": noisy(0)}, replicates=50)
    assert bootstrap({"a": table(("fan", "id_00", [1.0], [])), "b": ScoreTable([])}) == {"a": {}, "b": {}}
    assert bootstrap({}) == {}


@pytest.mark.parametrize("arguments", [{"replicates": 0}, {"level": 0.0}, {"level": 1.0}, {"level": 95}], ids=str)
def test_bad_arguments_are_named(arguments: dict[str, float]) -> None:
    with pytest.raises(ScoreError, match="draw 1 at least, and a level between 0 and 1"):
        bootstrap({"a": noisy(0)}, **arguments)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_higher_level_is_wider(seed: int) -> None:
    scores = {"a": noisy(seed)}
    narrow, wide = (bootstrap(scores, replicates=60, level=level)["a"]["mean"] for level in (0.5, 0.9))
    assert wide["auc"][0] <= narrow["auc"][0] <= narrow["auc"][1] <= wide["auc"][1]


def test_intervals_cover_the_true_auc_as_often_as_they_say() -> None:
    """The AUC of two normal laws a distance d apart is known; 300 samples of 40 + 40 clips put 90 % to the test."""
    distance = 1.0
    truth = 0.5 * (1 + erf(distance / 2))
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        scores = table(("fan", "id_00", rng.standard_normal(40), rng.standard_normal(40) + distance))
        low, high = bootstrap({"a": scores}, replicates=300, level=0.9)["a"]["mean"]["auc"]
        covered += low <= truth <= high
    assert 0.84 <= covered / 300 <= 0.95
