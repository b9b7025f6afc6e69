"""Spectrogram and audio network of OpenL3 (Cramer et al., Look, Listen and Learn More, ICASSP 2019)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from auscult.features.mel import Mels, mel_filters
from auscult.features.openl3_weights import CHANNELS, SAMPLE_RATE, Generation, Input, Size

N_MELS: dict[Input, int] = {"mel256": 256, "mel128": 128}
"""Mel bins of each input."""

N_FFT, HOP_LENGTH, N_FRAMES = 2048, 242, 199
"""Of the spectrogram of one window, in samples, and in frames."""

FLOOR_DB = -80.0
"""Lowest value of a spectrogram, whose maximum is 0."""

POOLED = (1, 3, 5)
"""Convolutions, counted from 0, behind which the map is halved on both axes."""

EPSILON = 1e-3
"""Added to the variance in batch normalisation, as in Keras."""


class WindowSpectrogram(nn.Module):
    """The spectrogram of each window: decibels below its maximum, which is why loudness does not count.

    The FFT is computed in float64: the spectrogram reaches 160 dB of power down, where float32 rounds to noise.

    Args:
        input: which spectrogram, `"mel256"` or `"mel128"`.
        generation: `"0.2"` pads a window with 982 zeros on both sides, `"0.4"` with 1964 at its end.
        mels: `"htk"`, the root of the power in filters on the HTK scale; `"slaney"`, the magnitude in filters on
            Slaney's scale.

    Shape:
        `[B, 48000]` -> `[B, n_mels, 199]`.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, input: Input = "mel256", *, generation: Generation = "0.2", mels: Mels = "htk") -> None:
        super().__init__()
        self.mels = mels
        padding = (N_FRAMES - 1) * HOP_LENGTH + N_FFT - SAMPLE_RATE
        self.padding = (padding // 2, padding // 2) if generation == "0.2" else (0, padding)
        filters = mel_filters(SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS[input], mels=mels)
        self.register_buffer("filters", torch.from_numpy(filters).T.contiguous())  # [1025, n_mels]
        self.register_buffer("window", torch.hann_window(N_FFT, dtype=torch.float64))

    def forward(self, windows: Tensor) -> Tensor:
        """Compute the spectrograms of windows, one at a time so that each stays in the cache."""
        return torch.stack([self._one(window) for window in windows])

    def _one(self, window: Tensor) -> Tensor:
        """The spectrogram of one window: `[48000]` -> `[n_mels, 199]`."""
        padded = nn.functional.pad(window.double(), self.padding)
        frames = padded.unfold(0, N_FFT, HOP_LENGTH) * self.window  # [199, 2048]
        spectrum = torch.fft.rfft(frames)  # [199, 1025]; three times as fast as torch.stft
        power = torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)
        mel = (power.float() @ self.filters).sqrt() if self.mels == "htk" else power.sqrt().float() @ self.filters
        decibels = mel.clamp(min=1e-10).log10_().mul_(10)  # [199, n_mels]
        return (decibels - decibels.max()).clamp_(min=FLOOR_DB).T


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
