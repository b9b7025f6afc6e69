"""FREAK: what a prediction may see, its size, its scores, and what it refuses."""

import functools

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from auscult.errors import ModelError, TrainingError
from auscult.features.bank import bank_of
from auscult.models import Freak
from auscult.models.density import shrunk_covariance
from auscult.models.freak import percentile_score
from auscult.training import Training

QUICK = Training(epochs=3, batch_size=8, betas=(0.85, 0.999))
BINS, IDS = 8, ["a", "b"] * 8


def make_clips(lengths: list[int] | None = None, *, seed: int = 0) -> list[np.ndarray]:
    """Sixteen clips of tones that rise and fall, in noise: the next frame can be foretold, but not wholly."""
    generator = np.random.default_rng(seed)
    clips = []
    for length in lengths or [60] * 16:
        phase = generator.uniform(0, 2 * np.pi, BINS)
        tones = 5 * np.sin(0.4 * np.arange(length)[:, None] + phase)
        clips.append((tones + generator.normal(size=(length, BINS)) - 40).astype(np.float32))
    return clips


def make_freak(**arguments: object) -> Freak:
    """A small one, its weights drawn, not trained."""
    model = Freak(BINS, **({"m": 2, "groups": 2, "crop": 50} | arguments))  # type: ignore[arg-type]  # any arguments
    torch.manual_seed(0)
    model.build()
    return model.eval()


def fitted(clips: list[np.ndarray], **arguments: object) -> Freak:
    model = Freak(BINS, **({"m": 2, "groups": 2, "crop": 50} | arguments))  # type: ignore[arg-type]  # any arguments
    return model.fit(clips, IDS, training=QUICK)


@functools.cache
def learned() -> Freak:
    """One that has learnt to predict; tests change nothing but its score."""
    return Freak(BINS, m=2, groups=2, crop=50).fit(make_clips(), IDS, training=Training(epochs=40, batch_size=8))


@pytest.mark.parametrize(
    ("m", "n_layers", "count"), [(5, 3, 1_905_664), (6, 3, 2_704_512), (5, 4, 2_629_504), (6, 4, 3_745_152)]
)
@pytest.mark.parametrize("norm", ["frame", "clip"])
def test_the_number_of_parameters(m: int, n_layers: int, count: int, norm: str) -> None:
    model = Freak(128, m=m, n_layers=n_layers, norm=norm)  # type: ignore[arg-type]  # one of the two
    model.build()
    assert model.n_parameters == count


@pytest.mark.parametrize(("n_layers", "frames"), [(3, 31), (4, 63)])
def test_the_receptive_field_is_what_a_prediction_depends_on(n_layers: int, frames: int) -> None:
    model = make_freak(n_layers=n_layers, crop=100)
    assert model.receptive_field() == frames
    x = torch.randn(1, frames + 20, BINS, requires_grad=True)
    prediction = model(x)
    assert prediction.shape == (1, 21, BINS)
    (gradient,) = torch.autograd.grad(prediction[0, 10].sum(), x)
    seen = gradient[0].abs().sum(dim=1).nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (10, 10 + frames - 1)


def test_a_prediction_does_not_change_when_its_own_and_later_frames_do() -> None:
    clip, changed = make_clips(seed=1)[0], make_clips(seed=2)[0]
    model, t = fitted(make_clips()), 45
    changed[:t] = clip[:t]
    before, after = (model._predicted(torch.from_numpy(frames)[None])[0][0] for frames in (clip, changed))
    first = model.receptive_field()
    torch.testing.assert_close(before[: t - first + 1], after[: t - first + 1])  # the last one is of frame t
    assert (before[t - first + 1 :] - after[t - first + 1 :]).abs().amax(dim=1).min() > 1e-3


def test_the_norm_of_the_whole_clip_sees_later_frames() -> None:
    clip = torch.from_numpy(make_clips()[0])[None] / 40
    changed = clip.clone()
    changed[:, -1] += 10
    model = make_freak(norm="clip")
    assert (model(clip)[0, 0] - model(changed)[0, 0]).abs().max() > 1e-4


def test_without_norms_the_bands_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auscult.models.freak_stage.normalised", lambda x, norm: (x,))
    model = make_freak(groups=4)
    x = torch.randn(1, 40, BINS)
    changed = x.clone()
    changed[:, :, 2:4] += 1  # the second of four bands of two bins
    moved = (model(x) - model(changed)).abs().amax(dim=(0, 1)) > 1e-6
    assert moved.tolist() == [False, False, True, True] + [False] * 4


