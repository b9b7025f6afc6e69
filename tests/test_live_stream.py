"""Windows of a stream: exact positions and the same scores for any blocks; levels; bounded memory."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from auscult.errors import AudioError, MonitorError
from auscult.sound.defects import LevelMeter, is_sound
from auscult.sound.windows import SlidingWindows, Stream
from live_fakes import Loudness, noise, offline

SOUND = noise(6.0)
SIZES = st.lists(st.sampled_from([0, 1, 2, 7, 99, 250, 1000, 1001, 3000, 20_000]), min_size=1, max_size=40)


def blocks(waveform: NDArray[np.float32], sizes: list[int]) -> list[NDArray[np.float32]]:
    """A waveform in blocks of these sizes; what is left is the last one."""
    edges = np.minimum(np.cumsum([0, *sizes]), len(waveform))
    return [waveform[a:b] for a, b in itertools.pairwise(edges)] + [waveform[edges[-1] :]]


def live_scores(parts: list[NDArray[np.float32]], scorer: Loudness, *, rate: int) -> NDArray[np.float64]:
    stream = Stream(
        sample_rate=scorer.sample_rate,
        window_seconds=scorer.window_seconds,
        step_seconds=scorer.step_seconds,
        source_rate=rate,
    )
    found = [window for part in parts for window, _ in stream.measured(part)]
    found += [window for window, _ in stream.measured(SOUND[:0], last=True)]
    assert [window.index for window in found] == list(range(len(found)))
    return np.array([scorer.score(window.samples) for window in found])


@given(sizes=SIZES)
@settings(max_examples=60, deadline=None)
def test_live_equals_offline_for_any_blocks(sizes: list[int]) -> None:
    scorer = Loudness()
    assert np.array_equal(live_scores(blocks(SOUND, sizes), scorer, rate=1000), offline(SOUND, scorer))


def test_live_equals_offline_sample_by_sample() -> None:
    scorer = Loudness()
    assert np.array_equal(live_scores(list(SOUND[:2500, None]), scorer, rate=1000), offline(SOUND[:2500], scorer))


@pytest.mark.parametrize("step_seconds", [0.1, 1.0, 1.7])
def test_steps_shorter_and_longer_than_a_window(step_seconds: float) -> None:
    scorer = Loudness(step_seconds=step_seconds)
    assert np.array_equal(live_scores(blocks(SOUND, [13] * 100), scorer, rate=1000), offline(SOUND, scorer))


@given(sizes=SIZES, rate=st.sampled_from([1001, 2000, 4410]))
@settings(max_examples=30, deadline=None)
def test_resampled_live_equals_resampled_offline(sizes: list[int], rate: int) -> None:
    scorer, sound = Loudness(), noise(6.0, rate=rate)
    whole = offline(soxr.resample(sound, rate, 1000, quality="HQ"), scorer)
    assert np.allclose(live_scores(blocks(sound, sizes), scorer, rate=rate), whole, rtol=0, atol=1e-6)


def test_a_lower_rate_is_refused_with_what_to_do() -> None:
    with pytest.raises(MonitorError, match="needs at least 1000 Hz; record at 1000 Hz or more"):
        Stream(sample_rate=1000, window_seconds=1, step_seconds=1, source_rate=800)


@given(sizes=SIZES)
@settings(max_examples=30, deadline=None)
def test_levels_do_not_depend_on_blocks(sizes: list[int]) -> None:
    sound = noise(6.0)
    sound[3000:3200] = 1.0
    reference = LevelMeter(1000, seconds=10)
    reference.feed(sound)
    levels = LevelMeter(1000, seconds=10)
    for part in blocks(sound, sizes):
        levels.feed(part)
    for start in (0.0, 0.25, 2.5, 4.9):
        assert levels.between(start, start + 1) == reference.between(start, start + 1)


def problems(sound: NDArray[np.float32]) -> set[str]:
    levels = LevelMeter(1000, seconds=len(sound) / 1000)
    levels.feed(sound)
    return set(levels.between(0, len(sound) / 1000).problems())


def test_each_kind_of_bad_sound_is_named() -> None:
    sound = noise(2.0)
    loud, still, wild = sound.copy(), sound.copy(), sound.copy()
    loud[:10], still[500:700], wild[3] = 1.0, 0.2, np.nan
    quiet = (2**-15 * np.random.default_rng(0).integers(-1, 1, 2000)).astype(np.float32)
    assert problems(sound) == set()
    assert problems(loud) == {"clipping"}
    assert problems(still) == {"dropout"}
    assert problems(wild) == {"samples"}
    assert problems(wild * np.float32(1e30)) == {"samples"}
    for silent in (quiet, 0 * sound, 0 * sound + np.float32(0.3)):
        assert problems(silent) == {"silence"}


def test_only_sound_without_defects_trains() -> None:
    assert is_sound(noise(2.0), sample_rate=1000)
    assert not is_sound(noise(2.0) * 0, sample_rate=1000)


def test_one_bang_is_not_clipping_and_a_short_pause_no_dropout() -> None:
    sound = noise(2.0)
    sound[100:102], sound[1000:1060] = 1.0, 0.0
    assert problems(sound) == set()


def test_the_level_is_that_of_the_sound_without_its_mean() -> None:
    levels = LevelMeter(1000, seconds=4)
    tone = (0.5 * np.sin(2 * np.pi * 50 * np.arange(4000) / 1000) + 0.3).astype(np.float32)
    levels.feed(tone)
    assert levels.between(0, 4).decibels == pytest.approx(10 * math.log10(0.125), abs=0.01)


def test_levels_that_are_gone_are_not_guessed() -> None:
    levels = LevelMeter(1000, seconds=1)
    for _ in range(5):
        levels.feed(noise(1.0))
    with pytest.raises(AudioError, match="not known"):
        levels.between(0, 1)


def test_impossible_samples_do_not_spoil_later_windows() -> None:
    """A resampler that took in a NaN would give nothing else for ever."""
    sound = noise(6.0, rate=2000)
    sound[100] = np.nan
    stream = Stream(sample_rate=1000, window_seconds=1, step_seconds=1, source_rate=2000)
    found = list(stream.measured(sound))
    assert [sorted(level.problems()) for _, level in found] == [["samples"], *[[]] * (len(found) - 1)]
    assert all(np.isfinite(window.samples).all() for window, _ in found)


@pytest.mark.parametrize(("length", "step"), [(0, 1), (1, 0)])
def test_windows_without_length_are_refused(length: int, step: int) -> None:
    with pytest.raises(MonitorError, match="at least 1"):
        SlidingWindows(length, step)


def test_memory_does_not_grow() -> None:
    stream = Stream(sample_rate=1000, window_seconds=1, step_seconds=0.5, source_rate=2000)
    sound = noise(10.0, rate=2000)

    def hear(times: int) -> None:
        for _ in range(times):
            for _window in stream.measured(sound):
                pass

    hear(3)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    hear(30)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 50_000
