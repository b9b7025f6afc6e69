"""FREAK's network in plain operations, with the weights of the fast one.

References:
    van den Oord et al., WaveNet, arXiv:1609.03499; Wu and He, Group Normalization, arXiv:1803.08494.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult.models.freak_layers import Affine, Network, ResidualBlock
from auscult.models.freak_stage import EPSILON, Norm


class PlainNetwork(nn.Module):
    """The same as `Network`, for one clip.

    Shape:
        `[1, N, F]` -> `[1, N - receptive_field + 1, F]`.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(network), network.norm

    def forward(self, x: Tensor) -> Tensor:
        """Predict the frame after each run of frames."""
        y = x.permute(0, 2, 1)[:, :, None]  # [1, F, 1, N]
        *blocks, norm, last = self.layers
        for block in blocks:
            y = _run(cast(ResidualBlock, block), y, self.norm)  # [1, hidden, 1, N']
        prediction: Tensor = last(_normalised(y, cast(Affine, norm), self.norm))  # [1, F, 1, N - receptive_field + 1]
        return prediction[:, :, 0].permute(0, 2, 1)


def _run(block: ResidualBlock, x: Tensor, norm: Norm) -> Tensor:
    """`[1, n_in, 1, N]` -> `[1, n_out, 1, N']`."""
    y = F.relu(block.causal(_normalised(x, block.norm_in, norm)))
    y = _normalised(y, block.norm_gate, norm)
    y = torch.sigmoid(block.gate(y)) * F.relu(block.value(y))
    y = F.relu(block.out(_normalised(y, block.norm_out, norm)))
    skip: Tensor = block.skip(x[..., -y.shape[-1] :])
    return y + skip


def _normalised(x: Tensor, affine: Affine, norm: Norm) -> Tensor:
    """`[1, C, 1, N]` with mean 0 and variance 1 over the channels of each frame, or over all; then gain and bias."""
    y = x.permute(0, 2, 3, 1)  # [1, 1, N, C]
    y = F.layer_norm(y, y.shape[3:] if norm == "frame" else y.shape[1:], eps=EPSILON)
    return (y * affine.weight + affine.bias).permute(0, 3, 1, 2)
