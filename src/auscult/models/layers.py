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


def dropout_mask(
    n_rows: int, width: int, rate: float, *, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Mask `[B, width]` of a layer: 0 at the given rate, elsewhere what keeps the mean.

    Sixteen random bits decide each unit, so that the rate is met to 1 / 65536: a quarter of the random numbers, which
    are what dropout costs.
    """
    n_values, n_dropped = n_rows * width, round(rate * 2**16)
    words = torch.empty(-(-n_values // 4), dtype=torch.int64, device=device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[:n_values].view(n_rows, width)
    return (bits >= n_dropped - 2**15).float().mul_(2**16 / (2**16 - n_dropped))
