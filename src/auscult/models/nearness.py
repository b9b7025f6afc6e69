"""Distances to the nearest of many vectors, block by block, and the few of them that cover the rest."""

from collections.abc import Sequence

import torch
from torch import Tensor

PAIRS = 2**23
"""Distances that are held at once."""


def mean_nearest(
    x: Tensor, kept: Tensor, k: int, *, radii: Tensor | None = None, itself: Tensor | None = None
) -> Tensor:
    """Mean distance of vectors to their k nearest neighbours, or to as many as there are.

    Args:
        x: `[B, D]`, in float64: distances come from products, which lose half of the digits.
        kept: `[C, D]`, among which neighbours are sought.
        k: how many.
        radii: `[C]`, by which distances to the kept are divided.
        itself: `[B]`, place of the same vector among the kept, no neighbour of itself; -1 where it is not kept.

    Returns:
        `[B]`; NaN where there is no neighbour.
    """
    rows, found = max(1, PAIRS // len(kept)), []
    for begin in range(0, len(x), rows):
        distances = torch.cdist(x[begin : begin + rows], kept)
        if radii is not None:
            distances = distances / radii
        if itself is not None:
            own = itself[begin : begin + rows]
            distances[(own >= 0).nonzero()[:, 0], own[own >= 0]] = torch.inf
        smallest = distances.topk(min(k, len(kept)), largest=False).values
        finite = smallest.isfinite()
        found.append(torch.where(finite, smallest, 0.0).sum(dim=1) / finite.sum(dim=1))
    return torch.cat(found)


def k_centres(x: Tensor, count: int) -> Tensor:
    """Places, in order, of some of the vectors `[C, D]` such that none is far from all of them.

    Greedy: first the vector nearest to the mean, then always the one that is farthest from those chosen, which is at
    most twice as far as need be (Gonzalez, Clustering to minimize the maximum intercluster distance, 1985).
    """
    if count >= len(x):
        return torch.arange(len(x), device=x.device)
    chosen = [int(torch.linalg.vector_norm(x - x.mean(dim=0), dim=1).argmin())]
    distances = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
    for _ in range(count - 1):
        distances = torch.minimum(distances, torch.linalg.vector_norm(x - x[chosen[-1]], dim=1))
        chosen.append(int(distances.argmax()))
    return torch.tensor(sorted(set(chosen)), device=x.device)


def mixed(x: Tensor, others: Tensor, count: int) -> Tensor:
    """Vectors `[C * n, D]` on a fifth of the way from each of `[C, D]` to its n nearest of others `[O, D]`.

    Args:
        x: of which each gives n vectors, one behind the other.
        others: towards which they lie.
        count: how many of the nearest, n; as many as there are, if there are fewer.
    """
    nearest = torch.cdist(x, others).topk(min(count, len(others)), largest=False).indices
    return torch.lerp(x[:, None], others[nearest], 0.2).flatten(end_dim=1)


def mean_of_least(distances: Tensor, k: int) -> Tensor:
    """Mean of the k least of some distances, or of all if there are fewer."""
    return distances.topk(min(k, len(distances)), largest=False).values.mean()


def quotas(sizes: Sequence[int], most: int | None) -> list[int]:
    """How many clips to keep of banks of some sizes: small ones whole, the others alike.

    >>> quotas([990, 10, 400], 300)
    [145, 10, 145]
    """
    left, found = most or sum(sizes), list(sizes)
    for done, place in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        found[place] = max(1, min(sizes[place], left // (len(sizes) - done)))
        left -= found[place]
    return found


def means(x: Tensor, machines: Tensor) -> Tensor:
    """Mean of each machine's rows `[G, D]` of rows `[C, D]`."""
    return torch.stack([x[machines == machine].mean(dim=0) for machine in range(int(machines.max()) + 1)])


def usable(variances: Tensor) -> Tensor:
    """Variances `[G, D]`; a value that never varied is given the mean variance, or 1."""
    mean = float(variances.mean())
    return torch.where(variances > 1e-20 * mean, variances, mean or 1.0)


def known(x: Tensor) -> Tensor:
    """Positive distances `[C]`: where there was none to measure, or it is 0, the median of the others, or 1."""
    positive = x > 0  # NaN is not
    return torch.where(positive, x, x[positive].median() if positive.any() else torch.ones_like(x[0]))
