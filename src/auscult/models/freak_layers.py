"""The network of FREAK, a WaveNet over frames: residual blocks and one more causal convolution.

The weights have the names and shapes of torch's norms and convolutions. What computes with them is in `freak_stage`.

References:
    van den Oord et al., WaveNet, arXiv:1609.03499; Wu and He, Group Normalization, arXiv:1803.08494.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.models.freak_stage import EPSILON, Folded, Norm, for_scoring, stage

PIECE_BYTES = 4 * 2**20
"""Size of one activation of the clips that a CPU works on at a time: about what stays in its caches."""


class Network(nn.Sequential):
    """Residual blocks with dilations 1, 2, 4, ..., then a norm and one more causal convolution.

    Args:
        n_bins: width F of a frame.
        hidden: channels of the blocks.
        n_layers: blocks.
        kernel: frames that a causal convolution sees.
        groups: bands into which every convolution divides the channels.
        norm: `"frame"`, over the channels of each frame, or `"clip"`, over channels and time of each clip.

    Shape:
        `[B, N, F]` -> `[B, N - receptive_field + 1, F]`.
    """

    def __init__(self, n_bins: int, hidden: int, *, n_layers: int, kernel: int, groups: int, norm: Norm) -> None:
        widths = [n_bins] + [hidden] * n_layers
        super().__init__(
            *(
                ResidualBlock(n_in, hidden, kernel=kernel, dilation=2**layer, groups=groups)
                for layer, n_in in enumerate(widths[:-1])
            ),
            Affine(hidden),
            convolution(hidden, n_bins, groups=groups, kernel=kernel, dilation=2**n_layers),
        )
        self.hidden, self.norm = hidden, norm
        self._kept: tuple[Any, list[list[Folded]]] = (None, [])

    def forward(self, x: Tensor) -> Tensor:
        """Predict the frame after each run of frames; in bfloat16 under such an autocast."""
        autocast = torch.is_autocast_enabled(x.device.type)
        dtype = torch.get_autocast_dtype(x.device.type) if autocast else x.dtype
        n_clips = len(x)
        if x.device.type == "cpu":
            n_clips = max(1, PIECE_BYTES // (x.shape[1] * self.hidden * dtype.itemsize))
        with torch.autocast(x.device.type, enabled=False):
            weights = self._folded(dtype)
            return torch.cat([self._predict(piece.to(dtype), weights) for piece in torch.split(x, n_clips)])

    def _predict(self, x: Tensor, weights: list[list[Folded]]) -> Tensor:
        y = x.transpose(0, 1).contiguous()  # [N, B, F]
        for block, folded in zip(self._blocks(), weights, strict=False):
            y = block.run(y, folded, self.norm)  # [N', B, hidden]
        y = stage(y, weights[-1][0], self.norm, dilation=2 ** (len(weights) - 1))
        return y.transpose(0, 1)  # [B, N - receptive_field + 1, F]

    def _blocks(self) -> list["ResidualBlock"]:
        return [module for module in self if isinstance(module, ResidualBlock)]

    def _folded(self, dtype: torch.dtype) -> list[list[Folded]]:
        """The weights of every stage; where nothing learns they are kept until a parameter changes."""
        version = (dtype, *((parameter.data_ptr(), parameter._version) for parameter in self.parameters()))
        if not torch.is_grad_enabled() and self._kept[0] == version:
            return self._kept[1]
        norm, last = cast(Affine, self[-2]), cast(nn.Conv2d, self[-1])
        stages = [*(block.folded() for block in self._blocks()), [fold(norm, last)]]
        weights = [[(weight.to(dtype), bias.to(dtype)) for weight, bias in folded] for folded in stages]
        if torch.is_grad_enabled():
            self._kept = (None, [])
            return weights
        weights = [[(for_scoring(weight), bias) for weight, bias in folded] for folded in weights]
        self._kept = (version, weights)
        return weights


class ResidualBlock(nn.Module):
    """A causal convolution, a gated unit and a convolution, beside a plain skip; a norm before each stage."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int, dilation: int, groups: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm_in, self.norm_gate, self.norm_out = Affine(n_in), Affine(n_out), Affine(n_out)
        self.causal = convolution(n_in, n_out, groups=groups, kernel=kernel, dilation=dilation)
        self.gate = convolution(n_out, n_out, groups=groups)
        self.value = convolution(n_out, n_out, groups=groups)
        self.out = convolution(n_out, n_out, groups=groups)
        self.skip = convolution(n_in, n_out, groups=groups)

    def folded(self) -> list[Folded]:
        """The weights of the four stages."""
        return [
            fold(self.norm_in, self.causal),
            fold(self.norm_gate, self.value, self.gate),
            fold(None, self.skip),
            fold(self.norm_out, self.out),
        ]

    def run(self, x: Tensor, weights: list[Folded], norm: Norm) -> Tensor:
        """Frames `[N, B, n_in]` -> `[N', B, n_out]`, `N' = N - (kernel - 1) * dilation`; each sees none after it."""
        causal, gated, skip, out = weights
        y = stage(x, causal, norm, "relu", dilation=self.dilation)  # [N', B, n_out]
        y = stage(y, gated, norm, "gate")  # [N', B, n_out]
        y = stage(y, out, norm, "relu")  # [N', B, n_out]
        return stage(x[-len(y) :], skip, onto=y)  # [N', B, n_out]


