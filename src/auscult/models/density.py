"""Gaussians that models score by: densities as buffers, and covariances that stay well-conditioned."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]

VARIANCE_FLOOR = 1e-8
"""Least variance in any direction, relative to the mean variance of the bins: what does not vary cannot divide."""


class GaussianMixture(nn.Module):
    """A mixture of K normal densities over vectors of F values, in float64.

    Args:
        n_values: F.
        n_components: K; 1 is a plain normal density.

    Attributes:
        means: `[K, F]`.
        whitening: the symmetric inverse square roots of the covariances `[K, F, F]`: of all maps that whiten, the one
            that moves the vectors least, so that a whitened value still belongs to its bin.
        constants: logarithm of weight and normaliser of each component `[K]`.
    """

    means: Tensor
    whitening: Tensor
    constants: Tensor

    def __init__(self, n_values: int, n_components: int = 1) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(n_components, n_values, dtype=torch.float64))
        self.register_buffer("whitening", torch.eye(n_values, dtype=torch.float64).repeat(n_components, 1, 1))
        self.register_buffer("constants", torch.zeros(n_components, dtype=torch.float64))

    def set_components(self, means: ArrayLike, covariances: ArrayLike, weights: ArrayLike = (1.0,)) -> None:
        """Take over means `[K, F]`, covariances `[K, F, F]` and weights `[K]`, variances raised to the floor."""
        means, covariances = np.asarray(means, dtype=np.float64), np.asarray(covariances, dtype=np.float64)
        variances, axes = np.linalg.eigh(covariances)  # [K, F], [K, F, F]: an axis per column
        variances = np.maximum(variances, VARIANCE_FLOOR * variances.mean(axis=1, keepdims=True) + 1e-300)
        whitening = (axes / np.sqrt(variances)[:, None, :]) @ axes.transpose(0, 2, 1)
        constants = np.log(weights) - 0.5 * (np.log(variances).sum(axis=1) + means.shape[1] * np.log(2 * np.pi))
        for buffer, values in ((self.means, means), (self.whitening, whitening), (self.constants, constants)):
            buffer.copy_(torch.from_numpy(values))

    def whitened(self, x: Tensor) -> Tensor:
        """Vectors `[B, F]` as each component sees them, `[K, B, F]`: standard normal where the density is true."""
        return (x.double() - self.means[:, None]) @ self.whitening

    def forward(self, x: Tensor) -> Tensor:
        """Negative log likelihood `[B]` of vectors `[B, F]`."""
        distances = self.whitened(x).square().sum(dim=2)  # [K, B]
        return -torch.logsumexp(self.constants[:, None] - 0.5 * distances, dim=0)


def shrunk_covariance(covariance: Array, n: int) -> Array:
    """Shrink a covariance towards its diagonal, as far as the number of vectors behind it demands.

    The oracle approximating shrinkage (Chen, Wiesel, Eldar, Hero 2010) of the correlation matrix: its share needs only
    the matrix and `n`, which is all that one pass by Welford leaves, while Ledoit and Wolf's needs fourth moments.
    Working on the correlations, it does not care for the units of the bins, and it keeps every variance.

    Args:
        covariance: of n vectors, divided by n `[F, F]`.
        n: number of vectors.

    Returns:
        `[F, F]`; the share of the diagonal vanishes as n grows.
    """
    variances = covariance.diagonal()
    scale = np.sqrt(np.maximum(variances, VARIANCE_FLOOR * variances.mean() + 1e-300))
    correlation = covariance / np.outer(scale, scale)
    mean_square, mean_variance = float((correlation**2).mean()), float(correlation.diagonal().mean())
    rest = (n + 1) * (mean_square - mean_variance**2 / len(covariance))
    share = 1.0 if rest <= 0 else min(1.0, (mean_square + mean_variance**2) / rest)
    shrunk: Array = (1 - share) * covariance + share * np.diag(scale**2)
    return shrunk
