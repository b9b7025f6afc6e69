"""AUC and pAUC: perfect input scores 1, malformed input raises, stored inputs give stored figures."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.errors import ScoreError
from auscult.scores.intervals import bootstrap
from auscult.scores.metrics import METRICS, auc, evaluate, incomplete_ids, many, pauc, roc, sort_machine_types
from auscult.scores.table import ScoreRow, ScoreTable
from toys.metric import METRIC

LABELS = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
SCORES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 0.25, 0.65, 0.95, 0.95, 1.1, 1.2]


def table(**machines: dict[str, list[tuple[str | None, float]]]) -> ScoreTable:
    return ScoreTable(
        ScoreRow(machine_type, machine_id, f"{place}.wav", label, score)
        for machine_type, ids in machines.items()
        for machine_id, clips in ids.items()
        for place, (label, score) in enumerate(clips)
    )


GOOD = [("normal", 0.0), ("normal", 1.0), ("anomaly", 2.0), ("anomaly", 3.0)]
BAD = [(label, -score) for label, score in GOOD]


def pairs(labels: np.ndarray, scores: np.ndarray) -> float:
    """AUC by its meaning: over all pairs of an anomaly and a normal clip, ties one half."""
    difference = scores[labels == 1][:, None] - scores[labels == 0][None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def test_perfect_scores_give_one_and_reversed_scores_none() -> None:
    labels, scores = np.array([0] * 20 + [1] * 20), np.arange(40.0)
    assert auc(labels, scores) == pauc(labels, scores) == 1.0
    assert auc(labels, -scores) == 0.0
    # McClish's scale has no 0: chance has the area 0.005 of 0.1, so no area at all is 0.5 - 0.005 / 0.095 / 2.
    assert pauc(labels, -scores) == pytest.approx(0.5 * (1 - 0.005 / 0.095), abs=1e-12)
    assert auc(labels, np.zeros(40)) == pauc(labels, np.zeros(40)) == 0.5


def test_stored_scores_give_stored_figures() -> None:
    # 6 x 10 pairs, by hand: anomalies beat 2, 6, 9, 9, 10 and 10 normals.
    assert auc(LABELS, SCORES) == pytest.approx(46 / 60, abs=1e-12)
    # Up to a false positive rate of 0.1 two of six anomalies are found, then two more at 0.1 itself: area 0.1 * 2 / 6.
    assert pauc(LABELS, SCORES) == pytest.approx(0.5 * (1 + (0.1 * 2 / 6 - 0.005) / 0.095), abs=1e-12)
    # Up to 0.25, in steps of 0.1: 2, 4 and, for half a step, 4 of 6.
    area = 0.1 * 2 / 6 + 0.15 * 4 / 6
    chance = 0.25**2 / 2
    expected = 0.5 * (1 + (area - chance) / (0.25 - chance))
    assert pauc(LABELS, SCORES, max_fpr=0.25) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(clips: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([c[0] for c in clips]).astype(int), np.array([float(c[1]) for c in clips])
    if labels.all() or not labels.any():
        with pytest.raises(ScoreError, match="needs both"):
            auc(labels, scores)
        return
    assert auc(labels, scores) == pytest.approx(pairs(labels, scores), abs=1e-12)
    assert auc(labels, scores) + auc(labels, -scores) == pytest.approx(1.0, abs=1e-12)
    assert pauc(labels, scores, max_fpr=1.0) == pytest.approx(auc(labels, scores), abs=1e-12)


def test_only_the_order_of_scores_counts() -> None:
    scores = np.array(SCORES)
    assert auc(LABELS, np.exp(5 * scores)) == auc(LABELS, scores)
    assert pauc(LABELS, 1e6 + 3 * scores) == pauc(LABELS, scores)


def test_the_area_under_the_roc_is_the_auc() -> None:
    false_positives, true_positives = roc(LABELS, SCORES)
    assert (false_positives[0], true_positives[0], false_positives[-1], true_positives[-1]) == (0, 0, 1, 1)
    assert (np.diff(false_positives) >= 0).all() and (np.diff(true_positives) >= 0).all()
    assert np.trapezoid(true_positives, false_positives) == pytest.approx(auc(LABELS, SCORES), abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.0], "shape"),
        ([[0, 1]], [[0.0, 1.0]], "shape"),
        ([], [], "needs both"),
        ([1, 1], [0.0, 1.0], "0 normal and 2 anomalous"),
        ([0, 2], [0.0, 1.0], "neither 0"),
        (["normal", "anomaly"], [0.0, 1.0], "neither 0"),
        ([0, 1], [0.0, float("nan")], "not finite"),
    ],
)
def test_malformed_input_is_refused(labels: list[object], scores: list[float], message: str) -> None:
    for metric in (auc, pauc, roc):
        with pytest.raises(ScoreError, match=message):
            metric(labels, scores)


@pytest.mark.parametrize("max_fpr", [0.0, -0.1, 1.1, float("nan")])
def test_a_false_positive_rate_out_of_range_is_refused(max_fpr: float) -> None:
    with pytest.raises(ScoreError, match="max_fpr"):
        pauc([0, 1], [0.0, 1.0], max_fpr=max_fpr)


def test_means_are_over_ids_then_types_never_pooled() -> None:
    # One id with few clips counts as much as one with many, and scores on different scales do not mix.
    shifted = [(label, score - 100) for label, score in GOOD * 1]
    result = evaluate(table(fan={"id_00": GOOD, "id_02": shifted, "id_04": BAD}, valve={"id_00": BAD}))
    assert result["fan"]["id_02"]["auc"] == 1.0
    assert result["fan"]["mean"]["auc"] == pytest.approx(2 / 3)
    assert result["mean"]["auc"] == pytest.approx((2 / 3 + 0) / 2)
    expected = np.mean([result["fan"]["mean"]["pauc"], result["valve"]["mean"]["pauc"]])
    assert result["mean"]["pauc"] == pytest.approx(expected)


def test_types_stand_in_the_order_of_the_challenge() -> None:
    result = evaluate(table(valve={"id_00": GOOD}, compressor={"a": GOOD}, ToyConveyor={"id_01": GOOD}))
    assert list(result) == ["ToyConveyor", "valve", "compressor", "mean"]
    assert sort_machine_types(["b", "slider", "a", "fan", "a"]) == ["fan", "slider", "a", "b"]


@pytest.mark.parametrize(
    ("clips", "reason"),
    [
        ([("normal", 0.0), ("normal", 1.0)], "2 normal and 0 anomalous clips"),
        ([("normal", 0.0), ("anomaly", 1.0), (None, 2.0)], "1 of 3 clips without a label"),
    ],
)
def test_an_id_without_auc_is_refused_or_left_out_by_name(clips: list[tuple[str | None, float]], reason: str) -> None:
    scores = table(pump={"id_00": GOOD, "id_02": clips}, valve={"id_00": clips})
    with pytest.raises(ScoreError, match=f"pump id_02 has {reason} .and 1 more"):
        evaluate(scores)
    assert incomplete_ids(scores) == {("pump", "id_02"): reason, ("valve", "id_00"): reason}
    complete = evaluate(table(pump={"id_00": GOOD}))
    assert evaluate(scores, incomplete="skip") == complete


def test_a_metric_of_the_list_is_in_the_figures_where_it_is_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "toy", METRIC)
    rows = [replace(row, domain="source" if row.score == 0 else "target") for row in table(fan={"id_00": GOOD})]
    targets = [replace(row, domain="target", machine_id="id_02") for row in rows]
    scores = ScoreTable([*rows, *targets])
    figures, intervals = evaluate(scores), bootstrap({"a": scores}, replicates=20)["a"]
    assert [
        [metric for metric in figures["fan"][name] if metric in ("auc", "pauc", "toy")]
        for name in ("id_02", "id_00", "mean")
    ] == [
        ["auc", "pauc"],
        ["auc", "pauc", "toy"],
        ["auc", "pauc", "toy"],
    ]
    assert figures["mean"]["toy"] == 1.0
    assert intervals["fan"]["mean"]["toy"] == (1.0, 1.0)
    assert "toy" not in intervals["fan"]["id_02"]


def test_one_by_one_is_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels, scores = np.arange(40) % 3 == 0, rng.standard_normal((5, 40)).round(1)
    counts = np.empty((40, 4))
    for kind, n in ((labels, 14), (~labels, 26)):
        counts[kind] = rng.multinomial(n, [1 / n] * n, size=4).T
    fast = many(METRICS, labels, None, scores), many(METRICS, labels, None, scores[:1], counts=counts)
    for name, metric in list(METRICS.items()):
        monkeypatch.setitem(METRICS, name, replace(metric, fast=None))
    slow = many(METRICS, labels, None, scores), many(METRICS, labels, None, scores[:1], counts=counts)
    for one, other in zip(fast, slow, strict=True):
        assert {name: values.tolist() for name, values in one.items()} == {
            name: pytest.approx(values.tolist(), abs=1e-12, nan_ok=True) for name, values in other.items()
        }


def test_nothing_to_evaluate() -> None:
    with pytest.raises(ScoreError, match="no clips"):
        evaluate(ScoreTable([]))
    assert evaluate(table(fan={"id_00": [(None, 1.0)]}), incomplete="skip") == {}


def test_a_machine_called_mean_is_refused() -> None:
    with pytest.raises(ScoreError, match="rename"):
        evaluate(table(fan={"mean": GOOD}))
