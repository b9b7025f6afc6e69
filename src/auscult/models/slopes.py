"""Slopes of a score along a straight way: what each value of a clip adds to it.

References:
    Sundararajan et al., Axiomatic attribution for deep networks (integrated gradients), ICML 2017.
"""

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 16
"""Points of the way at which slopes are taken."""


def mean_slope(score: Callable[[Tensor], Tensor], start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Mean slope of a score on the way between two inputs, and the way; the sum of their product is the difference.

    Args:
        score: of inputs `[B, ...]` -> `[B]`, without effects of one on another.
        start: `[...]`, or what can be expanded to it.
        end: `[...]`.
    """
    with torch.inference_mode(False), torch.enable_grad():
        way = end.clone() - start
        shares = (torch.arange(STEPS, device=way.device) + 0.5) / STEPS
        points = (start + shares.view(-1, *[1] * way.dim()) * way).requires_grad_()
        (slopes,) = torch.autograd.grad(score(points).sum(), points)
        return slopes.mean(dim=0), way
