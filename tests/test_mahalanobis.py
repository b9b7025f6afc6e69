"""Selective Mahalanobis: its score against a plain computation, its domains, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from auscult.errors import ModelError
from auscult.features.bank import Bank, bank_of
from auscult.models import Autoencoder, Mahalanobis
from auscult.recipe import load_recipe
from auscult.training import Training

BINS, CONTEXT, TRAINING = 6, 3, Training(epochs=2, batch_size=64)
MODEL = {"context": CONTEXT, "hidden": [12], "n_latent": 2}


def bank(domains: list[str | None], *, n_frames: int = 60) -> Bank:
    rng = np.random.default_rng(len(domains))
    clips = rng.normal(size=(len(domains), n_frames, BINS)) * np.linspace(0.5, 2, BINS)
    clips[[domain == "target" for domain in domains]] *= np.array([1, 4, 0.2, 1, 1, 1])
    return replace(bank_of(clips.astype(np.float32), ["section_00"] * len(domains)), domains=tuple(domains))


def residuals(model: Mahalanobis, clip: np.ndarray) -> np.ndarray:
    """Of each window of a clip, row by row `[W, context, F]`."""
    windows = np.stack([clip[n : n + CONTEXT].ravel() for n in range(len(clip) - CONTEXT + 1)])
    with torch.inference_mode():
        rebuilt = model.network(torch.tensor(windows)).numpy()
    return (windows - rebuilt).reshape(len(windows), CONTEXT, BINS).astype(np.float64)


def covariances(model: Mahalanobis, train: Bank, batch: int) -> dict[str, np.ndarray]:
    """Of each domain: rows centred in batches of every n-th window, over the windows less one."""
    windows = np.concatenate([residuals(model, train.clip(place)) for place in range(train.n_clips)])
    domains = np.repeat(np.array([domain or "source" for domain in train.domains]), len(windows) // train.n_clips)
    n_batches = int(np.ceil(len(windows) / batch))
    found = {}
    for name in sorted(set(domains.tolist())):
        total = np.zeros((BINS, BINS))
        for first in range(n_batches):
            some = windows[first::n_batches][domains[first::n_batches] == name]
            if len(some):
                rows = some.reshape(-1, BINS)
                total += (rows - rows.mean(axis=0)).T @ (rows - rows.mean(axis=0))
        found[name] = total / (np.count_nonzero(domains == name) - 1)
    return found


def test_the_score_is_that_of_a_plain_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auscult.models.mahalanobis.BATCH", 100)
    train = bank(["source"] * 7 + ["target"] * 2 + [None])
    model = Mahalanobis(BINS, **MODEL).fit(train, training=TRAINING)
    found = covariances(model, train, 100)
    test = bank(["target", "source", None] * 6, n_frames=40)
    expected = []
    for place in range(test.n_clips):
        mean = residuals(model, test.clip(place)).mean(axis=(0, 1))
        expected.append([mean @ np.linalg.inv(found[name]) @ mean for name in ("source", "target")])
    assert set(np.argmin(expected, axis=1).tolist()) == {0, 1}, "each domain is the nearer of some clip"
    np.testing.assert_allclose(model.score_clips(test), np.min(expected, axis=1), rtol=1e-3)
    window = residuals(model, test.clip(0))[0].mean(axis=0)
    least = min(window @ np.linalg.inv(one) @ window for one in found.values())
    assert model.frame_scores(test)[0][0] == pytest.approx(least, rel=1e-3)


def test_a_domain_without_clips_has_the_covariance_of_the_other() -> None:
    for domain in ("source", "target", None):
        model = Mahalanobis(BINS, **MODEL).fit(bank([domain] * 6), training=TRAINING)
        assert torch.equal(*model.precisions)
    both = Mahalanobis(BINS, **MODEL).fit(bank(["source"] * 4 + ["target"] * 2), training=TRAINING)
    assert not torch.equal(*both.precisions)


def test_too_few_windows_of_a_domain_are_refused_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    few = bank(["source"] * 5 + ["target"], n_frames=CONTEXT + 1)
    epochs: list[int] = []
    with pytest.raises(
        ModelError, match=r"the target domain has 6 rows of residuals .* a covariance of 6 bins needs more"
    ):
        Mahalanobis(BINS, **MODEL).fit(few, training=TRAINING, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == []
    monkeypatch.setattr(Mahalanobis, "difference", lambda _, windows: torch.zeros_like(windows))
    with pytest.raises(ModelError, match="the covariance of the source domain's residuals has no inverse"):
        Mahalanobis(BINS, **MODEL).fit(bank([None] * 5), training=TRAINING)


def test_the_network_is_that_of_the_published_baseline() -> None:
    train = bank_of(np.random.default_rng(0).normal(size=(2, 60, 128)).astype(np.float32), ["section_00"] * 2)
    for name, kind in (("mse", Autoencoder), ("mahalanobis", Mahalanobis)):
        recipe = load_recipe(f"dcase2023-{name}")
        (member,) = recipe.member
        model = kind(**member.model).fit(train, training=Training(epochs=1, batch_size=64))
        layers = [layer for layer in model.network if isinstance(layer, torch.nn.Linear)]
        assert [layer.in_features for layer in layers] == [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
        norms = [layer for layer in model.network if isinstance(layer, torch.nn.BatchNorm1d)]
        assert [norm.num_features for norm in norms] == [128, 128, 128, 128, 8, 128, 128, 128, 128]
        assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
        settings = recipe.training
        assert (settings.epochs, settings.batch_size, settings.learning_rate) == (100, 256, 1e-3)
