"""The alarm logic: each part of the rule, clocks that jump, restarts, and the fast counts against the plain logic."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.detector.alarms import AlarmEvent, AlarmSettings, AlarmState, AlarmStatistic, WindowScores
from auscult.errors import AlarmError

PLAIN = AlarmSettings(k=2, n=3, release_k=1, cool_down_seconds=5.0, gap_seconds=10.0)


def count(series: WindowScores, threshold: float, settings: AlarmSettings, *, spread: float) -> int:
    return len(AlarmStatistic(series, settings).raised(threshold, spread=spread))


def events(scores: list[float | None], settings: AlarmSettings = PLAIN, **options: object) -> list[tuple[str, float]]:
    """Kinds and times of the events, one window a second, threshold 1."""
    state = AlarmState(1.0, settings, spread=1.0)
    found = [state.update(float(time), score) for time, score in enumerate(scores)]
    return [(event.kind, event.time) for event in found if event]


def run(state: AlarmState, windows: list[tuple[float, float | None]]) -> list[AlarmEvent]:
    return [event for time, score in windows if (event := state.update(time, score))]


SETTINGS = st.tuples(st.integers(1, 6), st.integers(0, 3), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0])).flatmap(
    lambda t: st.builds(
        AlarmSettings,
        k=st.just(t[0]),
        n=st.just(t[0] + t[1]),
        release_k=st.just(max(1, t[0] - t[2])),
        release_margin=st.just(t[3]),
        cool_down_seconds=st.sampled_from([0.0, 1.0, 4.5, 20.0]),
        gap_seconds=st.sampled_from([3.0, 10.0, 60.0]),
    )
)
STEP = st.sampled_from([1.0, 1.0, 1.0, 0.1, 3.0, 10.0, -5.0, -1e9, 1e9])
SCORE = st.one_of(st.none(), st.integers(-1, 4).map(float), st.integers(-1, 4).map(float))
WINDOWS = st.lists(st.tuples(STEP, SCORE), max_size=60).map(
    lambda rows: [(sum(step for step, _ in rows[: place + 1]), score) for place, (_, score) in enumerate(rows)]
)


def test_k_of_n_raise_and_none_of_n_clear() -> None:
    assert events([0, 2, 0, 0, 2, 0, 2, 0, 0, 0, 0]) == [("raised", 6.0), ("cleared", 9.0)]
    assert events([2]) == []
    assert events([2, 2]) == [("raised", 1.0)]


def test_a_score_at_the_threshold_is_not_above_it() -> None:
    assert events([1.0] * 20) == []


def test_the_release_fraction_and_the_release_level_hold_an_alarm() -> None:
    rise = [2.0, 2.0, 2.0]
    early = AlarmSettings(k=2, n=3, release_k=2, cool_down_seconds=0)
    assert events([*rise, 0, 0, 0], early) == [("raised", 1.0), ("cleared", 4.0)]
    margin = AlarmSettings(k=2, n=3, release_margin=0.5, cool_down_seconds=0)
    assert events([*rise, 0.7, 0.7, 0.7, 0.7], margin) == [("raised", 1.0)]
    assert events([*rise, 0.5, 0.5, 0.5], margin) == [("raised", 1.0), ("cleared", 5.0)]


def test_no_alarm_within_the_cool_down_and_one_right_after_it() -> None:
    scores = [2, 2, 0, 0, 0, *[2] * 8]
    # Cleared at 4, so the next can be raised at 9.
    assert events(scores) == [("raised", 1.0), ("cleared", 4.0), ("raised", 9.0)]


def test_windows_without_a_score_are_no_evidence_but_time_passes() -> None:
    assert events([2, None, None, 2]) == [("raised", 3.0)]
    assert events([2, 2, *[None] * 9, 0, 0, 0]) == [("raised", 1.0), ("cleared", 13.0)]


def test_old_windows_are_forgotten_but_an_alarm_stays() -> None:
    assert events([2, *[None] * 10, 2]) == []
    assert events([2, 2, *[None] * 10, 0, 0]) == [("raised", 1.0)]


def test_a_clock_that_jumps_neither_raises_nor_clears() -> None:
    for jump in (-1e6, 1e6, 1e300, -1e300):
        state = AlarmState(1.0, PLAIN, spread=1.0)
        before = [(float(t), 2.0) for t in range(5)]
        after = [(jump + t, 2.0) for t in range(5)]
        found = run(state, before + after)
        assert [event.kind for event in found] == ["raised"]
        calm = run(state, [(jump + 5.0 + t, 0.0) for t in range(3)])
        assert [event.kind for event in calm] == ["cleared"]


def test_a_jump_does_not_end_a_cool_down() -> None:
    settings = AlarmSettings(k=1, n=1, cool_down_seconds=100.0, gap_seconds=10.0)
    state = AlarmState(1.0, settings, spread=1.0)
    assert len(run(state, [(0.0, 2.0), (1.0, 0.0)])) == 2
    assert run(state, [(1e6, 2.0), (1e6 + 1, 2.0), (0.0, 2.0), (5e5, 2.0)]) == []


@given(SETTINGS, WINDOWS, st.floats(-1, 3))
def test_the_kinds_alternate_and_ids_are_counted(settings: AlarmSettings, windows: list, threshold: float) -> None:
    found = run(AlarmState(threshold, settings, spread=1.0, name="pump"), windows)
    assert [event.kind for event in found] == (["raised", "cleared"] * len(found))[: len(found)]
    assert [event.alarm_id for event in found] == [f"pump-{place // 2 + 1}" for place in range(len(found))]


@given(SETTINGS, WINDOWS, st.integers(0, 60))
def test_a_restart_anywhere_changes_nothing(settings: AlarmSettings, windows: list, cut: int) -> None:
    whole = run(AlarmState(1.0, settings, spread=1.0), windows)
    first = AlarmState(1.0, settings, spread=1.0)
    part = run(first, windows[:cut])
    second = AlarmState.from_json(json.loads(json.dumps(first.to_json())), 1.0, settings, spread=1.0)
    assert part + run(second, windows[cut:]) == whole


@given(SETTINGS, WINDOWS, st.lists(st.integers(-2, 9).map(lambda half: half / 2), max_size=8))
def test_fast_counts_are_those_of_the_logic(settings: AlarmSettings, windows: list, thresholds: list[float]) -> None:
    series = WindowScores(
        times=np.array([time for time, _ in windows]),
        scores=np.array([np.nan if score is None else score for _, score in windows]),
        valid=np.array([score is not None for _, score in windows], dtype=bool),
        window_seconds=10.0,
        step_seconds=1.0,
    )
    plain = [
        sum(event.kind == "raised" for event in run(AlarmState(threshold, settings, spread=0.7), windows))
        for threshold in thresholds
    ]
    assert [count(series, threshold, settings, spread=0.7) for threshold in thresholds] == plain


def test_fast_counts_of_a_long_series_are_those_of_the_logic() -> None:
    """Long enough to be sorted in several chunks."""
    scores = np.random.default_rng(3).standard_normal(70_000)
    series = WindowScores(np.arange(70_000.0), scores, window_seconds=1.0, step_seconds=1.0)
    settings = AlarmSettings(k=2, n=4, cool_down_seconds=30.0)
    state = AlarmState(2.0, settings, spread=1.0)
    plain = sum(event.kind == "raised" for event in run(state, list(zip(series.times, scores.tolist(), strict=True))))
    assert count(series, 2.0, settings, spread=1.0) == plain
    assert plain > 100


def test_a_margin_and_a_cool_down_never_add_alarms_to_noise() -> None:
    scores = np.random.default_rng(0).standard_normal(5000)
    series = WindowScores(np.arange(5000.0), scores, window_seconds=1.0, step_seconds=1.0)
    for less, more in pairwise(
        [
            AlarmSettings(k=1, n=3, cool_down_seconds=0),
            AlarmSettings(k=1, n=3, cool_down_seconds=30),
            AlarmSettings(k=1, n=3, cool_down_seconds=30, release_margin=1.0),
        ]
    ):
        assert count(series, 1.0, more, spread=1.0) < count(series, 1.0, less, spread=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 4, "n": 3}, "4 of 3 windows"),
        ({"n": 3601}, "at most 3600"),
        ({"k": 0}, "0 of 5"),
        ({"k": 2.5}, "whole number"),
        ({"k": 2, "release_k": 3}, "at most k, here 2"),
        ({"release_margin": -1}, "release_margin is -1"),
        ({"cool_down_seconds": math.nan}, "cool_down_seconds is nan"),
        ({"gap_seconds": 0}, "gap_seconds is 0"),
    ],
)
def test_wrong_settings_are_named(options: dict, message: str) -> None:
    with pytest.raises(AlarmError, match=message):
        AlarmSettings(**options)


@pytest.mark.parametrize(("time", "score"), [(math.nan, 1.0), (0.0, math.nan), (math.inf, None), (0.0, math.inf)])
def test_numbers_that_are_not_finite_are_refused(time: float, score: float | None) -> None:
    with pytest.raises(AlarmError, match="finite"):
        AlarmState(1.0, PLAIN, spread=1.0).update(time, score)


@given(
    st.dictionaries(
        st.sampled_from(list(AlarmState(0.0, PLAIN, spread=0.0).to_json())), st.sampled_from([None, "x", []])
    )
)
def test_a_damaged_state_is_an_error_or_works(damage: dict) -> None:
    data = AlarmState(0.0, PLAIN, spread=0.0).to_json() | damage
    try:
        state = AlarmState.from_json(data, 0.0, PLAIN, spread=0.0)
    except AlarmError:
        return
    state.update(1.0, 2.0)


def test_a_saved_state_with_impossible_numbers_is_refused() -> None:
    good = AlarmState(0.0, PLAIN, spread=0.0).to_json()
    for damage in ({"history": [math.nan]}, {"raised": -1}, {"last_time": math.inf}):
        with pytest.raises(AlarmError, match="damaged"):
            AlarmState.from_json(good | damage, 0.0, PLAIN, spread=0.0)


def test_series_say_what_does_not_fit() -> None:
    good = np.arange(3.0)
    with pytest.raises(AlarmError, match="one of each per window"):
        WindowScores(good, good[:2], 10.0, 1.0)
    with pytest.raises(AlarmError, match="not finite"):
        WindowScores(good, np.array([1, np.nan, 2]), 10.0, 1.0)
    with pytest.raises(AlarmError, match="positive lengths"):
        WindowScores(good, good, 10.0, 0.0)
    assert WindowScores(good, good, 10.0, 1.0).hours == 3 / 3600