def test_training_learns_to_predict() -> None:
    assert learned().history[-1]["loss"] < 0.5 * learned().history[0]["loss"]


def test_an_epoch_crops_every_clip_once_within_its_bounds() -> None:
    lengths = [60, 47, 90, 60] * 4
    bank = bank_of([np.full((length, BINS), i) for i, length in enumerate(lengths)], IDS)
    model = make_freak()
    crops = []
    for seed in range(20):
        model.generator = torch.Generator().manual_seed(seed)
        batches = list(model.batches(torch.tensor(bank.frames), bank, QUICK))
        assert [batch.shape for batch in batches] == [(8, 47, BINS)] * 2  # the shortest clip sets the length
        crops.append(torch.cat(batches)[:, :, 0])
    for crop in crops:
        assert (crop == crop[:, :1]).all()  # all frames are of one clip
        assert sorted(crop[:, 0].tolist()) == list(range(16))
    assert len({tuple(crop[:, 0].tolist()) for crop in crops}) == 20


@pytest.mark.parametrize(("lengths", "frames"), [([300] * 16, 300), ([300, 240] * 8, 240)])
def test_without_a_crop_clips_train_whole_or_as_long_as_the_shortest(lengths: list[int], frames: int) -> None:
    model, bank = make_freak(crop=0), bank_of(make_clips(lengths), IDS)
    model.generator = torch.Generator().manual_seed(0)
    assert [len(batch[0]) for batch in model.batches(torch.tensor(bank.frames), bank, QUICK)] == [frames] * 2
    assert model.epoch_units(clips=16, frames=sum(lengths), shortest=min(lengths)) == 16 * frames
    assert model.sample(QUICK, frames)[1] == [frames] * 4


def test_crops_start_anywhere_in_a_clip() -> None:
    bank = bank_of([np.arange(52.0)[:, None].repeat(BINS, axis=1)] * 16, IDS)
    model, starts = make_freak(), set()
    for seed in range(10):
        model.generator = torch.Generator().manual_seed(seed)
        for batch in model.batches(torch.tensor(bank.frames), bank, QUICK):
            starts |= set(batch[:, 0, 0].tolist())
    assert starts == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("covariance", ["full", "shrunk", "diagonal", "identity"])
@pytest.mark.parametrize("domain", ["spectrogram", "amplitude"])
def test_the_gaussian_score_is_a_normal_density_of_training_differences(covariance: str, domain: str) -> None:
    clips = make_clips()
    model = fitted(clips, covariance=covariance, domain=domain)
    mean, deviation = (torch.from_numpy(np.concatenate(clips).astype(np.float64)).float() for _ in range(2))
    mean, deviation = mean.mean(dim=0), deviation.std(dim=0, correction=0)
    with torch.inference_mode():
        differences = []
        for clip in clips:
            x = (torch.from_numpy(clip) - mean) / deviation
            prediction, actual = model(x[None, :-1])[0].double().mean(dim=0), x[31:].double().mean(dim=0)
            if domain == "amplitude":
                prediction, actual = (10 ** ((y * deviation + mean) / 20) for y in (prediction, actual))
            differences.append((prediction - actual).numpy())
    rows = np.stack(differences)
    expected = {
        "full": np.cov(rows.T),
        "shrunk": shrunk_covariance(np.cov(rows.T, ddof=0), len(rows)),
        "diagonal": np.diag(rows.var(axis=0, ddof=1)),
        "identity": np.eye(BINS),
    }[covariance]
    density = multivariate_normal(rows.mean(axis=0), expected)
    np.testing.assert_allclose(model.score_clips(clips, IDS), -density.logpdf(rows), rtol=1e-4, atol=1e-4)


def test_the_percentile_is_taken_over_time_and_then_over_bins() -> None:
    errors = np.random.default_rng(0).gamma(1.0, size=(51, 11))
    ranked = np.sort(errors, axis=0)  # with 51 frames and 11 bins the percentiles are ranks
    expected = np.sort(ranked[45])[9]
    assert percentile_score(errors, 90) == pytest.approx(expected)


