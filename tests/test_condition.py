"""The warning that the sound no longer comes as it was learned: real changes are named, normal blocks are not."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from auscult.errors import CalibrationError
from auscult.sound.condition import ADVICE, Condition, band_levels, changed, learn_condition

RATE = 16000


def sound(seed: int, *, seconds: float = 10.0, load: float = 0.5) -> np.ndarray:
    """A hum and coloured noise whose level varies with the load, by so many decibels from block to block."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.cumsum(rng.standard_normal(len(time))) * 1e-4 + 0.01 * rng.standard_normal(len(time))
    hum = 0.1 * np.sin(2 * np.pi * 300 * time)
    return 10 ** (load * rng.standard_normal() / 20) * (hum + noise - noise.mean())


@pytest.fixture(scope="module")
def learned() -> Condition:
    return learn_condition([levels(sound(seed)) for seed in range(30)])


def levels(waveform: np.ndarray) -> np.ndarray:
    return band_levels(waveform, sample_rate=RATE)


def test_a_tone_has_its_level_in_its_band() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1500 * np.arange(RATE) / RATE)
    found = levels(tone)
    assert found.shape == (8, 7)  # eight frames a second; 62.5 Hz to 8 kHz
    np.testing.assert_allclose(found[:, 4], 10 * np.log10(0.5**2 / 2), atol=0.1)
    assert found[:, [0, 1, 2, 3, 5, 6]].max() < -40
    assert levels(np.zeros(RATE)).max() == pytest.approx(-120)


def test_normal_blocks_are_not_warned_of(learned: Condition) -> None:
    warned = sum(bool(changed(levels(sound(seed)), learned)) for seed in range(100, 300))
    assert warned <= 2


def test_few_blocks_or_varying_loads_make_it_careful_not_noisy() -> None:
    for blocks, load in ((4, 0.5), (4, 3.0), (12, 3.0)):
        learned = learn_condition([levels(sound(seed, load=load)) for seed in range(blocks)])
        warned = sum(bool(changed(levels(sound(seed, load=load)), learned)) for seed in range(100, 200))
        assert warned <= 2


@pytest.mark.parametrize(("decibels", "word"), [(6.0, "louder"), (-6.0, "softer")])
def test_another_gain_is_named(learned: Condition, decibels: float, word: str) -> None:
    found = changed(levels(sound(7) * 10 ** (decibels / 20)), learned)
    assert "All bands are" in found[0]
    assert word in found[0]
    assert "gain" in found[0]
    assert found[-1] == ADVICE


def test_a_microphone_that_lost_its_treble_is_named_with_the_bands(learned: Condition) -> None:
    spectrum = np.fft.rfft(sound(7))
    spectrum[np.fft.rfftfreq(10 * RATE, 1 / RATE) > 2000] *= 0.2
    found = changed(levels(np.fft.irfft(spectrum)), learned)
    assert any("from 2000 to 8000 Hz" in sentence and "softer" in sentence for sentence in found)


def test_new_background_noise_is_named(learned: Condition) -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(10 * RATE)
    found = changed(levels(sound(7) + noise), learned)
    assert any("louder" in sentence for sentence in found)


def test_a_rise_of_the_quietest_moments_alone_is_named() -> None:
    """A machine that stands still a fifth of the time: the pauses fill with noise, the median stays."""
    pauses = np.where(np.arange(10 * RATE) % (5 * RATE) < RATE, 0.0, 1.0)
    rng = np.random.default_rng(0)
    background = 0.001 * rng.standard_normal(10 * RATE)
    learned = learn_condition([levels(sound(seed) * pauses + background) for seed in range(20)])
    assert changed(levels(sound(50) * pauses + background), learned) == []
    found = changed(levels(sound(51) * pauses + 5 * background), learned)
    assert any("quietest moments" in sentence for sentence in found)


def test_a_bang_is_no_change(learned: Condition) -> None:
    bang = sound(7)
    bang[: RATE // 4] += np.random.default_rng(0).standard_normal(RATE // 4)
    assert changed(levels(bang), learned) == []


def test_real_sounds_change_with_the_gain_only(shared_data: Path) -> None:
    from auscult.sound.audio import read_waveform

    files = sorted((shared_data / "dcase2020_mini").rglob("slider/train/*.wav"))
    clips = [levels(read_waveform(file, sample_rate=RATE)) for file in files]
    warned = 0
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(clips))
        learned = learn_condition([clips[place] for place in order[:50]])
        warned += sum(bool(changed(clips[place], learned)) for place in order[50:])
        assert all(changed(clips[place] + 10.0, learned) for place in order[50:])
    assert warned <= 0.05 * 10 * (len(clips) - 50)


def test_the_condition_survives_json(learned: Condition) -> None:
    data, read = asdict(learned), TypeAdapter(Condition).validate_json
    assert read(json.dumps(data)) == learned
    for damage in ({"centre": [1.0]}, {"centre": [1.0] * 5}, {"frames": "x"}, {"tolerance": [float("nan")] * 10}):
        with pytest.raises((ValidationError, CalibrationError)):
            read(json.dumps(data | damage))
    with pytest.raises(ValidationError):
        read("{}")


def test_what_cannot_be_compared_is_refused(learned: Condition) -> None:
    with pytest.raises(CalibrationError, match="as long a block"):
        changed(levels(sound(0, seconds=1.0)), learned)
    with pytest.raises(CalibrationError, match="same sample rate"):
        changed(band_levels(sound(0), sample_rate=8000), learned)
    with pytest.raises(CalibrationError, match="at least 3 blocks"):
        learn_condition([levels(sound(0))] * 2)
    for waveform, rate in ((np.zeros(10), RATE), (np.zeros((RATE, 2)), RATE), (np.zeros(RATE), 100)):
        with pytest.raises(CalibrationError, match="no band levels"):
            band_levels(waveform, sample_rate=rate)
