"""Parts that several models share."""

import torch
from torch import Tensor, nn


def dense_block(n_in: int, n_out: int) -> list[nn.Module]:
    """Dense, batch norm, ReLU; the norm with the constants of Keras, in which the baseline is written."""
    return [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out, eps=1e-3, momentum=0.01), nn.ReLU()]


def standardisation(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per bin `[F]` of frames `[N, F]`; a constant bin gets the deviation 1."""
    frames = frames.double()
    mean, deviation = frames.mean(dim=0), frames.std(dim=0, correction=0)
    deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
    return mean.float(), deviation.float()
