"""A small convolutional network that makes one vector of a spectrogram of any length."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from auscult.errors import ModelError

MOST = 8
"""Convolutions, each of which halves time and frequency."""


def require_channels(family: str, channels: Sequence[int]) -> None:
    """Check the channels of convolutions.

    Raises:
        ModelError: if there is none, or there are too many, or one is no whole number of at least 1.
    """
    if not 1 <= len(channels) <= MOST or not all(isinstance(width, int) and width > 0 for width in channels):
        raise ModelError(f"{family}: channels is {channels!r}; give 1 to {MOST} whole numbers of at least 1")


def random_crops(clips: Sequence[NDArray[np.float32]], crop: int, options: dict[str, Any]) -> Tensor:
    """A part of each clip `[N, F]`, from anywhere in it: `[B, crop, F]`.

    Args:
        clips: none shorter than the crop.
        crop: in frames.
        options: generator and device.
    """
    shares = torch.rand(len(clips), **options).tolist()
    starts = [int(share * (len(clip) - crop + 1)) for share, clip in zip(shares, clips, strict=True)]
    crops = np.stack([clip[start : start + crop] for clip, start in zip(clips, starts, strict=True)])
    return torch.tensor(crops, device=options["device"])


class Convolutions(nn.Module):
    """Convolutions of 3 x 3 with stride 2, batch norm and ReLU; then mean and maximum over time, and a dense layer.

    Args:
        n_bins: width F of a frame.
        channels: of the convolutions.
        n_out: width D of the vector.

    Shape:
        `[B, N, F]` -> `[B, D]`.
    """

    def __init__(self, n_bins: int, channels: Sequence[int], n_out: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_filters in pairwise((1, *channels)):
            layers += [nn.Conv2d(n_in, n_filters, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(n_filters)]
            layers += [nn.ReLU(inplace=True)]
            n_bins = (n_bins + 1) // 2
        self.layers = nn.Sequential(*layers)
        self.dense = nn.Linear(2 * channels[-1] * n_bins, n_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The vector."""
        maps = self.layers(x[:, None]).transpose(1, 2).flatten(2)  # [B, N', channels * F']
        out: Tensor = self.dense(torch.cat([maps.mean(dim=1), maps.amax(dim=1)], dim=1))
        return out