class PlainNetwork(nn.Module):
    """What `Network` computes, in torch's own operations: its test, and its form in ONNX. Shares the weights.

    Shape:
        `[B, N, F]` -> `[B, N - receptive_field + 1, F]`.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(network), network.norm

    def forward(self, x: Tensor) -> Tensor:
        """Predict the frame after each run of frames."""
        y = x.permute(0, 2, 1)[:, :, None]  # [B, F, 1, N]
        *blocks, norm, last = self.layers
        for block in blocks:
            y = self._run(cast(ResidualBlock, block), y)  # [B, hidden, 1, N']
        prediction: Tensor = last(self._normalised(y, cast(Affine, norm)))  # [B, F, 1, N - receptive_field + 1]
        return prediction[:, :, 0].permute(0, 2, 1)

    def _run(self, block: ResidualBlock, x: Tensor) -> Tensor:
        """`[B, n_in, 1, N]` -> `[B, n_out, 1, N']`."""
        y = F.relu(block.causal(self._normalised(x, block.norm_in)))
        y = self._normalised(y, block.norm_gate)
        y = torch.sigmoid(block.gate(y)) * F.relu(block.value(y))
        y = F.relu(block.out(self._normalised(y, block.norm_out)))
        skip: Tensor = block.skip(x[..., -y.shape[-1] :])
        return y + skip

    def _normalised(self, x: Tensor, affine: "Affine") -> Tensor:
        """`[B, C, 1, N]` with mean 0 and variance 1 over the channels of each frame, or over all; gain and bias."""
        y = x.permute(0, 2, 3, 1)  # [B, 1, N, C]
        y = F.layer_norm(y, y.shape[3:] if self.norm == "frame" else y.shape[1:], eps=EPSILON)
        return (y * affine.weight + affine.bias).permute(0, 3, 1, 2)


class Affine(nn.Module):
    """Gain and bias of a norm over C channels."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))


def convolution(n_in: int, n_out: int, *, groups: int, kernel: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Weights of a convolution over time, unpadded; two-dimensional, `[n_out, n_in / groups, 1, kernel]`."""
    return nn.Conv2d(n_in, n_out, (1, kernel), dilation=(1, dilation), groups=groups)


def fold(norm: Affine | None, *convolutions: nn.Conv2d) -> Folded:
    """Weights of convolutions that read the same normalised input, side by side in each group, gain and bias in them.

    From `W (gain * x + shift) + b` to `(W gain) x + (W shift + b)`.
    """
    groups = convolutions[0].groups
    weights = [c.weight.view(groups, -1, *c.weight.shape[1::2]) for c in convolutions]
    weight = torch.cat(weights, dim=1)  # [G, out, in, k]
    bias = torch.cat([cast(Tensor, c.bias).view(groups, -1) for c in convolutions], dim=1)  # [G, out]
    if norm is not None:
        gain, shift = norm.weight.view(groups, 1, -1, 1), norm.bias.view(groups, 1, -1, 1)
        bias = bias + (weight * shift).sum(dim=(2, 3))
        weight = weight * gain
    return weight.mT.contiguous(), bias.flatten()  # weight: [G, out, k, in]
