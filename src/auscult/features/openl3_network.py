"""The audio network of OpenL3 (Cramer et al., Look, Listen and Learn More, ICASSP 2019), for inference."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from auscult.features.openl3_weights import Input, Size

N_MELS: dict[Input, int] = {"mel256": 256, "mel128": 128}
"""Mel bins of each input."""

N_FRAMES = 199
"""Frames of the spectrogram of one window."""

CHANNELS = (1, 64, 64, 128, 128, 256, 256, 512, 512)
"""Channels of the input and behind each convolution."""

POOLED = (1, 3, 5)
"""Convolutions, counted from 0, behind which the map is halved on both axes."""

EPSILON = 1e-3
"""Added to the variance in batch normalisation, as in Keras."""


class AudioNetwork(nn.Module):
    """Spectrogram in, embedding out: eight 3x3 convolutions, each but the last with batch norm and ReLU.

    The map before the last pooling is 8 times smaller than the input on both axes. What is trained are 4,687,042
    parameters; they do not depend on the input nor on the size of the embedding.

    Args:
        input: which spectrogram, `"mel256"` or `"mel128"`.
        size: of the embedding E: 512 is one value per channel, 6144 keeps 4 x 3 places.

    Shape:
        `[B, 1, n_mels, 199]` -> `[B, E]`.
    """

    def __init__(self, input: Input = "mel256", size: Size = 512) -> None:
        super().__init__()
        places = (1, 1) if size == 512 else (4, 3)
        map_size = (N_MELS[input] // 8, N_FRAMES // 8)
        self.pool = (map_size[0] // places[0], map_size[1] // places[1])
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, eps=EPSILON) for channels in CHANNELS[:-1])
        self.convolutions = nn.ModuleList(nn.Conv2d(*channels, 3, padding=1) for channels in pairwise(CHANNELS))

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Embed spectrograms in decibels: `[B, 1, n_mels, 199]` -> `[B, E]`."""
        x = self.norms[0](spectrogram)  # [B, 1, n_mels, 199]
        for index, convolution in enumerate(self.convolutions):
            x = convolution(x)  # [B, channels, height, width]
            if index < len(self.convolutions) - 1:
                x = nn.functional.relu_(self.norms[index + 1](x))
            if index in POOLED:
                x = nn.functional.max_pool2d(x, 2)
        x = nn.functional.max_pool2d(x, self.pool)  # [B, 512, 1, 1] or [B, 512, 4, 3]
        return x.permute(0, 2, 3, 1).flatten(1)  # the channel is the fastest axis, as in Keras

    def fold(self) -> "AudioNetwork":
        """Move every norm but the first into the convolution before it, channels last: the same function, faster.

        The first norm stands before a convolution that pads its input with zeros, and cannot be moved. For inference
        alone; gives itself back.
        """
        from torch.nn.utils.fusion import fuse_conv_bn_eval

        self.eval()
        for index, (convolution, norm) in enumerate(zip(self.convolutions[:-1], self.norms[1:], strict=True)):
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            self.convolutions[index] = fuse_conv_bn_eval(convolution, norm)
            self.norms[index + 1] = nn.Identity()
        for parameter in self.convolutions.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self


def n_parameters(network: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
