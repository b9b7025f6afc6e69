"""One-pass mean and covariance: equal to numpy's, whatever the order and the chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.errors import ModelError
from auscult.models.density import Welford


def rows_far_from_zero(seed: int) -> np.ndarray:
    """Correlated rows whose mean is a thousand times their spread, where a sum of squares would lose digits."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(57, 6)) @ generator.normal(size=(6, 6)) + 1000 * generator.normal(size=6)


@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 57), max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_order_and_any_chunks_give_numpys_covariance(seed: int, cuts: list[int]) -> None:
    rows = rows_far_from_zero(seed)
    shuffled = np.random.default_rng(seed + 1).permutation(rows)
    statistics = Welford(6)
    for chunk in np.split(shuffled, sorted(cuts)):  # some chunks are empty
        statistics.update(chunk)
    assert statistics.n == 57
    np.testing.assert_allclose(statistics.mean, rows.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(statistics.covariance(), np.cov(rows.T), rtol=0, atol=1e-10 * np.cov(rows.T).max())


@pytest.mark.parametrize("correction", [0, 1])
def test_row_by_row_agrees_with_numpy(correction: int) -> None:
    rows = rows_far_from_zero(3)
    one_by_one = Welford(6)
    for row in rows:
        one_by_one.update(row[None])
    expected = np.cov(rows.T, ddof=correction)
    np.testing.assert_allclose(one_by_one.covariance(correction=correction), expected, atol=1e-10 * expected.max())


def test_single_precision_rows_are_summed_in_double_precision() -> None:
    rows = (np.random.default_rng(0).normal(size=(10_000, 2)) + 3000).astype(np.float32)
    np.testing.assert_allclose(Welford(2).update(rows).covariance(), np.cov(rows.astype(np.float64).T), atol=1e-10)


def test_taking_in_rows_leaves_earlier_results_alone() -> None:
    first = Welford(6).update(rows_far_from_zero(1))
    mean, covariance = first.mean, first.covariance()
    kept = mean.copy(), covariance.copy()
    first.update(rows_far_from_zero(2))
    np.testing.assert_array_equal(mean, kept[0])
    np.testing.assert_array_equal(covariance, kept[1])


def test_bad_rows_are_refused() -> None:
    with pytest.raises(ModelError, match=r"\(2, 3\).*\[C, 4\]"):
        Welford(4).update(np.zeros((2, 3)))
    with pytest.raises(ModelError, match="more than 1 rows; 1 were given"):
        Welford(4).update(np.zeros((1, 4))).covariance()


def test_statistics_of_a_bank_are_those_of_all_its_frames_at_once() -> None:
    """Far from 0, in more blocks than one, the last of them short; and a bin that never changes."""
    import torch

    from auscult.models.layers import ROWS, standardisation

    frames = torch.randn(3 * ROWS + 17, 5, generator=torch.Generator().manual_seed(0)) * 0.01 - 100
    frames[:, 4] = 3.0
    mean, deviation = standardisation(frames)
    torch.testing.assert_close(mean, frames.double().mean(dim=0).float(), rtol=0, atol=0)
    expected = frames.double().std(dim=0, correction=0).float()
    expected[4] = 1.0
    torch.testing.assert_close(deviation, expected, rtol=1e-6, atol=0)
