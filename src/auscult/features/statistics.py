"""Statistics of a clip's frames over time: one vector for a clip of any length.

References:
    Guan et al., Time-weighted frequency domain audio representation with GMM estimator for anomalous sound detection,
    ICASSP 2023 (global weighted ranking pooling); Radenovic et al., Fine-tuning CNN image retrieval with no human
    annotation, 2019 (generalised mean); Wilkinghoff et al., Temporal pooling strategies for training-free anomalous
    sound detection with self-supervised audio embeddings, 2026 (relative deviation pooling).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from auscult.errors import ModelError


def clip_vector(frames: Tensor, statistics: Sequence[str] = ("mean",), ratio: float = 1.0) -> Tensor:
    """Statistics of frames `[N, F]` side by side in one vector `[F * len(statistics)]`.

    Args:
        frames: of one clip; of a single frame the mean is the frame.
        statistics: names in `STATISTICS`.
        ratio: of the mean, as `ranking_pooling`.
    """
    return torch.cat([STATISTICS[name](frames, ratio) for name in statistics])


def ranking_pooling(x: Tensor, ratio: float) -> Tensor:
    """Global weighted ranking pooling over time.

    Args:
        x: `[N, F]`.
        ratio: weight of the next smaller value of a bin, relative to the one before.

    Returns:
        `[F]`: the mean over time for 1, the maximum for 0.
    """
    if ratio == 1:  # nothing needs to be sorted for a mean
        return x.mean(dim=0)
    ranks = torch.arange(x.shape[0], dtype=x.dtype, device=x.device)
    weights = torch.as_tensor(ratio, dtype=x.dtype, device=x.device) ** ranks  # 0 ** 0 is 1
    return (weights / weights.sum()) @ x.sort(dim=0, descending=True).values


POWER = 3.0
"""Of the generalised mean."""

EMPHASIS = 4.0
"""Exponent of a frame's weight in relative deviation pooling."""


def generalised_mean(x: Tensor, power: float = POWER) -> Tensor:
    """Generalised mean over time `[F]` of `[N, F]`: between mean and maximum; values below 0 count as 0.

    For embeddings that are never negative, as those behind a rectifier.
    """
    largest = x.amax(dim=0).clamp(min=1e-12)  # powers of great numbers would overflow
    return largest * (x / largest).clamp(min=0).pow(power).mean(dim=0).pow(1 / power)


def relative_deviation_pooling(x: Tensor, emphasis: float = EMPHASIS) -> Tensor:
    """Weighted mean over time `[F]` of `[N, F]`: the further a frame is from the mean, the more it counts.

    A frame weighs `(1 + its distance from the mean over the greatest one) ** emphasis`.
    """
    distances = (x - x.mean(dim=0)).square().sum(dim=1).sqrt()
    weights = (1 + distances / distances.amax().clamp(min=1e-12)) ** emphasis
    return (weights / weights.sum()) @ x


STATISTICS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "mean": ranking_pooling,
    "deviation": lambda x, _: (x - x.mean(dim=0)).square().mean(dim=0).sqrt(),
    "flux": lambda x, _: (x[1:] - x[:-1]).abs().sum(dim=0) / max(x.shape[0] - 1, 1),
    "maximum": lambda x, _: x.amax(dim=0),
    "generalised": lambda x, _: generalised_mean(x),
    "relative": lambda x, _: relative_deviation_pooling(x),
}
"""Name -> function of frames `[N, F]` and of a ratio, which the mean alone reads, to `[F]`."""


def check_statistics(family: str, statistics: Any, ratio: float) -> tuple[str, ...]:
    """The statistics as a family keeps them.

    Raises:
        ModelError: if they are no list of different known names, or the ratio is none.
    """
    if not 0 <= ratio <= 1:
        raise ModelError(f"{family}: ratio is {ratio!r}; it must lie between 0, the maximum, and 1, the mean")
    if isinstance(statistics, str) or not statistics or not set(statistics) <= set(STATISTICS):
        raise ModelError(f"{family}: statistics is {statistics!r}; give a list of some of {', '.join(STATISTICS)}")
    if len(set(statistics)) < len(statistics):
        raise ModelError(f"{family}: statistics is {statistics!r}; name each once")
    return tuple(statistics)
