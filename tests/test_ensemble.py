"""Ensembles: standardised by training clips alone, weighted as asked, and clip by clip where systems differ."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from auscult.ensemble import mean_where_scored, standardise, weighted_mean
from auscult.errors import ScoreError
from auscult.scores import ScoreRow, ScoreTable

finite = st.floats(-1e6, 1e6)
several = st.lists(finite, min_size=2, max_size=8)


def table(*scores: float, machine_type: str = "fan", machine_id: str = "id_00", first: int = 0) -> ScoreTable:
    return ScoreTable(
        ScoreRow(machine_type, machine_id, f"{index + first:03d}.wav", "normal", score)
        for index, score in enumerate(scores)
    )


def both(*tables: ScoreTable) -> ScoreTable:
    return ScoreTable(row for table in tables for row in table)


@given(several)
def test_training_clips_have_mean_0_and_deviation_1(scores: list[float]) -> None:
    training = table(*scores)
    assume(np.std(scores) > 1e-6 * (1 + np.max(np.abs(scores))))
    standard = standardise(training, training).scores
    assert standard.mean() == pytest.approx(0, abs=1e-6)
    assert standard.std() == pytest.approx(1)


def test_scores_are_counted_in_deviations_of_the_training_clips() -> None:
    assert standardise(table(4.0, 10.0), table(1.0, 3.0)).scores.tolist() == [2.0, 8.0]


@given(several, several, st.floats(0.01, 100), finite)
def test_neither_scale_nor_offset_of_a_system_matters(
    scores: list[float], training: list[float], scale: float, offset: float
) -> None:
    assume(np.std(training) > 1)
    one = standardise(table(*scores), table(*training)).scores
    changed = [[scale * score + offset for score in some] for some in (scores, training)]
    other = standardise(table(*changed[0]), table(*changed[1])).scores
    assert other == pytest.approx(one, rel=1e-5, abs=1e-3)


def test_each_machine_type_has_its_own_scale_and_its_ids_share_it() -> None:
    training = both(
        table(0.0, machine_id="id_00"),
        table(2.0, machine_id="id_02"),
        table(100.0, 300.0, machine_type="valve"),
    )
    clips = both(table(3.0, machine_id="id_02"), table(300.0, machine_type="valve"))
    assert standardise(clips, training).scores.tolist() == [2.0, 1.0]


def test_training_clips_of_one_score_give_no_infinite_scores() -> None:
    assert standardise(table(5.0, 6.0), table(5.0, 5.0)).scores.tolist() == [0.0, 1.0]


def test_a_type_without_training_clips_cannot_be_standardised() -> None:
    with pytest.raises(ScoreError, match="valve: there is no training score"):
        standardise(both(table(1.0), table(1.0, machine_type="valve")), table(0.0, 1.0))


def test_standardising_keeps_clips_and_labels() -> None:
    clips = ScoreTable(
        [ScoreRow("fan", "id_00", "a.wav", None, 1.0), ScoreRow("fan", "id_00", "b.wav", "anomaly", 2.0)]
    )
    assert [(row.key, row.label) for row in standardise(clips, table(0.0, 1.0))] == [
        (row.key, row.label) for row in clips
    ]


def test_the_mean_is_weighted_and_weights_are_scaled() -> None:
    tables = [table(0.0, 4.0), table(2.0, 0.0)]
    assert weighted_mean(tables).scores.tolist() == [1.0, 2.0]
    for weights in ([3.0, 1.0], [0.75, 0.25]):
        assert weighted_mean(tables, np.array(weights)).scores.tolist() == [0.5, 3.0]
    assert weighted_mean(tables, np.array([0.0, 7.0])) == tables[1]


@given(several)
def test_the_mean_of_one_system_is_that_system(scores: list[float]) -> None:
    assert weighted_mean([table(*scores)]) == table(*scores)
    assert mean_where_scored([table(*scores)]) == table(*scores)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -0.1], [0.0, 0.0], [1.0, np.nan], [[1.0, 1.0]]])
def test_weights_that_do_not_fit_are_named(weights: list[float]) -> None:
    with pytest.raises(ScoreError, match=r"2 systems have the weights .* give one of at least 0 for each"):
        weighted_mean([table(1.0), table(2.0)], np.array(weights))


def test_systems_that_scored_different_clips_have_no_weighted_mean() -> None:
    for other in (table(1.0), table(1.0, 2.0, first=1), table(1.0, 2.0, machine_id="id_02")):
        with pytest.raises(ScoreError, match="different clips"):
            weighted_mean([table(1.0, 2.0), other])
    with pytest.raises(ScoreError, match="no system"):
        weighted_mean([])


def test_a_clip_that_some_did_not_score_has_the_mean_of_the_others() -> None:
    """Members that train on other data score other machines."""
    everywhere, some = table(0.0, 2.0, 4.0), table(4.0, 8.0, first=1)
    assert mean_where_scored([everywhere, some]).scores.tolist() == [0.0, 3.0, 6.0]
    assert mean_where_scored([some, everywhere]).scores.tolist() == [0.0, 3.0, 6.0]
    assert mean_where_scored([]) == ScoreTable([])


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=8))
def test_where_all_scored_all_it_is_the_mean(pairs: list[tuple[float, float]]) -> None:
    tables = [table(*scores) for scores in zip(*pairs, strict=True)]
    assert mean_where_scored(tables).scores == pytest.approx(weighted_mean(tables).scores, rel=1e-12, abs=1e-9)
