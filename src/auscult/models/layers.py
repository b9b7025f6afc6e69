"""Parts that several models share."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_linear_bn_eval

from auscult.errors import ModelError

ROWS, ROWS_ON_GPU = 2**12, 2**18
"""Frames whose statistics are taken at once."""
Random = torch.Generator | tuple[torch.Generator, ...] | None
"""Where random numbers come from: one generator, that of each member of a stack, or torch's own."""


def require_widths(family: str, hidden: Sequence[int], n_latent: int) -> None:
    """Check the widths of an auto-encoder's layers.

    Raises:
        ModelError: if one is no whole number of at least 1.
    """
    if not all(isinstance(width, int) and width > 0 for width in (*hidden, n_latent)):
        raise ModelError(f"{family}: hidden is {hidden!r}, n_latent {n_latent!r}; give whole numbers of at least 1")


N = TypeVar("N", bound=nn.Module)


def sharing(module: N, **parts: nn.Module) -> N:
    """A copy that shares the weights, with some of its parts replaced."""
    copied = copy(module)
    copied._modules = {**module._modules, **parts}
    return copied


def dense_block(n_in: int, n_out: int, *, momentum: float = 0.01) -> list[nn.Module]:
    """Dense, batch norm, ReLU; the norm with the constants of Keras, in which the baseline is written.

    Args:
        n_in: width of the input.
        n_out: units.
        momentum: share of the newest batch in the norm's running statistics.
    """
    return [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out, eps=1e-3, momentum=momentum), nn.ReLU(inplace=True)]


def fold_norms(network: nn.Sequential) -> nn.Sequential:
    """A copy for scoring: each batch norm folded into the dense layer before it, activations in place."""
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, nn.BatchNorm1d):
            layers[-1] = fuse_linear_bn_eval(cast(nn.Linear, layers[-1]), layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval()


def standardisation(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per bin `[F]` of frames `[N, F]`; a constant bin gets the deviation 1.

    In float64, block by block: all frames at once would fall out of the processor's cache, and fill the memory.
    """
    device = frames.device
    place = "cpu" if device.type == "mps" else device
    mean = torch.zeros(frames.shape[1], dtype=torch.float64, device=place)
    squares, n = torch.zeros_like(mean), 0  # sum of squared distances from the mean, over the first n frames
    for block in torch.split(frames, ROWS if device.type == "cpu" else ROWS_ON_GPU):
        variance, centre = torch.var_mean(block.to(place).double(), dim=0, correction=0)
        step, before = centre - mean, n
        n += len(block)
        squares += len(block) * (variance + step.square() * (before / n))
        mean += step * (len(block) / n)
    mean, deviation = _usable(mean, squares / n)
    return mean.to(device), deviation.to(device)


def clip_standardisation(frames: Tensor) -> tuple[Tensor, Tensor]:
    """The same of one clip `[N, F]` in one step, whatever its length: what an exporter can follow."""
    if frames.device.type == "mps":  # it has no float64
        return standardisation(frames)
    values = frames.double()
    mean = values.mean(dim=0)
    return _usable(mean, (values - mean).square().mean(dim=0))  # the exporter gets var_mean's float64 wrong


def _usable(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation in float32; the deviation of a constant bin is 1."""
    deviation = variance.sqrt()
    varies = deviation > 1e-6 * mean.abs()  # relative: linear spectrograms of quiet sounds are small throughout
    deviation = torch.where(varies, deviation, torch.ones_like(deviation))
    return mean.float(), deviation.float()


def dropout(x: Tensor, rate: float, generator: Random) -> Tensor:
    """Set values `[B, D]` to 0 at a rate and scale the others so that the mean stays, with a generator of our own.

    Sixteen random bits decide each value, which meets the rate to 1 / 65536: making random numbers is what costs, and
    this takes a quarter of what one number for each value takes.
    """
    if x.device.type == "mps":  # it has no random integers of 64 bits
        return x * (_each(torch.rand, x, generator) >= rate).float().div_(1 - rate)
    n_dropped = round(rate * 2**16)
    members = generator if isinstance(generator, tuple) else (generator,)
    size = x.numel() // len(members)
    words = torch.empty(len(members), -(-size // 4), dtype=torch.int64, device=x.device)
    for row, own in zip(words, members, strict=True):
        row.random_(-(2**63), None, generator=own)
    bits = words.view(torch.int16)[:, :size].reshape(x.shape)
    return x * (bits >= n_dropped - 2**15).float().mul_(2**16 / (2**16 - n_dropped))


def normal(like: Tensor, generator: Random) -> Tensor:
    """Standard normal numbers of the shape of another tensor."""
    return _each(torch.randn, like, generator)


def _each(draw: Callable[..., Tensor], like: Tensor, generator: Random) -> Tensor:
    """Random numbers of the shape of another tensor, in a stack by each member's own generator."""
    if not isinstance(generator, tuple):
        return draw(like.shape, generator=generator, device=like.device)
    return torch.stack([draw(like.shape[1:], generator=own, device=like.device) for own in generator])


def quantile(values: Tensor, share: float) -> Tensor:
    """Quantile over the first axis, linear between ranks as numpy's: each rank weighs 1 less its distance, if above 0.

    >>> float(quantile(torch.tensor([4.0, 1.0, 2.0, 3.0]), 0.5))
    2.5
    """
    ranks = torch.arange(values.shape[0], dtype=values.dtype)
    weights = F.relu(1 - (ranks - share * (values.shape[0] - 1)).abs())
    return weights @ values.sort(dim=0).values


def rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of a table: `[K, D]` and `[B]` -> `[B, D]`; in a stack `[M, K, D]` and `[M, B]` -> `[M, B, D]`."""
    if table.dim() == 2:
        return table[index]
    first = torch.arange(len(table), device=table.device)[:, None] * table.shape[1]
    return table.flatten(0, 1)[first + index]


def widened(x: Tensor) -> Tensor:
    """In float32 at least, after layers that may compute in bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
