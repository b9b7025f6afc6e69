"""Low-rank adaptation: a network learns on by small additions to its weights, and is as large and fast as before.

References:
    Hu et al., LoRA: low-rank adaptation of large language models, ICLR 2022.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from auscult.errors import ModelError


class LowRank(nn.Module):
    """A weight and what was learnt beside it: `weight + up @ down`, of a rank that is small.

    Args:
        weight: `[out, ...]`; it stays as it is.
        rank: of the addition, at most.
        generator: draws `down`; `up` is 0, so that the network begins as it was.
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        n_out, n_in = weight.shape[0], weight[0].numel()
        rank = min(rank, n_out, n_in)
        drawn = torch.randn(rank, n_in, generator=generator) / math.sqrt(n_in)
        self.down = nn.Parameter(drawn.to(weight.device))
        self.up = nn.Parameter(weight.new_zeros(n_out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight as it is used."""
        return weight + (self.up @ self.down).view_as(weight)


def add_low_rank(network: nn.Module, rank: int, generator: torch.Generator) -> None:
    """Freeze a network, and let its linear layers and whole convolutions learn on at a rank; depthwise ones do not.

    Raises:
        ModelError: if the rank is none, or the network has no such layer.
    """
    if rank < 1:
        raise ModelError(f"the rank of an adaptation is {rank}; give at least 1")
    layers = [layer for layer in network.modules() if _learns(layer)]
    if not layers:
        raise ModelError("the network has no linear layer and no convolution over all channels; nothing can be adapted")
    network.requires_grad_(False)
    for layer in layers:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        parametrize.register_parametrization(layer, "weight", LowRank(weight, rank, generator))


def merge_low_rank(network: nn.Module) -> None:
    """Take what was learnt into the weights; the network has the layers and the names that it had before."""
    for layer in list(network.modules()):
        if _learns(layer) and parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")


def _learns(layer: nn.Module) -> bool:
    convolution = isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.groups == 1
    return convolution or isinstance(layer, nn.Linear)
