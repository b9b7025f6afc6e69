"""Poolings: what each forgets, what each keeps, and what each refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from auscult.errors import ModelError
from auscult.scores.pooling import POOLINGS, lasting_name, meancap, pool, winmed

FRAME_RATE = 10.0
WINDOW = 30  # 3 s at 10 frames per second
EVERYTHING: dict[str, Any] = {"frame_rate": FRAME_RATE, "training_frames": (0.0, 1.0)}

frames = arrays(np.float64, st.integers(1, 100), elements=st.floats(-2.5, 2.5))
every_pooling = pytest.mark.parametrize("pooling", POOLINGS)


@every_pooling
@given(scores=frames)
def test_a_pooled_score_lies_between_the_least_and_the_greatest_frame(pooling: str, scores: Any) -> None:
    pooled = pool(scores, pooling, **EVERYTHING)
    assert scores.min() - 1e-9 <= pooled <= scores.max() + 1e-9


@every_pooling
@given(scores=frames, more=st.floats(0, 3))
def test_louder_frames_never_lower_the_score(pooling: str, scores: Any, more: float) -> None:
    louder = scores + more * (np.arange(len(scores)) % 3 == 0)
    assert pool(louder, pooling, **EVERYTHING) >= pool(scores, pooling, **EVERYTHING) - 1e-9


@pytest.mark.parametrize("pooling", ["mean", "median", "meancap"])
def test_only_the_windows_mind_the_order_of_frames(pooling: str) -> None:
    scores = np.random.default_rng(0).exponential(size=101)
    assert pool(scores[::-1], pooling, **EVERYTHING) == pytest.approx(pool(scores, pooling, **EVERYTHING))


def test_mean_and_median() -> None:
    scores = np.array([1.0, 2.0, 6.0])
    assert pool(scores, "mean") == 3
    assert pool(scores, "median") == 2


def test_winmed_is_the_mean_of_the_windows_medians() -> None:
    scores = np.concatenate([np.full(WINDOW, 1.0), np.full(WINDOW, 4.0)])
    assert pool(scores, "winmed", frame_rate=FRAME_RATE) == 2.5
    assert pool(scores, "median") == 2.5
    assert pool(np.concatenate([scores, np.full(WINDOW, 4.0)]), "winmed", frame_rate=FRAME_RATE) == 3


def test_winmed_forgets_a_click_but_not_a_window_of_noise() -> None:
    scores = np.zeros(3 * WINDOW)
    scores[[5, 40, 70]] = 1e6
    assert pool(scores, "winmed", frame_rate=FRAME_RATE) == 0
    scores[WINDOW : 2 * WINDOW] = 3.0
    assert pool(scores, "winmed", frame_rate=FRAME_RATE) == 1
    assert pool(scores, "median") == 0


def test_the_last_window_of_winmed_is_partial_and_counts_by_its_length() -> None:
    scores = np.concatenate([np.zeros(WINDOW), [5.0, 9.0, 7.0]])
    assert pool(scores, "winmed", frame_rate=FRAME_RATE) == pytest.approx(7 * 3 / (WINDOW + 3), rel=1e-15)


def test_what_was_pooled_by_an_older_definition_is_not_taken_for_the_same() -> None:
    assert lasting_name("winmed") not in POOLINGS
    assert (lasting_name("median"), lasting_name(None)) == ("median", None)


def test_a_clip_shorter_than_a_window_is_pooled_by_its_median() -> None:
    scores = np.array([1.0, 2.0, 9.0])
    assert pool(scores, "winmed", frame_rate=FRAME_RATE) == 2
    assert pool(scores, "winmed-sliding", frame_rate=FRAME_RATE) == 2


def test_sliding_windows_start_at_every_frame_and_are_whole() -> None:
    scores = np.random.default_rng(0).normal(size=50)
    medians = [np.median(scores[start : start + WINDOW]) for start in range(50 - WINDOW + 1)]
    assert pool(scores, "winmed-sliding", frame_rate=FRAME_RATE) == pytest.approx(np.mean(medians))
    assert winmed(scores, window=WINDOW, hop=WINDOW) == pytest.approx(np.median(scores[:WINDOW]))


def test_one_window_of_exactly_the_clip_is_its_median() -> None:
    scores = np.random.default_rng(0).normal(size=WINDOW)
    for pooling in ("winmed", "winmed-sliding"):
        assert pool(scores, pooling, frame_rate=FRAME_RATE) == np.median(scores)


def test_a_rate_so_low_that_a_window_holds_less_than_a_frame_still_takes_one_frame() -> None:
    assert pool(np.array([1.0, 3.0]), "winmed", frame_rate=0.1) == 2


def test_meancap_is_the_mean_within_three_deviations() -> None:
    scores = np.array([1.0, 2.0, 3.0])
    assert meancap(scores, centre=2.0, deviation=1.0) == 2
    assert meancap(np.array([2.0, 2.0, 1000.0]), centre=2.0, deviation=1.0) == pytest.approx(3)
    assert meancap(np.array([2.0, 2.0, -1000.0]), centre=2.0, deviation=1.0) == pytest.approx(1)
    assert meancap(np.array([7.0, -7.0, 9.0]), centre=2.0, deviation=0.0) == 2


@pytest.mark.parametrize(
    ("pooling", "given", "what"),
    [
        ("max", {}, "pooling 'max' is unknown; choose one of mean, median"),
        ("winmed", {}, "frame_rate"),
        ("winmed-sliding", {"training_frames": (0.0, 1.0)}, "frame_rate"),
        ("meancap", {"frame_rate": 10.0}, "fit the model first"),
    ],
)
def test_what_a_pooling_lacks_is_named(pooling: str, given: dict[str, Any], what: str) -> None:
    with pytest.raises(ModelError, match=what):
        pool(np.ones(5), pooling, **given)


@every_pooling
def test_a_clip_without_frames_is_refused(pooling: str) -> None:
    with pytest.raises(ModelError, match="without frame scores"):
        pool(np.empty(0), pooling, **EVERYTHING)
