"""What differs, in words: each kind on levels that are made so, the factory's faults, old files, events."""

import numpy as np
import pytest
from benchmarks.words import named, said_of, truth

from auscult.detector.difference import NOTHING, Difference, sentence
from auscult.detector.normal import FEWEST_SOUNDS, Normal
from auscult.detector.words import hearing, of_map
from auscult.features.log_mel import LogMel

RATE, SECONDS = 16000, 8.0
EAR: LogMel = hearing(RATE)
TIME = np.arange(round(RATE * SECONDS)) / RATE


def beat(seed: int, *, depth: float = 0.8, gain: float = 1.0) -> np.ndarray:
    """Noise whose level beats at 2 Hz, and varies a little from sound to sound."""
    rng = np.random.default_rng(seed)
    level = 0.05 * gain * 10 ** (rng.normal(0, 0.5) / 20) * (1 + depth * np.sin(2 * np.pi * 2 * TIME + rng.random()))
    return np.asarray(level * rng.standard_normal(len(TIME)))


def levels(sound: np.ndarray) -> np.ndarray:
    return EAR(sound.astype(np.float32))


@pytest.fixture(scope="module")
def normal() -> Normal:
    found = Normal.learned((levels(beat(seed)) for seed in range(30)), EAR.bin_frequencies, EAR.frame_rate)
    assert found is not None
    return found


def hiss(low: float, high: float) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(99).standard_normal(len(TIME)))
    hz = np.fft.rfftfreq(len(TIME), 1 / RATE)
    return np.asarray(np.fft.irfft(np.where((hz >= low) & (hz <= high), spectrum, 0), len(TIME)))


def strongest(normal: Normal, sound: np.ndarray, kind: str) -> Difference:
    found = normal.differences(levels(sound))
    assert found and found[0].kind == kind, sentence(found)
    return found[0]


def test_normal_sounds_say_nothing(normal: Normal) -> None:
    said = [normal.differences(levels(beat(seed))) for seed in range(100, 130)]
    assert sum(map(bool, said)) <= 3
    assert sentence([]) == NOTHING


def test_a_tone_has_its_frequency_and_its_beginning(normal: Normal) -> None:
    tone = 0.1 * np.sin(2 * np.pi * 3200 * TIME)
    found = strongest(normal, beat(1) + tone, "tone")
    assert found.low_hz is not None and found.high_hz is not None and found.low_hz < 3200 < found.high_hz
    assert (found.start, found.end) == (None, None)
    late = normal.differences(levels(beat(2) + tone * (TIME > 5)))[0]
    assert late.start == pytest.approx(5.0, abs=0.3)
    assert late.end is None and "since" in str(late)


@pytest.mark.parametrize("gain, kind", [(4.0, "louder"), (0.25, "quieter")])
def test_all_bands(normal: Normal, gain: float, kind: str) -> None:
    found = strongest(normal, beat(3, gain=gain), kind)
    assert found.decibels == pytest.approx(20 * np.log10(gain), abs=1.5)
    assert found.low_hz is None


def test_hiss_has_its_band_and_its_time(normal: Normal) -> None:
    jet = hiss(2000, 4500)
    found = strongest(normal, beat(4) + 0.1 * jet / jet.std(), "band")
    assert found.low_hz == pytest.approx(2000, rel=0.1)
    assert found.high_hz == pytest.approx(4500, rel=0.1)
    short = strongest(normal, beat(5) + 0.3 * jet / jet.std() * ((TIME > 3) & (TIME < 4)), "band")
    assert short.start == pytest.approx(3.0, abs=0.5)
    assert short.end == pytest.approx(4.0, abs=0.5)
    assert str(short).startswith("hiss from ")


def test_blows_have_their_number_and_rate(normal: Normal) -> None:
    knocks = beat(6)
    for second in (1.0, 2.5, 4.0, 5.5, 7.0):
        place = round(second * RATE)
        knocks[place : place + 300] += 2 * np.random.default_rng(place).standard_normal(300)
    found = strongest(normal, knocks, "blow")
    assert (found.count, found.start) == (5, pytest.approx(1.0, abs=0.1))
    assert found.rate_hz == pytest.approx(1 / 1.5, rel=0.05)
    assert str(found).startswith("5 blows")


def test_rhythms_go_missing_and_come(normal: Normal) -> None:
    gone = next(one for one in normal.differences(levels(beat(7, depth=0.0))) if one.kind == "missing")
    assert gone.rate_hz == pytest.approx(2.0, rel=0.1)
    swings = beat(8) * (1 + 0.9 * np.sin(2 * np.pi * 5 * TIME))
    come = next(one for one in normal.differences(levels(swings)) if one.kind == "swing")
    assert come.rate_hz == pytest.approx(5.0, rel=0.1)
    assert come.decibels is not None and come.decibels > 3


def test_a_map_alone_says_where_and_no_decibels() -> None:
    values = np.random.default_rng(0).normal(1, 0.1, (100, 64))
    values[40:45, 10:13] += 30
    (found,) = of_map(values, EAR.bin_frequencies, 10.0)
    assert (found.kind, found.decibels) == ("unlike", None)
    assert found.low_hz == pytest.approx(EAR.bin_frequencies[10])
    assert (found.start, found.end) == (4.0, 4.5)
    (timed,) = of_map(values, None, 10.0)
    assert (timed.low_hz, timed.start) == (None, 4.0)
    assert of_map(np.full((5, 4), np.nan), None, 1.0) == []


def test_too_few_sounds_and_damaged_arrays_say_nothing_false(normal: Normal) -> None:
    few = (levels(beat(seed)) for seed in range(FEWEST_SOUNDS - 1))
    assert Normal.learned(few, EAR.bin_frequencies, EAR.frame_rate) is None
    arrays = normal.arrays()
    again = Normal.of_arrays(arrays)
    assert again.differences(levels(beat(3, gain=4.0))) == normal.differences(levels(beat(3, gain=4.0)))
    for name in ("steady", "swing", "frequencies"):
        with pytest.raises(ValueError):
            Normal.of_arrays({**arrays, name: arrays[name][..., :-1]})


@pytest.mark.slow
@pytest.mark.parametrize(
    "machine_type, fault",
    [
        ("fan", "clogging"),
        ("pump", "contamination"),
        ("slider", "rail damage"),
        ("slider", "belt slip"),
        ("ToyConveyor", "bearing pitting"),
        ("ToyConveyor", "contamination"),
    ],
)
def test_a_fault_of_the_factory_is_named_by_its_own_band_or_rhythm(machine_type: str, fault: str) -> None:
    said, machine = said_of(machine_type)
    right = [any(named(one, *truth(machine, fault)) for one in found) for found in said[fault]]
    assert np.mean(right) >= 0.75
    assert np.mean([bool(found) for found in said["healthy"]]) <= 0.25
