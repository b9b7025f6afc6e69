"""Ensembles: scores on one scale, weighted means clip by clip, areas of many at once, weights, correlations."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from auscult.errors import ScoreError
from auscult.scores.areas import areas
from auscult.scores.ensemble import Scores, correlations
from auscult.scores.ensemble.columns import Judge, scaled
from auscult.scores.ensemble.weights import MAX_VECTORS, Objective, best, simplex, steps_of, uniform, weighted
from auscult.scores.table import ScoreRow, ScoreTable

finite = st.floats(-1e6, 1e6)
several = st.lists(finite, min_size=2, max_size=8)


def table(*scores: float, machine_type: str = "fan", machine_id: str = "id_00", first: int = 0) -> ScoreTable:
    return ScoreTable(
        ScoreRow(machine_type, machine_id, f"{index + first:03d}.wav", "normal", score)
        for index, score in enumerate(scores)
    )


def both(*tables: ScoreTable) -> ScoreTable:
    return ScoreTable(row for table in tables for row in table)


def columns(scores: list[float], training: list[float]) -> dict[str, np.ndarray]:
    return {"train": np.array(training), "development": np.array(scores), "evaluation": np.empty(0)}


@given(several, several, st.floats(0.01, 100), finite)
def test_neither_scale_nor_offset_of_a_system_matters(
    scores: list[float], training: list[float], scale: float, offset: float
) -> None:
    assume(np.std(training) > 1)
    one = scaled("one", columns(scores, training), "train")
    changed = [[scale * score + offset for score in some] for some in (scores, training)]
    other = scaled("other", columns(*changed), "train")
    assert other["development"] == pytest.approx(one["development"], rel=1e-5, abs=1e-3)
    assert (one["train"].mean(), one["train"].std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1))


def test_scores_are_counted_in_deviations_of_the_training_clips() -> None:
    assert scaled("a", columns([4.0, 10.0], [1.0, 3.0]), "train")["development"].tolist() == [2.0, 8.0]


def test_training_clips_of_one_score_give_no_infinite_scores() -> None:
    assert scaled("a", columns([5.0, 6.0], [5.0, 5.0]), "train")["development"].tolist() == [0.0, 1.0]
    # The mean of seven tenths is not a tenth, so their deviation is not computed as 0.
    assert scaled("a", columns([0.1, 1.1], [0.1] * 7), "train")["development"].tolist() == [0.0, 1.0]


SCORES = {
    "tied": st.integers(-3, 3).map(float),
    "distinct": st.floats(-10, 10),
    "constant": st.just(0.1),
    "near": st.sampled_from([0.1, 0.1 + 2**-54, 0.1 + 2**-55, 0.3, 0.1 + 0.2, -0.0, 0.0]),
}


@pytest.mark.parametrize("kind", SCORES)
@settings(deadline=None)
@given(data=st.data())
def test_areas_of_many_rows_are_those_of_the_metrics(kind: str, data: st.DataObject) -> None:
    anomaly = np.array(data.draw(st.lists(st.booleans(), min_size=2, max_size=40)))
    assume(anomaly.any() and not anomaly.all())
    row = st.lists(SCORES[kind], min_size=len(anomaly), max_size=len(anomaly))
    scores = np.array(data.draw(st.lists(row, min_size=1, max_size=4)))
    max_fpr = data.draw(st.sampled_from([0.1, 0.1, 0.33, 1.0]))
    found = areas(scores, anomaly, max_fpr=max_fpr)
    assert found[0] == pytest.approx([roc_auc_score(anomaly, own) for own in scores], abs=1e-12)
    assert found[1] == pytest.approx([roc_auc_score(anomaly, own, max_fpr=max_fpr) for own in scores], abs=1e-12)


@pytest.mark.parametrize("n_normals", [9, 10, 15, 100, 101])
def test_areas_of_rows_with_and_without_ties_stand_side_by_side(n_normals: int) -> None:
    rng = np.random.default_rng(n_normals)
    anomaly = rng.permutation([False] * n_normals + [True] * 60)
    scores = rng.standard_normal((6, len(anomaly))) + anomaly
    scores[1::2] = scores[1::2].round(1)
    for found, limit in zip(areas(scores, anomaly), (None, 0.1), strict=True):
        assert found == pytest.approx([roc_auc_score(anomaly, own, max_fpr=limit) for own in scores], abs=1e-12)


@pytest.mark.parametrize(("members", "steps"), [(1, 7), (2, 10), (3, 10), (4, 6), (3, 100)])
def test_the_simplex_lists_every_vector_once_in_order(members: int, steps: int) -> None:
    from math import comb

    counts = simplex(members, steps)
    assert len(counts) == comb(steps + members - 1, members - 1)
    assert (counts.sum(axis=1) == steps).all()
    assert counts.min() == (0 if members > 1 else steps)
    rows = [tuple(row) for row in counts]
    assert rows == sorted(set(rows))


def test_a_simplex_that_is_too_large_is_refused() -> None:
    assert len(simplex(3, 100)) == 5151
    with pytest.raises(ScoreError, match=f"5 members in steps of 0.01 have 4,598,126 .* at most {MAX_VECTORS:,}"):
        simplex(5, 100)


@pytest.mark.parametrize("step", [0.0, -0.01, 0.03, 1.5, float("nan")])
def test_steps_that_do_not_make_one_are_refused(step: float) -> None:
    assert [steps_of(some) for some in (1, 0.5, 0.1, 0.01, 0.001, 1 / 3)] == [1, 2, 10, 100, 1000, 3]
    with pytest.raises(ScoreError, match="add up to 1"):
        steps_of(step)


@given(st.lists(st.lists(st.none() | finite, min_size=3, max_size=3), min_size=1, max_size=6), st.data())
def test_weights_are_shared_by_those_that_scored_a_clip(clips: list[list[float | None]], data: st.DataObject) -> None:
    scores = np.array(clips, dtype=np.float64).T
    weights = np.array(data.draw(st.lists(st.integers(0, 5), min_size=3, max_size=3)))
    found = weighted(scores, weights[None], np.full(len(clips), 7.0))[0]
    plain = uniform(scores)
    for place, clip in enumerate(clips):
        there = [(weight, score) for weight, score in zip(weights, clip, strict=True) if score is not None]
        total = sum(weight for weight, _ in there)
        expected = sum(weight * score for weight, score in there) / total if total else 7.0
        assert found[place] == pytest.approx(expected, rel=1e-9, abs=1e-6)
        mean = float(np.mean([score for _, score in there])) if there else np.nan
        assert plain[place] == pytest.approx(mean, rel=1e-9, abs=1e-6, nan_ok=True)


def test_how_many_are_weighted_at_once_changes_no_bit() -> None:
    scores, counts = np.random.default_rng(0).standard_normal((3, 50)), simplex(3, 10)
    otherwise = np.zeros(50)
    together = weighted(scores, counts, otherwise)
    for row, count in zip(together, counts, strict=True):
        assert (weighted(scores[:, 20:], count[None], otherwise[20:])[0] == row[20:]).all()


def test_rounding_decides_no_tie() -> None:
    counts = simplex(2, 4)
    assert counts[best(np.array([0.9, 0.9, 0.9, 0.9, 0.9 + 1e-14]), counts)].tolist() == [2, 2]
    assert counts[best(np.array([0.9, 0.2, 0.3, 0.2, 0.9]), counts)].tolist() == [0, 4]
    assert counts[best(np.array([0.9, 0.2, 0.3, 0.9, 0.9]), counts)].tolist() == [3, 1]


def test_what_is_kept_of_an_objective_is_not_given_for_other_scores_or_weights() -> None:
    rng = np.random.default_rng(0)
    anomaly = np.array([False] * 6 + [True] * 6)
    judges = {name: Judge(np.arange(12) + first, anomaly, None) for name, first in (("id_00", 0), ("id_02", 12))}
    kept = Objective(judges, 2020)
    for seed in (0, 1, 0):
        scores = np.random.default_rng(seed).standard_normal((2, 24))
        for counts in (simplex(2, 4), simplex(2, 4)[::-1].copy(), rng.integers(1, 5, (5, 2))):
            for ids in (["id_00"], ["id_02"], ["id_00", "id_02"]):
                found = kept(scores, counts, uniform(scores), ids)
                again = Objective(judges, 2020)(scores, counts, uniform(scores), ids)
                assert len(found) == len(again) == len(ids)
                for one, other in zip(found, again, strict=True):
                    assert all((one[name] == other[name]).all() for name in ("auc", "pauc"))
    assert kept(scores, simplex(2, 4), np.full(24, np.nan), ["id_00"]) == []


def development(scores: list[list[float]]) -> Scores:
    """Scores of the clips of several machines."""
    machines = [table(*own, machine_id=f"id_{place:02d}") for place, own in enumerate(scores)]
    return Scores(ScoreTable([]), both(*machines), ScoreTable([]))


def test_correlations_are_spearmans_within_ids() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    common = rng.standard_normal((3, 20))
    raw = {
        name: (gain * common + rng.standard_normal((3, 20))).round(1)
        for name, gain in zip("abc", (2, 1, 0), strict=True)
    }
    heights = np.array([[0], [99], [500]])  # pooled over ids, all would seem alike
    names, found = correlations({name: development((own + heights).tolist()) for name, own in raw.items()})
    assert names == ["a", "b", "c"]
    for one in range(3):
        for other in range(3):
            per_id = [spearmanr(raw[names[one]][place], raw[names[other]][place]).statistic for place in range(3)]
            assert found[one, other] == pytest.approx(np.mean(per_id), abs=1e-12)


def test_correlations_use_what_both_scored_and_what_varies() -> None:
    rising, falling, flat = [1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], [5.0] * 4
    systems = {
        "a": development([rising, rising]),
        "b": development([falling, flat]),
        "c": development([[9.0, 1.0, 2.0], rising]),
        "d": development([flat, flat]),
    }
    _, found = correlations(systems)
    assert np.diag(found)[:3] == pytest.approx(1)
    assert found[0, 1] == pytest.approx(-1)
    assert found[0, 2] == pytest.approx((-0.5 + 1) / 2)
    assert np.isnan(found[3]).all()
    assert (np.nan_to_num(found) == np.nan_to_num(found.T)).all()
    names, nothing = correlations({})
    assert (names, nothing.shape) == ([], (0, 0))
