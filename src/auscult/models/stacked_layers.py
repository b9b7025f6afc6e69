"""Layers of several members as one: their weights side by side `[M, ...]`, their products in one call."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.errors import ModelError


class StackedLinear(nn.Module):
    """Dense layers of M members.

    Args:
        layers: of the members; from now on their weights are views of this layer's.
        before_norm: batch norm follows, which takes features first in memory.

    Shape:
        `[M, B, n_in]`, or `[B, n_in]` for all members alike -> `[M, B, n_out]`.
    """

    def __init__(self, layers: Sequence[nn.Linear], *, before_norm: bool) -> None:
        super().__init__()
        self.before_norm = before_norm
        self.weight = nn.Parameter(side_by_side([layer.weight for layer in layers]))
        self.bias = nn.Parameter(side_by_side([layer.bias for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        """One batched product."""
        x = x.expand(len(self.weight), *x.shape[-2:])
        if self.before_norm:
            return torch.baddbmm(self.bias[:, :, None], self.weight, x.mT).mT
        return torch.baddbmm(self.bias[:, None], x.contiguous(), self.weight.mT)


class StackedBatchNorm(nn.Module):
    """Batch norms of M members, as one norm of M times as many features.

    Args:
        norms: of the members; from now on their weights and running statistics are views of this layer's.

    Shape:
        `[M, B, D]` -> `[M, B, D]`, features first in memory.
    """

    def __init__(self, norms: Sequence[nn.BatchNorm1d]) -> None:
        super().__init__()
        self.eps, self.momentum = norms[0].eps, cast(float, norms[0].momentum)
        self.weight = nn.Parameter(side_by_side([norm.weight for norm in norms]))
        self.bias = nn.Parameter(side_by_side([norm.bias for norm in norms]))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, side_by_side([cast(Tensor, getattr(norm, name)) for norm in norms]))

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Mean and variance over each member's own batch."""
        if self.training:
            self.num_batches_tracked += 1
        y = F.batch_norm(
            x.mT.reshape(1, -1, x.shape[1]),
            self.running_mean.flatten(),
            self.running_var.flatten(),
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            self.momentum,
            self.eps,
        )
        return y.view(x.mT.shape).mT


def stack_modules(modules: Sequence[nn.Module], *, before_norm: bool = False) -> nn.Module:
    """One module for M of the same build: dense layers and batch norms stacked, all else as in the first.

    Args:
        modules: from now on their weights are views of the stack's, so that each is trained with it.
        before_norm: whether batch norm follows.

    Raises:
        ModelError: if a module has weights of another kind.
    """
    first = modules[0]
    if isinstance(first, nn.Linear):
        return StackedLinear([cast(nn.Linear, module) for module in modules], before_norm=before_norm)
    if isinstance(first, nn.BatchNorm1d):
        return StackedBatchNorm([cast(nn.BatchNorm1d, module) for module in modules])
    if isinstance(first, nn.ReLU):
        return nn.ReLU()  # in place it would change a view, whose gradient takes copies
    if next(first.parameters(recurse=False), None) is not None:
        raise ModelError(f"{type(first).__name__} cannot be part of a stack; train these models one by one")
    shell = copy.copy(first)
    shell._modules = {}
    children = list(first.named_children())
    for index, (name, _) in enumerate(children):
        norm_follows = index + 1 < len(children) and isinstance(children[index + 1][1], nn.BatchNorm1d)
        parts = [module.get_submodule(name) for module in modules]
        shell._modules[name] = stack_modules(parts, before_norm=norm_follows)
    return shell


def side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape as `[M, ...]`, of which they become views."""
    stacked = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, own in zip(tensors, stacked, strict=True):
        tensor.data = own
    return stacked


def take_apart(module: nn.Module) -> None:
    """Give a member of a stack memory of its own again."""
    for tensor in module.state_dict(keep_vars=True).values():
        tensor.data = tensor.data.clone()
