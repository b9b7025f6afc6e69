"""Features of one frame a clip: modulation spectra, and statistics of other features."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from auscult.errors import FeatureError, RecipeError
from auscult.features import features_of
from auscult.features.log_mel import LogMel
from auscult.features.modulation import Modulation
from auscult.members.making import make_features, model_arguments
from auscult.recipe import Member

Array = NDArray[np.float32]
RATE = 16000


def swinging(carrier: float, swings: float, *, seconds: float = 3.0, rate: int = RATE, depth: float = 0.8) -> Array:
    """A tone that swells and fades so many times a second, in a little noise."""
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.002, len(times))
    tone = (1 + depth * np.sin(2 * np.pi * swings * times)) * np.sin(2 * np.pi * carrier * times)
    return (0.2 * tone + noise).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
@pytest.mark.parametrize(("carrier", "swings"), [(400, 8), (1500, 32), (3000, 100)])
def test_a_tone_that_swings_stands_in_its_band_and_octave(rate: int, carrier: float, swings: float) -> None:
    features = Modulation(rate)
    values = features(swinging(carrier, swings, rate=rate)).reshape(60, 8)
    band, octave = np.unravel_index(values.argmax(), values.shape)
    assert abs(np.log2(features.band_frequencies[band] / carrier)) < 0.25
    assert abs(np.log2(features.modulation_frequencies[octave] / swings)) <= 0.5


def test_it_is_the_energy_of_the_envelopes_by_plain_sums() -> None:
    """One octave of one band, by a sum over sines and cosines of each frequency within it."""
    features, waveform = Modulation(RATE), swinging(1000, 16, seconds=1.0)
    window = np.hanning(129)[:-1]
    frames = np.stack([waveform[at : at + 128] * window for at in range(0, len(waveform) - 127, 32)]).astype(np.float64)
    band, octave = 25, 3
    width = max(24.7 * (0.00437 * features.band_frequencies[band] + 1), 0.8 * 125)
    bell = np.exp(-0.5 * ((np.arange(65) * 125 - features.band_frequencies[band]) / (0.6 * width)) ** 2)
    envelope = np.sqrt((np.abs(np.fft.rfft(frames)) ** 2 / 128**2) @ bell)
    envelope -= envelope.mean()
    centre, count, energy = features.modulation_frequencies[octave], len(envelope), 0.0
    for k in range(count // 2 + 1):
        if centre / 2**0.5 <= k * 500 / count < centre * 2**0.5:
            turns = 2 * np.pi * k * np.arange(count) / count
            energy += ((envelope @ np.cos(turns)) ** 2 + (envelope @ np.sin(turns)) ** 2) / count**2
    found = features(waveform).reshape(60, 8)[band, octave]
    assert found == pytest.approx(10 * np.log10(energy + 1e-12), abs=0.05)


def test_loudness_adds_the_same_to_all_values_and_length_changes_little() -> None:
    features, sound = Modulation(RATE), np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)
    louder, quieter = features(sound), features(np.float32(0.25) * sound)
    assert np.abs(louder - quieter - 20 * np.log10(4)).max() < 0.05
    assert np.abs(features(sound) - features(sound[: 5 * RATE])).mean() < 1.5


def test_it_agrees_with_published_modulation_spectra(shared_data: Any) -> None:
    """Of the same clips, which had been cleaned of noise before: ranks of clips in each value."""
    from auscult.sound.audio import read_waveform

    with np.load(shared_data / "modulation_spectra.npz") as file:
        theirs = np.log(file["slider_train"][:75:3] + 1e-12)
    clips = sorted((shared_data / "dcase2020_mini" / "dev_data" / "slider" / "train").iterdir())[::3]
    ours = np.concatenate([Modulation(RATE)(read_waveform(clip, sample_rate=RATE, channel=0)) for clip in clips])
    ranks = [values.argsort(axis=0).argsort(axis=0) for values in (ours, theirs)]
    agreement = [np.corrcoef(mine, other)[0, 1] for mine, other in zip(ranks[0].T, ranks[1].T, strict=True)]
    assert np.median(agreement) > 0.9


def test_silence_is_finite_and_short_clips_are_refused() -> None:
    assert np.allclose(Modulation(RATE)(np.zeros(RATE, np.float32)), -120)
    with pytest.raises(FeatureError, match=r"has 8000 samples at 16000 Hz; 4 Hz need 12000"):
        Modulation(RATE)(np.zeros(8000, np.float32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_bands": 1}, "n_bands is 1"),
        ({"fmin": 9000.0}, "below half the sample rate"),
        ({"slowest": 200.0}, "must rise and lie between"),
        ({"fastest": 300.0}, "at most 175|between 0.1 and 175"),
    ],
)
def test_modulations_that_cannot_be_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        Modulation(RATE, **arguments)


def test_statistics_are_those_of_the_other_features() -> None:
    table = {"kind": "log_mel", "n_mels": 32}
    features = features_of(
        {"kind": "statistics", "sample_rate": RATE, "of": table, "statistics": ["mean", "deviation"]}
    )
    frames = LogMel(RATE, n_mels=32)(swinging(1000, 4))
    expected = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
    assert np.allclose(features(swinging(1000, 4)), expected[None], atol=1e-3)
    assert features.n_frames(RATE) == features.n_frames(99 * RATE) == 1
    again = features_of(features.arguments())
    assert again.config() == features.config()
    assert features.config()["of"]["n_fft"] == 1024, "what is not said is kept as it was"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"of": {"kind": "log_mell"}}, r"features of the kind 'log_mell'; choose one of log_mel"),
        ({"of": {"kind": "log_mel", "mels": 3}}, r"have no argument 'mels' here; they have sample_rate, n_fft"),
        ({"of": {"kind": "yamnet", "weights": "/etc"}}, r"have no argument 'weights' here"),
        ({"of": {"kind": "log_mel"}, "statistics": ["median"]}, r"give a list of some of mean"),
        ({"of": {"kind": "log_mel", "n_fft": 0}}, r"n_fft is 0"),
        ({}, "of"),
    ],
)
def test_statistics_of_what_cannot_be_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_features({"kind": "statistics", **table}, sample_rate=RATE, where="member 'a'")


def test_a_family_that_needs_many_frames_is_refused_at_the_start() -> None:
    features = make_features({"kind": "modulation"}, sample_rate=RATE, where="member 'a'")
    assert model_arguments(Member(name="a", family="spectral"), features)["n_bins"] == 480
    with pytest.raises(
        RecipeError, match=r"autoencoder needs 5 frames at once, and features of kind 'modulation' give one"
    ):
        model_arguments(Member(name="a", family="autoencoder"), features)


def test_pooling_of_embeddings_by_plain_sums() -> None:
    import torch

    from auscult.features.statistics import clip_vector

    x = np.random.default_rng(0).uniform(0, 5, (7, 3))
    away = np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=1))
    weights = (1 + away / away.max()) ** 4
    expected = [
        *x.mean(axis=0),
        *x.max(axis=0),
        *(x**3).mean(axis=0) ** (1 / 3),
        *(weights[:, None] * x).sum(axis=0) / weights.sum(),
    ]
    found = clip_vector(torch.from_numpy(x), ["mean", "maximum", "generalised", "relative"])
    assert np.allclose(found.numpy(), expected)
    still = clip_vector(torch.full((4, 3), 2.0), ["generalised", "relative"])
    assert torch.allclose(still, torch.tensor(2.0)), "of frames that are all the same, any pooling is the frame"
