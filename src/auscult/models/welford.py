"""Mean and covariance in one pass over the data (Welford, Technometrics 1962; in chunks: Chan, Golub, LeVeque 1983)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.errors import ModelError

Array = NDArray[np.float64]


class Welford:
    """Running mean and covariance in float64; the order and the size of the chunks change only rounding.

    Args:
        n_values: width F of a row.

    Attributes:
        n: rows seen so far.
        mean: of the rows seen so far `[F]`.

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
