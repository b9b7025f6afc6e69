"""Gaussians that models score by: densities as buffers, and covariances that stay well-conditioned."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from auscult.errors import ModelError

Array = NDArray[np.float64]

EIGENVALUE_FLOOR = 1e-8
"""Least eigenvalue of a correlation matrix: a direction without variance must not divide."""


class GaussianMixture(nn.Module):
    """A mixture of K normal densities over vectors of F values, in float64.

    Args:
        n_values: F.
        n_components: K; 1 is a plain normal density.

    Attributes:
        means: `[K, F]`.
        whitening: `[K, F, F]`: divides by the bins' deviations, then multiplies by the symmetric inverse root of the
            correlations. Of all maps that whiten it leaves each value closest to its own bin (Kessy, Lewin and
            Strimmer, Optimal whitening and decorrelation, 2018), whatever the bins' units.
        constants: logarithm of weight and normaliser of each component `[K]`.
    """

    means: Tensor
    whitening: Tensor
    constants: Tensor

    def __init__(self, n_values: int, n_components: int = 1) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(n_components, n_values, dtype=torch.float64))
        self.register_buffer("whitening", torch.zeros(n_components, n_values, n_values, dtype=torch.float64))
        self.register_buffer("constants", torch.zeros(n_components, dtype=torch.float64))

    def set_components(self, means: ArrayLike, covariances: ArrayLike, weights: ArrayLike = (1.0,)) -> None:
        """Take over means `[K, F]`, covariances `[K, F, F]` and weights `[K]`."""
        means, covariances = np.asarray(means, dtype=np.float64), np.asarray(covariances, dtype=np.float64)
        deviations = np.stack([_deviations(covariance) for covariance in covariances])  # [K, F]
        variances, axes = np.linalg.eigh(covariances / (deviations[:, :, None] * deviations[:, None, :]))
        variances = np.maximum(variances, EIGENVALUE_FLOOR)  # [K, F], along axes [K, F, F], one per column
        whitening = (axes / np.sqrt(variances)[:, None, :]) @ axes.transpose(0, 2, 1) / deviations[:, :, None]
        halves = 0.5 * np.log(variances).sum(axis=1) + np.log(deviations).sum(axis=1)  # of the log determinants
        constants = np.log(weights) - halves - 0.5 * means.shape[1] * np.log(2 * np.pi)
        for buffer, values in ((self.means, means), (self.whitening, whitening), (self.constants, constants)):
            buffer.copy_(torch.from_numpy(values))

    def whitened(self, x: Tensor) -> Tensor:
        """Vectors `[B, F]` as each component sees them, `[K, B, F]`: standard normal where the density is true."""
        return (x.double() - self.means[:, None]) @ self.whitening

    def forward(self, x: Tensor) -> Tensor:
        """Negative log likelihood `[B]` of vectors `[B, F]`."""
        distances = self.whitened(x).square().sum(dim=2)  # [K, B]
        return -torch.logsumexp(self.constants[:, None] - 0.5 * distances, dim=0)


class Welford:
    """Running mean and covariance in one pass, in float64; the order and the size of the chunks change only rounding.

    Args:
        n_values: width F of a row.

    Attributes:
        n: rows seen so far.
        mean: of the rows seen so far `[F]`.

    References:
        Welford, Technometrics 1962; in chunks: Chan, Golub, LeVeque 1983.

    >>> statistics = Welford(2).update([[0.0, 1.0], [2.0, 3.0]]).update([[4.0, 8.0]])
    >>> statistics.mean.tolist(), statistics.covariance().tolist()
    ([2.0, 4.0], [[4.0, 7.0], [7.0, 13.0]])
    """

    def __init__(self, n_values: int) -> None:
        self.n = 0
        self.mean: Array = np.zeros(n_values)
        self._products: Array = np.zeros((n_values, n_values))  # sum over rows of (x - mean)(x - mean)^T

    def update(self, rows: ArrayLike) -> "Welford":
        """Take in rows `[C, F]`; returns itself.

        Raises:
            ModelError: for rows of another width.
        """
        x = np.asarray(rows, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ModelError(f"rows have the shape {x.shape}; give [C, {len(self.mean)}]")
        if len(x):
            mean = x.mean(axis=0)
            step, total = mean - self.mean, self.n + len(x)
            self._products = (
                self._products + (x - mean).T @ (x - mean) + np.outer(step, step) * (self.n * len(x) / total)
            )
            self.mean, self.n = self.mean + step * (len(x) / total), total
        return self

    def covariance(self, *, correction: int = 1) -> Array:
        """Covariance `[F, F]` of the rows: the sum of products divided by `n - correction`.

        Raises:
            ModelError: for too few rows.
        """
        if self.n <= correction:
            raise ModelError(f"a covariance needs more than {correction} rows; {self.n} were given")
        return self._products / (self.n - correction)


def shrunk_covariance(covariance: Array, n: int) -> Array:
    """Shrink a covariance towards its diagonal, as far as the number of vectors behind it demands.

    The oracle approximating shrinkage (Chen, Wiesel, Eldar, Hero 2010) of the correlation matrix: its share needs only
    the matrix and `n`, which is all that one pass by Welford leaves, while Ledoit and Wolf's needs fourth moments.
    Working on the correlations, it does not care for the units of the bins, and it keeps the
    variances.

    Args:
        covariance: of n vectors, divided by n `[F, F]`.
        n: number of vectors.

    Returns:
        `[F, F]`; the share of the diagonal vanishes as n grows.
    """
    deviations = _deviations(covariance)
    correlation = covariance / np.outer(deviations, deviations)
    mean_square, mean_variance = float((correlation**2).mean()), float(correlation.diagonal().mean())
    rest = (n + 1) * (mean_square - mean_variance**2 / len(covariance))
    share = 1.0 if rest <= 0 else min(1.0, (mean_square + mean_variance**2) / rest)
    shrunk: Array = (1 - share) * covariance + share * np.diag(deviations**2)
    return shrunk


def _deviations(covariance: Array) -> Array:
    """Standard deviations `[F]`; a bin that never varied is given the root mean variance of all, or 1."""
    variances = covariance.diagonal()
    mean = float(variances.mean())
    return np.sqrt(np.where(variances > 1e-20 * mean, variances, mean or 1.0))
