"""The far microphone: what it predicts of the near one is subtracted, and the guard keeps the machine."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.errors import AudioError, RecipeError
from auscult.features import LogMel
from auscult.features.front_end import FrontEnd
from auscult.members.fitting import require_one_microphone
from auscult.recipe import parse_recipe
from auscult.sound.far import N_FFT, require_far, without_far

RNG = np.random.default_rng(0)
MACHINE, NOISE = (RNG.normal(size=32_000).astype(np.float32) * level for level in (0.1, 0.3))


def power(sound: np.ndarray) -> float:
    return float(np.mean(np.square(sound[N_FFT:-N_FFT], dtype=np.float64)))


def test_noise_that_both_hear_is_removed_and_the_machine_stays() -> None:
    near = MACHINE + NOISE
    assert power(without_far(near, NOISE) - MACHINE) < 0.05 * power(MACHINE)


def test_the_guard_keeps_a_machine_that_the_far_microphone_hears_at_half_its_level() -> None:
    kept = without_far(MACHINE, 0.5 * MACHINE)
    np.testing.assert_allclose(kept[N_FFT:-N_FFT], 0.5 * MACHINE[N_FFT:-N_FFT], atol=1e-4)
    assert power(without_far(MACHINE, 0.5 * MACHINE, guard=False)) < 1e-6 * power(MACHINE)


def test_the_unguarded_residual_is_that_of_the_formula_and_knows_no_scale() -> None:
    from scipy.signal import istft, stft

    peak = max(np.abs(MACHINE + NOISE).max(), np.abs(NOISE).max())
    _, _, near = stft((MACHINE + NOISE).astype(np.float64) / peak, nperseg=1024, noverlap=512)
    _, _, far = stft(NOISE.astype(np.float64) / peak, nperseg=1024, noverlap=512)
    factors = np.array([np.vdot(b, a) / (np.vdot(b, b).real + 1e-12) for a, b in zip(near, far, strict=True)])
    expected = istft(near - factors[:, None] * far, nperseg=1024, noverlap=512)[1][: len(MACHINE)] * peak
    found = without_far(MACHINE + NOISE, NOISE, guard=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(
        without_far(1e-3 * (MACHINE + NOISE), 1e-3 * NOISE, guard=False), 1e-3 * found, atol=1e-6
    )


def test_silence_predicts_nothing() -> None:
    np.testing.assert_array_equal(without_far(MACHINE, np.zeros_like(MACHINE)), MACHINE)


@pytest.mark.parametrize("length", [1, 700, 1024, 1500])
def test_any_length_is_kept(length: int) -> None:
    found = without_far(MACHINE[:length], NOISE[:length])
    assert found.shape == (length,)
    assert np.isfinite(found).all()


def test_the_front_end_subtracts_before_the_features(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([MACHINE + NOISE, NOISE], axis=1), 16_000, subtype="FLOAT")
    heard = FrontEnd(LogMel(16_000), reference_channel=1).waveform(path)
    np.testing.assert_array_equal(heard, without_far(MACHINE + NOISE, NOISE))


def test_what_lacks_the_far_microphone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mono.wav"
    soundfile.write(path, MACHINE, 16_000)
    with pytest.raises(AudioError, match=r"mono.wav has 1 channel, and the recipe's reference_channel is 1"):
        require_far([path], 1)
    with pytest.raises(AudioError, match="two of one length"):
        without_far(MACHINE, NOISE[:-1])


def test_a_detector_and_a_channel_beside_itself_are_refused() -> None:
    text = 'name = "a"\nreference_channel = {}\n[[member]]\nname = "a"\nfamily = "spectral"\n'
    with pytest.raises(RecipeError, match="reference_channel and channel are both 0"):
        parse_recipe(text.format(0), "a.toml")
    with pytest.raises(RecipeError, match="a detector hears one microphone"):
        require_one_microphone(parse_recipe(text.format(1), "a.toml"))
