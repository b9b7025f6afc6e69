"""Log-mel spectrograms: parity with librosa, scales, geometry."""

from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import get_window

from auscult.errors import FeatureError
from auscult.features import LogMel, log_mel
from auscult.features.log_mel import EPS
from auscult.features.mel import Mels, mel_filters, mel_frequencies


def reference(waveform: np.ndarray, rate: int, n_fft: int, hop_length: int, n_mels: int) -> np.ndarray:
    """The mel power `[N, F]`, frame by frame, in double precision, with librosa's filters."""
    padded = np.pad(waveform.astype(np.float64), n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    power = np.abs(np.fft.rfft(frames * get_window("hann", n_fft))) ** 2
    return power @ librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels).T


@pytest.mark.slow  # librosa compiles itself for 20 s where it was just installed
@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize(("rate", "n_fft", "n_mels"), [(16000, 1024, 128), (44100, 2048, 256), (16000, 512, 40)])
def test_the_reference_is_librosa(rate: int, n_fft: int, n_mels: int) -> None:
    waveform = np.random.default_rng(0).standard_normal(20000)
    options: dict[str, Any] = {"n_fft": n_fft, "hop_length": n_fft // 2, "n_mels": n_mels}
    mel = librosa.feature.melspectrogram(y=waveform, sr=rate, **options, pad_mode="constant")
    np.testing.assert_allclose(reference(waveform, rate, **options), mel.T, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Empty filters")
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    length=st.integers(2048, 40000),
    n_fft=st.sampled_from([512, 1024, 2048]),
    fraction=st.sampled_from([2, 4]),
    n_mels=st.sampled_from([40, 64, 128, 256]),
    rate=st.sampled_from([16000, 44100]),
    gain=st.floats(1e-3, 1.0),
)
def test_parity_with_librosa(
    seed: int, length: int, n_fft: int, fraction: int, n_mels: int, rate: int, gain: float
) -> None:
    rng = np.random.default_rng(seed)
    time = np.arange(length) / rate
    waveform = gain * (0.1 * rng.standard_normal(length) + 0.1 * np.sin(2 * np.pi * rng.uniform(50, 5000) * time))
    waveform = waveform.astype(np.float32)
    expected = 10 * np.log10(reference(waveform, rate, n_fft, n_fft // fraction, n_mels) + EPS)
    ours = LogMel(rate, n_fft=n_fft, hop_length=n_fft // fraction, n_mels=n_mels)(waveform)
    assert ours.shape == expected.shape
    below = expected.max() - expected
    difference = np.abs(ours - expected)
    assert difference[below <= 60].max(initial=0) <= 1e-4
    assert difference[below <= 80].max(initial=0) <= 1e-3


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("mels", ["slaney", "htk"])
@pytest.mark.parametrize(("rate", "n_fft", "n_mels"), [(16000, 1024, 128), (48000, 2048, 256), (7777, 511, 40)])
@pytest.mark.parametrize(("fmin", "fmax"), [(0.0, None), (50.0, 3000.0), (1500.0, 3888.0)])
def test_the_filters_are_librosas_bit_for_bit(
    mels: Mels, rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float | None
) -> None:
    theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=mels == "htk")
    ours = mel_filters(rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, mels=mels)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    edges = {"fmin": fmin, "fmax": fmax or rate / 2}
    frequencies = librosa.mel_frequencies(n_mels, **edges, htk=mels == "htk")
    np.testing.assert_array_equal(mel_frequencies(n_mels, **edges, mels=mels), frequencies)


@pytest.mark.parametrize("n_fft", [1024, 2048])
def test_parity_on_a_real_clip(shared_data, n_fft: int) -> None:
    from auscult.sound.audio import read_waveform

    waveform = read_waveform(
        shared_data / "dcase2020_mini/dev_data/fan/test/normal_id_00_00000000.wav", sample_rate=16000
    )
    expected = 10 * np.log10(reference(waveform, 16000, n_fft, 512, 128))
    ours = LogMel(16000, n_fft=n_fft, hop_length=512, n_mels=128)(waveform)
    assert np.abs(ours - expected)[expected > expected.max() - 60].max() <= 1e-4


def test_scales_are_functions_of_one_another() -> None:
    waveform = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    log, root, linear = (LogMel(16000, scale=scale)(waveform) for scale in ("log", "sqrt", "linear"))
    assert root**2 == pytest.approx(linear, rel=1e-5)
    assert log == pytest.approx(10 * np.log10(linear), abs=1e-4)


def test_a_tone_lies_in_the_bin_of_its_frequency() -> None:
    features = LogMel(16000)
    for frequency in (200.0, 1000.0, 5000.0):
        tone = np.sin(2 * np.pi * frequency * np.arange(16000) / 16000).astype(np.float32)
        loudest = features(tone).mean(axis=0).argmax()
        assert loudest == np.abs(features.bin_frequencies - frequency).argmin()


def test_digital_silence_is_finite() -> None:
    assert np.isfinite(LogMel(16000)(np.zeros(16000, dtype=np.float32))).all()


def test_each_clip_depends_on_itself_alone() -> None:
    features = LogMel(16000)
    one, two = (np.random.default_rng(i).standard_normal(16000).astype(np.float32) for i in range(2))
    before = features(one)
    features(two)
    assert np.array_equal(features(one), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_mels": 0}, "n_mels is 0"),
        ({"hop_length": 1.5}, "hop_length is 1.5"),
        ({"scale": "cubic"}, "choose one of log, sqrt, linear"),
        ({"fmax": 9000.0}, "half the sample rate"),
        ({"fmin": 8000.0}, "must rise"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        LogMel(16000, **arguments)


def test_a_clip_shorter_than_a_frame_is_refused() -> None:
    with pytest.raises(FeatureError, match="1023 samples at 16000 Hz; a frame needs 1024"):
        LogMel(16000)(np.zeros(1023, dtype=np.float32))


def test_the_configuration_makes_the_same_features() -> None:
    features = LogMel(16000, n_fft=2048, hop_length=512, n_mels=64, scale="sqrt")
    config = features.config()
    assert config.pop("kind") == "log_mel"
    assert LogMel(**config).config() == features.config()


def test_the_bins_of_empty_filters_are_constant_and_finite() -> None:
    frames = LogMel(44100, n_fft=512, hop_length=256)(
        np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    )
    empty = np.ptp(frames, axis=0) == 0
    assert 0 < empty.sum() < 20
    assert np.isfinite(frames).all()


@pytest.mark.parametrize("n_frames", [log_mel.BLOCK, log_mel.BLOCK + 1, 2 * log_mel.BLOCK + 7])
def test_frames_do_not_depend_on_how_many_are_computed_at_once(n_frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = np.random.default_rng(0).standard_normal(512 * (n_frames - 1)).astype(np.float32)
    blocks = LogMel(16000)(waveform)
    assert blocks.shape == (n_frames, 128)
    monkeypatch.setattr(log_mel, "BLOCK", 10_000)
    np.testing.assert_allclose(blocks, LogMel(16000)(waveform), atol=1e-4)