@pytest.mark.parametrize("score", ["gaussian", "percentile", "mse"])
def test_a_clip_that_cannot_be_foretold_scores_higher(score: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, normal = learned(), make_clips(seed=5)
    monkeypatch.setattr(model, "score", score)
    odd = [clip.copy() for clip in normal]
    for clip in odd:
        clip[40:, 3] += 15
    assert (model.score_clips(odd, IDS) > model.score_clips(normal, IDS)).mean() > 0.9


def test_scores_and_maps_fit_the_prediction_errors() -> None:
    clips = make_clips([60, 47, 90, 60] * 4)
    model = fitted(clips, score="mse")
    maps, frame_scores = model.error_map(clips, IDS), model.frame_scores(clips, IDS)
    for clip, error, frames, score in zip(clips, maps, frame_scores, model.score_clips(clips, IDS), strict=True):
        assert error.shape == clip.shape
        assert np.isnan(error[:31]).all()
        np.testing.assert_allclose(error[31:].mean(axis=1), frames)
        assert error[31:].mean() == pytest.approx(score)


@pytest.mark.parametrize("score", ["gaussian", "percentile"])
def test_the_order_of_clips_does_not_matter_to_scores(score: str) -> None:
    clips = make_clips([60, 47, 90, 60] * 4)
    model = fitted(clips, score=score)
    scores = model.score_clips(clips, IDS)
    np.testing.assert_allclose(model.score_clips(clips[::-1], IDS[::-1]), scores[::-1], rtol=1e-5)
    with torch.inference_mode():
        model.fit_scores(bank_of(clips[::-1], IDS[::-1]))
    np.testing.assert_allclose(model.score_clips(clips, IDS), scores, rtol=1e-5)


@pytest.mark.bf16
def test_bfloat16_learns_nearly_the_same() -> None:
    clips = make_clips()
    losses = [
        Freak(BINS, m=2, groups=2, crop=50)
        .fit(clips, IDS, training=Training(epochs=8, batch_size=8, precision=precision))
        .history[-1]["loss"]
        for precision in ("fp32", "bf16")  # type: ignore[arg-type]  # mypy widens the two literals
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"m": 0}, "m is 0"),
        ({"groups": 3}, "8 bins cannot be divided into 3 groups"),
        ({"norm": "batch"}, "norm is 'batch'; choose frame or clip"),
        ({"score": "nll"}, "choose gaussian or percentile or mse"),
        ({"covariance": "tied"}, "choose full or shrunk or diagonal or identity"),
        ({"domain": "power"}, "choose spectrogram or amplitude"),
        ({"percentile": 101}, "percentile is 101"),
        ({"crop": 31}, "crop is 31 frames.*at least 32, or 0 for whole clips"),
        ({"crop": -1}, "crop is -1; .* at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Freak(BINS, **arguments)  # type: ignore[arg-type]  # what is wrong is the point


def test_too_few_clips_for_the_covariance_are_refused_before_any_training() -> None:
    clips = make_clips()
    for covariance, n in (("full", BINS), ("shrunk", 1), ("diagonal", 1)):
        with pytest.raises(ModelError, match=f"{n} training clips are too few for the {covariance} covariance.*choose"):
            Freak(BINS, m=2, groups=2, crop=50, covariance=covariance).fit(  # type: ignore[arg-type]  # one of two
                clips[:n], IDS[:n], training=QUICK, on_epoch=lambda epoch, losses: pytest.fail("it trained")
            )
    model = Freak(BINS, m=2, groups=2, crop=50).fit(clips[:2], IDS[:2], training=QUICK)
    assert np.isfinite(model.score_clips(clips, IDS)).all()


def test_a_clip_shorter_than_the_receptive_field_is_refused() -> None:
    clips = make_clips([60] * 15 + [31])
    with pytest.raises(ModelError, match="clip 15 has 31 frames; the model needs at least 32"):
        fitted(clips)
    model = fitted(make_clips([60] * 15 + [32]))
    assert np.isfinite(model.score_clips(make_clips([32]), ["a"])).all()


def test_pooling_and_a_loss_that_is_no_number_are_refused() -> None:
    clips = make_clips()
    with pytest.raises(ModelError, match="pooling 'median'"):
        learned().score_clips(clips, IDS, pooling="median")
    with pytest.raises(TrainingError, match="pump-freak"):
        Freak(BINS, m=2, groups=2, crop=50).fit(
            clips, IDS, training=Training(epochs=3, batch_size=8, learning_rate=1e20), member="pump-freak"
        )
