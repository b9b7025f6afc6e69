"""Mixtures have the SNR that was asked for, repeat by their generator, and never hold silence as a clean sound."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from auscult.denoising.mixtures import FIXED_SNR_DB, Mixer, WaveBank, trim_silence
from auscult.denoising.quality import snr_db
from auscult.errors import ModelError


def noise(n: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


@pytest.fixture
def mixer() -> Mixer:
    clean = WaveBank([noise(5000, 0), noise(700, 1), 0.01 * noise(3000, 2)])
    return Mixer(clean, WaveBank([noise(4000, 3), noise(4000, 4)]), length=1000)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_generator_gives_the_same_mixtures_whatever_the_global_state(mixer: Mixer) -> None:
    first = mixer.draw(4, generator())
    torch.rand(3)
    again, other = mixer.draw(4, generator()), mixer.draw(4, generator(1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_mixtures_have_the_snr_asked_for(mixer: Mixer) -> None:
    asked = torch.linspace(-5, 10, 16)
    noisy, clean = mixer.draw(16, generator(), snr_db=asked)
    torch.testing.assert_close(snr_db(clean, noisy), asked, atol=1e-3, rtol=0)


def test_random_snrs_fill_their_range(mixer: Mixer) -> None:
    noisy, clean = mixer.draw(200, generator())
    snr = snr_db(clean, noisy)
    assert -5.001 <= snr.min() < -4
    assert 9 < snr.max() <= 10.001


def test_fixed_mixtures_take_the_snrs_in_turn_and_differ_by_name(mixer: Mixer) -> None:
    noisy, clean = mixer.fixed(8, seed=0, name="validation")
    torch.testing.assert_close(snr_db(clean, noisy), torch.tensor(FIXED_SNR_DB).repeat(2), atol=1e-3, rtol=0)
    assert torch.equal(noisy, mixer.fixed(8, seed=0, name="validation")[0])
    assert not torch.equal(noisy, mixer.fixed(8, seed=0, name="test")[0])


def test_crops_are_pieces_of_their_sounds_and_short_sounds_lie_in_zeros() -> None:
    sounds = [noise(50, 0), noise(5, 1)]
    crops, which = WaveBank(sounds).crops((60,), 20, generator())
    places = set()
    for crop, index in zip(crops.numpy(), which.tolist(), strict=True):
        if index == 0:
            windows = np.lib.stride_tricks.sliding_window_view(sounds[0], 20)
            places.add(int(np.flatnonzero((windows == crop).all(1))[0]))
        else:
            start = int(np.flatnonzero(crop)[0])
            assert np.array_equal(crop[start : start + 5], sounds[1])
            assert np.count_nonzero(crop) == 5
    assert len(places) > 10


def test_a_clean_crop_is_loud_enough_to_be_heard() -> None:
    click = np.zeros(20000, dtype=np.float32)
    click[9000:13000] = 1.0
    mixer = Mixer(WaveBank([click]), WaveBank([noise(3000, 0)]), length=1000)
    _, clean = mixer.draw(100, generator())
    silent = (clean.abs().amax(-1) == 0).float().mean()
    assert silent < 0.5  # three quarters of all places are silent; four tries leave a third of the crops


def test_silent_ends_are_cut_off_and_silence_vanishes() -> None:
    sound = np.concatenate([np.zeros(30), np.ones(5), np.zeros(5), np.ones(2), np.zeros(9)]).astype(np.float32)
    assert len(trim_silence(sound)) == 12
    assert len(trim_silence(np.zeros(100, dtype=np.float32))) == 0


@pytest.mark.parametrize("waveforms", [[], [noise(5, 0), noise(0, 0)]])
def test_a_bank_of_nothing_is_refused(waveforms: list[NDArray[np.float32]]) -> None:
    with pytest.raises(ModelError, match="at least one sound"):
        WaveBank(waveforms)
