"""HVAE: its loss against torch's own distributions, its minimum and its bound, and what dropout and the latent draw."""

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.errors import ModelError
from auscult.models import HVAE
from auscult.models.hvae import MAX_LOG_PRECISION, kl_divergence, limit
from auscult.models.layers import dropout
from auscult.training import Training, generator_of

BRIEF = Training(epochs=3, batch_size=32)
VARIANTS = pytest.mark.parametrize("big_precision", [False, True])


def clips(n_clips: int, n_bins: int = 6, *, seed: int = 0) -> Any:
    """Each bin swings with the same tide; the bins of the upper half are far noisier than those of the lower."""
    rng = np.random.default_rng(seed)
    tide = np.sin(np.arange(60)[:, None] / 5 + rng.uniform(0, 6, size=(n_clips, 1, 1)))
    noise = np.where(np.arange(n_bins) < n_bins // 2, 0.1, 1.0)
    return (tide * np.ones(n_bins) + noise * rng.normal(size=(n_clips, 60, n_bins))).astype(np.float32)


def built(**arguments: Any) -> HVAE:
    """A model whose networks are there but untrained."""
    model = HVAE(6, **{"context": 2, "hidden": (20, 10), "n_latent": 3, **arguments})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.build()
    return model


@functools.cache
def fitted(*, big_precision: bool) -> HVAE:
    """A trained model; tests change nothing but its score."""
    model = HVAE(6, context=2, hidden=(32, 16), n_latent=2, big_precision=big_precision, standardise=False)
    return model.fit(clips(20), ["id_00"] * 20, training=Training(epochs=20, batch_size=64, learning_rate=6e-3))


def test_the_divergence_is_that_of_torch() -> None:
    mu, sigma = torch.randn(50, 7), torch.rand(50, 7) * 3 + 1e-4
    normal, standard = torch.distributions.Normal(mu, sigma), torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(normal, standard).sum(dim=1)
    torch.testing.assert_close(kl_divergence(mu, sigma), expected, rtol=1e-4, atol=1e-4)
    assert kl_divergence(torch.zeros(1, 7), torch.ones(1, 7)).item() == 0


@VARIANTS
def test_the_loss_is_equation_2_with_its_parts_logged(big_precision: bool) -> None:
    model = built(big_precision=big_precision, beta=2.5).eval()
    windows = torch.randn(9, 12)
    mu, sigma, x_hat, log_w = model(windows)
    kl = torch.distributions.kl_divergence(torch.distributions.Normal(mu, sigma), torch.distributions.Normal(0.0, 1.0))
    literal = kl.sum(dim=1) + 2.5 * (log_w.exp() * (windows - x_hat) ** 2 - log_w).sum(dim=1)
    losses = model.loss(windows)
    assert losses["loss"].item() == pytest.approx(literal.mean().item(), rel=1e-5)
    assert losses["kl"].item() == pytest.approx(kl.sum(dim=1).mean().item(), rel=1e-5)
    assert losses["log_precision"].item() == pytest.approx(log_w.mean().item(), rel=1e-5)
    assert losses["wmse"].item() == pytest.approx((log_w.exp() * (windows - x_hat) ** 2).mean().item(), rel=1e-5)


def test_with_beta_a_half_the_loss_is_the_evidence_bound_up_to_a_constant() -> None:
    model = built(beta=0.5).eval()
    windows = torch.randn(9, 12)
    mu, sigma, x_hat, log_w = model(windows)
    likelihood = torch.distributions.Normal(x_hat, (-log_w / 2).exp()).log_prob(windows).sum(dim=1)
    bound = (likelihood - kl_divergence(mu, sigma)).mean().item()
    assert model.loss(windows)["loss"].item() == pytest.approx(-bound - 6 * math.log(2 * math.pi), rel=1e-4)


def loss_of_precision(error: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
    """The loss of a model that is off by `error`, tells the precision `raw` and whose divergence is 0."""

    class Given(HVAE):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return torch.zeros(1, 2), torch.ones(1, 2), torch.zeros_like(x), limit(raw)[None]

    return Given(len(error), context=1, standardise=False).loss(error[None])["loss"]


@settings(max_examples=30)
@given(st.lists(st.floats(0.06, 19.0), min_size=6, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_inside_the_clamp_the_best_precision_is_one_over_the_squared_error(
    sizes: list[float], signs: list[bool]
) -> None:
    error = torch.tensor([size if sign else -size for size, sign in zip(sizes, signs, strict=True)])
    best = -2 * error.abs().log()  # w = 1 / e^2
    raw = (MAX_LOG_PRECISION * torch.atanh(best / MAX_LOG_PRECISION)).requires_grad_()
    torch.testing.assert_close(limit(raw), best, rtol=1e-4, atol=1e-4)
    loss = loss_of_precision(error, raw)
    (gradient,) = torch.autograd.grad(loss, raw)
    assert gradient.abs().max() < 1e-3
    for other in (raw + 0.3, raw - 0.3):
        assert loss_of_precision(error, other.detach()) > loss_of_precision(error, raw.detach())


@settings(max_examples=30)
@given(st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6), st.lists(st.floats(-1e4, 1e4), min_size=6, max_size=6))
def test_the_loss_is_bounded_below(error: list[float], raw: list[float]) -> None:
    loss = loss_of_precision(torch.tensor(error), torch.tensor(raw))
    assert loss >= -6 * MAX_LOG_PRECISION - 1e-3
    assert torch.isfinite(loss)


def test_the_limit_is_smooth_and_nearly_the_identity_at_the_middle() -> None:
    raw = torch.linspace(-40, 40, 1001, dtype=torch.float64)
    limited = limit(raw)
    assert limited.abs().max() <= MAX_LOG_PRECISION
    assert (limited.diff() >= 0).all()
    torch.testing.assert_close(limit(torch.tensor([-0.1, 0.0, 0.1])), torch.tensor([-0.1, 0.0, 0.1]), rtol=1e-3, atol=0)


@VARIANTS
def test_the_precision_may_be_softplus_of_the_output_as_the_encoders_deviation_is(big_precision: bool) -> None:
    windows = torch.randn(7, 12)
    exp, softplus = (built(big_precision=big_precision, precision_link=link).eval() for link in ("exp", "softplus"))
    with torch.no_grad():
        raw = MAX_LOG_PRECISION * (exp(windows)[3] / MAX_LOG_PRECISION).atanh()
        expected = limit((torch.nn.functional.softplus(raw) + 1e-4).log())
        torch.testing.assert_close(softplus(windows)[3], expected, rtol=1e-4, atol=1e-5)


@VARIANTS
def test_the_precision_tells_the_quiet_bins_from_the_noisy_ones(big_precision: bool) -> None:
    model = fitted(big_precision=big_precision)
    windows = torch.tensor(clips(1, seed=1)[0].reshape(-1, 12))
    with torch.inference_mode():
        log_w = model(windows)[3].view(-1, 2, 6).mean(dim=(0, 1))
    assert log_w[:3].min() > log_w[3:].max() + 2


def test_the_weighted_score_sees_in_a_quiet_bin_what_the_plain_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same fault of one half in a quiet bin is far out of the ordinary; among noise of deviation 1 it is not."""
    model = fitted(big_precision=False)
    normal, faulty = clips(20, seed=2), clips(20, seed=2)
    faulty[:, :, 0] += 0.5
    separation = {}
    for score in ("wmse", "mse"):
        monkeypatch.setattr(model, "score", score)
        a, b = (model.score_clips(data, ["id_00"] * 20) for data in (normal, faulty))
        separation[score] = (b.mean() - a.mean()) / a.std()
    assert separation["wmse"] > 2 * separation["mse"] > 0


@VARIANTS
def test_encoder_and_decoder_have_the_same_hidden_layers(big_precision: bool) -> None:
    model = HVAE(128, context=5, hidden=(640, 512, 256), n_latent=16, big_precision=big_precision)
    model.build()
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters() if name.endswith("weight")}
    hidden = [(640, 640), (512, 640), (256, 512)]
    assert [shape for name, shape in shapes.items() if name.startswith("encoder")] == [*hidden, (32, 256)]
    mirrored = [(256, 16), (512, 256), (640, 512)]
    outputs = 640 if big_precision else 1280
    assert [shape for name, shape in shapes.items() if name.startswith("decoder")] == [*mirrored, (outputs, 640)]
    if big_precision:
        assert [shape for name, shape in shapes.items() if name.startswith("precision")] == [*mirrored, (640, 640)]
    assert any(name.startswith("precision") for name in shapes) == big_precision


def test_an_embedding_is_a_context_of_one() -> None:
    model = HVAE(512, context=1, hidden=(16,), n_latent=2)
    data = np.random.default_rng(0).normal(size=(4, 10, 512)).astype(np.float32)
    assert model.fit(data, ["id_00"] * 4, training=BRIEF).frame_scores(data, ["id_00"] * 4).shape == (4, 10)


def test_the_score_is_the_mean_of_the_first_map() -> None:
    data = clips(2, seed=3)
    for score, name in (
        ("wmse", "precision-weighted error"),
        ("mse", "squared error"),
        ("nll", "negative log likelihood"),
    ):
        model = HVAE(6, context=1, hidden=(8,), n_latent=2, score=score)
        model.fit(data, ["id_00"] * 2, training=BRIEF)
        maps = model.maps(data[0], "id_00")
        assert next(iter(maps)) == name
        assert {"precision-weighted error", "squared error"} <= maps.keys()
        np.testing.assert_allclose(maps[name].mean(axis=1), model.frame_scores(data[:1], ["id_00"])[0], rtol=1e-4)


def test_the_negative_log_likelihood_is_that_of_torch() -> None:
    model = built(context=1, score="nll").eval()
    model.ids, model.fitted = ("id_00",), True
    data = clips(1, seed=3)
    with torch.inference_mode():
        _, _, x_hat, log_w = model(torch.tensor(data[0]))
        expected = -torch.distributions.Normal(x_hat, (-log_w / 2).exp()).log_prob(torch.tensor(data[0])).mean(dim=1)
    np.testing.assert_allclose(model.frame_scores(data, ["id_00"])[0], expected.numpy(), rtol=1e-4)


def test_the_choice_of_a_score_leaves_the_training_alone() -> None:
    data = clips(4)
    models = [
        HVAE(6, context=2, hidden=(8,), n_latent=2, score=score).fit(data, ["id_00"] * 4, training=BRIEF)
        for score in ("wmse", "mse")
    ]
    assert models[0].history == models[1].history


def test_standardised_inputs_make_the_score_independent_of_units() -> None:
    data = clips(6)
    scores = []
    for scale, offset in ((1.0, 0.0), (8.0, -60.0)):
        model = HVAE(6, context=2, hidden=(8,), n_latent=2).fit(data * scale + offset, ["a"] * 6, training=BRIEF)
        scores.append(model.score_clips(data * scale + offset, ["a"] * 6))
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-2)


@VARIANTS
def test_noise_and_dropout_belong_to_training_only_and_come_from_the_generator(big_precision: bool) -> None:
    model = built(big_precision=big_precision)
    windows = torch.randn(5, 12, generator=generator_of(0))

    def loss() -> float:
        model.generator = generator_of(1)
        torch.manual_seed(int(torch.randint(1000, ())))
        return model.loss(windows)["loss"].item()

    assert loss() == loss()
    assert model.loss(windows)["loss"].item() != model.loss(windows)["loss"].item(), "each batch draws anew"
    model.eval()
    assert torch.equal(model(windows)[2], model(windows)[2])


@settings(max_examples=30)
@given(rate=st.floats(0.0, 0.9), seed=st.integers(0, 1000))
def test_dropout_meets_its_rate_and_keeps_the_mean(rate: float, seed: int) -> None:
    x = torch.ones(200, 101)
    y = dropout(x, rate, generator_of(seed))
    kept = y != 0
    deviation = math.sqrt(rate * (1 - rate) / x.numel())
    assert kept.float().mean().item() == pytest.approx(1 - rate, abs=5 * deviation + 1e-4)
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - rate)), rtol=1e-3, atol=0)


def test_dropout_treats_neighbours_alike_and_apart() -> None:
    """The four decisions of one random number are as independent as those of four."""
    kept = (dropout(torch.ones(4000, 64), 0.3, generator_of(0)) != 0).double()
    torch.testing.assert_close(kept.mean(dim=0), torch.full((64,), 0.7, dtype=torch.float64), rtol=0, atol=0.04)
    correlation = torch.corrcoef(kept.T).fill_diagonal_(0)
    assert correlation.abs().max() < 0.09


def test_meancap_uses_the_frames_of_the_training() -> None:
    data = clips(10)
    model = HVAE(6, context=2, hidden=(8,), n_latent=2).fit(data, ["a"] * 10, training=BRIEF)
    frames = model.frame_scores(data, ["a"] * 10)
    assert float(model.frame_score_mean) == pytest.approx(frames.mean(), rel=1e-5)
    assert float(model.frame_score_deviation) == pytest.approx(frames.std(), rel=1e-5)
    loud = data[:1].copy()
    loud[0, 30:33] += 1e4
    capped = model.score_clips(loud, ["a"], pooling="meancap")[0]
    assert capped <= frames.mean() + 3 * frames.std() < model.score_clips(loud, ["a"], pooling="mean")[0]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"hidden": (0,)}, "hidden"),
        ({"hidden": (8.0,)}, "hidden"),
        ({"n_latent": 0}, "n_latent"),
        ({"beta": 0}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"score": "loudness"}, "score is 'loudness'; choose one of wmse, mse, nll"),
        ({"context": 0}, "context"),
        ({"precision_link": "log"}, "precision_link is 'log'; choose exp or softplus"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(ModelError, match=what):
        HVAE(6, **arguments)
