"""What an ear would notice: each figure answers to the damage that it is named after, and to no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import istft, stft

RATE = 16000
PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    if not (PROJECT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not part of this copy")
    monkeypatch.syspath_prepend(str(PROJECT))
    from benchmarks import denoised_sounds

    return lambda noisy, denoised: denoised_sounds.compare(noisy, denoised, sample_rate=RATE)


@pytest.fixture
def noise() -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(4 * RATE)).astype(np.float32)


def test_nothing_is_noticed_in_the_same_sound(compare: Callable[..., Any], noise: np.ndarray) -> None:
    found = compare(noise, noise)
    assert {found[name] for name in ("attenuation_db", "holes_percent", "dropouts_percent", "clipped")} == {0}
    assert found["envelope_correlation"] == pytest.approx(1)
    assert found["kurtosis_ratio"] == pytest.approx(1)


def test_a_softer_sound_is_only_softer(compare: Callable[..., Any], noise: np.ndarray) -> None:
    found = compare(noise, noise / 2)
    for name in ("attenuation_db", "low_db", "middle_db", "high_db"):
        assert found[name] == pytest.approx(6.02, abs=0.01)
    assert found["holes_percent"] == found["dropouts_percent"] == 0


def test_a_gap_is_a_dropout(compare: Callable[..., Any], noise: np.ndarray) -> None:
    gap = noise.copy()
    gap[RATE : 2 * RATE] = 0
    found = compare(noise, gap)
    assert found["dropouts_percent"] == pytest.approx(25, abs=2)
    assert found["envelope_correlation"] < 0.5


def test_a_missing_band_is_a_hole_and_no_dropout(compare: Callable[..., Any], noise: np.ndarray) -> None:
    spectrum = np.fft.rfft(noise)
    spectrum[len(spectrum) // 2 :] = 0  # above 4 kHz
    found = compare(noise, np.fft.irfft(spectrum).astype(np.float32))
    assert found["holes_percent"] == pytest.approx(50, abs=2)
    assert found["dropouts_percent"] == 0
    assert found["high_db"] > 20
    assert abs(found["low_db"]) < 0.1


def test_bleeps_raise_the_kurtosis(compare: Callable[..., Any], noise: np.ndarray) -> None:
    _, _, spectrum = stft(noise, nperseg=1024, noverlap=768)
    kept = np.abs(spectrum) > np.quantile(np.abs(spectrum), 0.98)
    _, bleeps = istft(spectrum * np.where(kept, 1, 0.05), nperseg=1024, noverlap=768)
    assert compare(noise, bleeps[: len(noise)].astype(np.float32))["kurtosis_ratio"] > 2


def test_samples_beyond_full_scale_are_counted(compare: Callable[..., Any], noise: np.ndarray) -> None:
    loud = noise.copy()
    loud[:3] = 1.5
    found = compare(noise, loud)
    assert found["clipped"] == 3
    assert found["peak"] == 1.5
