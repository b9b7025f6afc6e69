"""Densities: equal to scipy's and scikit-learn's, finite where the data do not suffice."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.covariance import oas
from sklearn.mixture import GaussianMixture as SklearnMixture

from auscult.models.density import GaussianMixture, shrunk_covariance


@pytest.fixture
def rows() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(80, 5)) @ generator.normal(size=(5, 5)) + 2


def test_one_component_is_the_normal_density(rows: np.ndarray) -> None:
    mean, covariance = rows.mean(axis=0), np.cov(rows.T)
    density = GaussianMixture(5)
    density.set_components(mean[None], covariance[None])
    expected = -multivariate_normal(mean, covariance).logpdf(rows)
    np.testing.assert_allclose(density(torch.from_numpy(rows)).numpy(), expected, rtol=1e-10)


def test_a_mixture_has_the_density_of_scikit_learns(rows: np.ndarray) -> None:
    fitted = SklearnMixture(3, random_state=0).fit(rows)
    density = GaussianMixture(5, 3)
    density.set_components(fitted.means_, fitted.covariances_, fitted.weights_)
    np.testing.assert_allclose(density(torch.from_numpy(rows)).numpy(), -fitted.score_samples(rows), rtol=1e-8)


def test_whitened_values_are_uncorrelated_and_stay_with_their_bins(rows: np.ndarray) -> None:
    density = GaussianMixture(5)
    density.set_components(rows.mean(axis=0)[None], np.cov(rows.T)[None])
    whitened = density.whitened(torch.from_numpy(rows))[0].numpy()
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(5), atol=1e-8)
    shares = np.corrcoef(whitened.T, rows.T)[:5, 5:]
    assert (shares.argmax(axis=0) == np.arange(5)).all()
    diagonal = np.diag([4.0, 1.0, 0.25, 9.0, 1.0])
    density.set_components(np.zeros((1, 5)), diagonal[None])
    np.testing.assert_allclose(density.whitening[0].numpy(), np.diag([0.5, 1, 2, 1 / 3, 1]), atol=1e-12)


def test_bins_that_never_vary_leave_the_density_finite() -> None:
    density = GaussianMixture(3)
    density.set_components(np.zeros((1, 3)), np.diag([1.0, 0.0, 1.0])[None])
    usual, odd = density(torch.tensor([[0.5, 0.0, 0.5], [0.5, 1.0, 0.5]]))
    assert torch.isfinite(odd)
    assert odd > usual


@pytest.mark.parametrize("n", [3, 10, 200])
def test_the_shrinkage_is_scikit_learns_on_standardised_rows(n: int) -> None:
    generator = np.random.default_rng(n)
    rows = generator.normal(size=(n, 8)) @ generator.normal(size=(8, 8)) * 10.0 ** np.arange(-4, 4)
    rows -= rows.mean(axis=0)
    deviation = rows.std(axis=0)
    expected = oas(rows / deviation, assume_centered=True)[0] * np.outer(deviation, deviation)
    np.testing.assert_allclose(shrunk_covariance(rows.T @ rows / n, n), expected, rtol=1e-8)


def test_a_covariance_of_few_vectors_is_well_conditioned_and_fits_new_ones_better() -> None:
    generator = np.random.default_rng(0)
    n_values, n = 64, 70
    truth = 0.9 ** np.abs(np.subtract.outer(np.arange(n_values), np.arange(n_values)))
    rows, new = (generator.multivariate_normal(np.zeros(n_values), truth, size=size) for size in (n, 500))
    plain = np.cov(rows.T, ddof=0)
    shrunk = shrunk_covariance(plain, n)
    assert np.linalg.cond(shrunk) < 1000 < np.linalg.cond(plain)
    np.testing.assert_allclose(shrunk.diagonal(), plain.diagonal())
    density, losses = GaussianMixture(n_values), []
    for covariance in (plain, shrunk):
        density.set_components(rows.mean(axis=0)[None], covariance[None])
        losses.append(float(density(torch.from_numpy(new)).mean()))
    assert losses[1] < losses[0] - n_values


def test_the_shrinkage_vanishes_with_many_vectors() -> None:
    covariance = np.array([[2.0, 1.0], [1.0, 3.0]])
    np.testing.assert_allclose(shrunk_covariance(covariance, 10**9), covariance, rtol=1e-6)
