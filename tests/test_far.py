"""The far microphone: what it predicts of the near one is subtracted, and the guard keeps the machine."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from auscult.errors import AudioError, ModelError, RecipeError
from auscult.features import LogMel
from auscult.features.front_end import FrontEnd
from auscult.features.heard import FrontEnds
from auscult.recipe import parse_recipe
from auscult.sound.audio import read_waveform, require_channel
from auscult.sound.coherence import SAMPLED, coherence_of
from auscult.sound.defects import problems_of
from auscult.sound.far import N_FFT, without_far

RNG = np.random.default_rng(0)
MACHINE, NOISE = (RNG.normal(size=32_000).astype(np.float32) * level for level in (0.1, 0.3))


def two(near: NDArray[np.float32], far: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([near, far], axis=1)


def power(sound: np.ndarray) -> float:
    return float(np.mean(np.square(sound[N_FFT:-N_FFT], dtype=np.float64)))


def test_noise_that_both_hear_is_removed_and_the_machine_stays() -> None:
    assert power(without_far(two(MACHINE + NOISE, NOISE)) - MACHINE) < 0.05 * power(MACHINE)


@pytest.mark.parametrize("leakage", [0.1, 0.3, 0.5])
def test_the_guard_keeps_a_machine_that_the_far_microphone_hears_alone(leakage: float) -> None:
    sound = two(MACHINE, leakage * MACHINE)
    assert power(without_far(sound)) > 0.5 * power(MACHINE)
    assert power(without_far(sound, guard=False)) < 1e-6 * power(MACHINE)


def test_the_guard_keeps_a_machine_in_noise_and_removes_the_noise_beside_it() -> None:
    """The machine below 2 kHz, louder than the noise there; the noise everywhere."""
    spectrum = np.fft.rfft(MACHINE)
    spectrum[4_000:] = 0
    low = np.fft.irfft(spectrum, n=len(MACHINE)).astype(np.float32)
    noise = np.float32(0.03) * NOISE
    sound = two(low + noise, np.float32(0.4) * np.roll(low, 40) + noise)

    def parts(waveform: NDArray[np.float32]) -> tuple[float, float]:
        powers = np.abs(np.fft.rfft(waveform)) ** 2
        return float(powers[200:3_800].sum()), float(powers[4_200:].sum())

    (before, hiss), (after, rest), (lost, _) = (
        parts(one) for one in (sound[:, 0], without_far(sound), without_far(sound, guard=False))
    )
    assert after > 0.8 * before
    assert rest < 0.1 * hiss
    assert lost < 0.6 * before


@pytest.mark.parametrize("length", [1500, 32_000])
def test_the_unguarded_residual_is_that_of_the_formula_and_knows_no_scale(length: int) -> None:
    from scipy.signal import istft, stft

    sound = two(MACHINE + NOISE, NOISE)[:length]
    peak = np.abs(sound).max()
    near, far = stft(sound.T.astype(np.float64) / peak, nperseg=1024, noverlap=512)[2]
    factors = np.array([np.vdot(b, a) / (np.vdot(b, b).real + 1e-12) for a, b in zip(near, far, strict=True)])
    expected = istft(near - factors[:, None] * far, nperseg=1024, noverlap=512)[1][:length] * peak
    found = without_far(sound, guard=False)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    np.testing.assert_allclose(without_far(np.float32(1e-3) * sound, guard=False), 1e-3 * found, atol=1e-6)


def test_silence_predicts_nothing() -> None:
    np.testing.assert_array_equal(without_far(two(MACHINE, np.zeros_like(MACHINE))), MACHINE)


@pytest.mark.parametrize("length", [1, 700, 1024, 1500])
def test_any_length_is_kept(length: int) -> None:
    found = without_far(two(MACHINE, NOISE)[:length])
    assert found.shape == (length,)
    assert np.isfinite(found).all()


def test_the_front_end_subtracts_before_the_features_and_a_window_is_heard_like_a_file(tmp_path: Path) -> None:
    path, sound = tmp_path / "two.wav", two(MACHINE + NOISE, NOISE)
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    front_end = FrontEnd(LogMel(16_000), channel=(0, 1))
    np.testing.assert_array_equal(front_end.waveform(path), without_far(sound))
    frames = FrontEnds({"it": front_end}).frames(sound, sample_rate=16_000)["it"]
    np.testing.assert_array_equal(frames, front_end(path))
    slow = FrontEnd(LogMel(8_000), channel=(0, 1))
    np.testing.assert_array_equal(
        FrontEnds({"it": slow}).frames(sound, sample_rate=16_000)["it"],
        slow(path),
        err_msg="resampled, then subtracted",
    )
    with pytest.raises(ModelError, match=r"shape \(32000,\); give two channels \[T, 2\]"):
        FrontEnds({"it": front_end}).frames(MACHINE, sample_rate=16_000)


def test_what_lacks_the_far_microphone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mono.wav"
    soundfile.write(path, MACHINE, 16_000)
    with pytest.raises(
        AudioError, match=r"mono.wav has 1 channel, and two microphones are to be heard: channel 0 near"
    ):
        require_channel(path, 1, (0, 1))
    with pytest.raises(AudioError, match=r"mono.wav has 1 channel, and two microphones"):
        read_waveform(path, sample_rate=16_000, channel=(0, 1))


def test_a_sample_that_is_no_number_is_named_by_its_time(tmp_path: Path) -> None:
    path, sound = tmp_path / "bad.wav", two(MACHINE, NOISE)
    sound[8_000, 1] = np.nan
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"sample 8000 \(at 0.500 s\) is nan"):
        read_waveform(path, sample_rate=16_000, channel=(0, 1))


def test_a_far_microphone_that_is_dead_says_so() -> None:
    assert not problems_of(two(MACHINE, NOISE), sample_rate=16_000)
    dead = problems_of(two(MACHINE, np.zeros_like(NOISE)), sample_rate=16_000)
    assert dead["silence"].startswith("the far microphone: silence")
    both = problems_of(np.zeros((32_000, 2), np.float32), sample_rate=16_000)
    assert both["silence"].startswith("silence")


@pytest.mark.parametrize(
    ("sound", "noise", "machine", "meaning"),
    [
        (two(MACHINE + NOISE, NOISE), 0.9, 0.0, "hears the noise of the place"),
        (two(MACHINE + 0.1 * NOISE, 0.5 * MACHINE), 0.0, 0.92, "hears mostly the machine"),
        (two(MACHINE, NOISE), 0.0, 0.0, "next to nothing in common"),
    ],
)
def test_the_coherence_tells_noise_from_the_machine(
    sound: NDArray[np.float32], noise: float, machine: float, meaning: str, tmp_path: Path
) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    found = coherence_of([path] * 40, (0, 1))
    assert found.recordings == SAMPLED
    assert found.noise == pytest.approx(noise, abs=0.04)
    assert found.machine == pytest.approx(machine, abs=0.04)
    assert meaning in found.sentence()


def test_a_channel_beside_itself_is_refused() -> None:
    text = 'name = "a"\nreference_channel = {}\n[[member]]\nname = "a"\nfamily = "spectral"\n'
    with pytest.raises(RecipeError, match="reference_channel and channel are both 0"):
        parse_recipe(text.format(0), "a.toml")
    assert parse_recipe(text.format(1), "a.toml").microphones == (0, 1)
