"""Spectrogram and network of YAMNet: a MobileNet that learnt the 521 classes of AudioSet.

References:
    Howard et al., MobileNets, 2017; Hershey et al., CNN architectures for large-scale audio classification, 2017.
"""

import torch
from torch import Tensor, nn

from auscult.features.mel import mel_frequencies

SAMPLE_RATE = 16000
N_FFT, WINDOW, STEP = 512, 400, 160
"""Of the spectrogram, in samples: Fourier transform, Hann window, distance of frames."""

N_MELS, LOWEST_HZ, HIGHEST_HZ, OFFSET = 64, 125.0, 7500.0, 0.001
"""Of the log-mel, on the HTK scale; the offset is added before the logarithm."""

PATCH = 96
"""Frames that the network sees at once."""

N_VALUES, N_CLASSES = 1024, 521

BLOCKS = (
    (32, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    *((512, 512, 1),) * 5,
    (512, 1024, 2),
    (1024, 1024, 1),
)
"""Channels in, channels out and stride of each depthwise convolution with the pointwise one behind it."""


class LogMelPatches(nn.Module):
    """The log-mel of a waveform at 16 kHz: magnitudes in triangles of height 1, which are straight in mel.

    Shape:
        `[T]` -> `[1 + (T - 400) // 160, 64]`.
    """

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW))
        self.register_buffer("filters", _filters())

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the log-mel."""
        frames = waveform.unfold(0, WINDOW, STEP) * self.window
        magnitudes = torch.fft.rfft(frames, N_FFT).abs()
        return torch.log(magnitudes @ self.filters + OFFSET)


class MobileNet(nn.Module):
    """The network, its batch norms folded into its convolutions.

    Shape:
        log-mel patches `[B, 1, 96, 64]` -> embeddings `[B, 1024]`; `scores` makes logits of them `[B, 521]`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(1, 32, 3, 2)])
        for n_in, n_out, stride in BLOCKS:
            self.convolutions.append(nn.Conv2d(n_in, n_in, 3, stride, padding=stride % 2, groups=n_in))
            self.convolutions.append(nn.Conv2d(n_in, n_out, 1))
        self.classifier = nn.Linear(N_VALUES, N_CLASSES)

    def forward(self, patches: Tensor) -> Tensor:
        """Compute the embeddings."""
        x = patches
        for convolution in self.convolutions:
            if convolution.stride == (2, 2):  # TensorFlow pads even sizes at their end alone
                x = nn.functional.pad(x, (0, 1, 0, 1))
            x = nn.functional.relu(convolution(x))
        return x.mean(dim=(2, 3))

    def scores(self, embeddings: Tensor) -> Tensor:
        """The logits of the classes."""
        logits: Tensor = self.classifier(embeddings)
        return logits


def _filters() -> Tensor:
    """Weights `[257, 64]` of the Fourier transform's bins in each mel band; TensorFlow's are straight in mel."""
    import numpy as np

    from auscult.features.mel import mel_of_hz

    edges = mel_of_hz(mel_frequencies(N_MELS + 2, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, mels="htk"), mels="htk")
    bins = mel_of_hz(np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE), mels="htk")[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    return torch.from_numpy(np.maximum(0, np.minimum(rising, falling)).astype(np.float32))
