"""Front ends as graphs: from a waveform to frames, in operations that ONNX has."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult.features.base import Features
from auscult.features.log_mel import EPS, LogMel
from auscult.features.modulation import EPS as MODULATION_EPS
from auscult.features.modulation import WHOLE, Modulation
from auscult.features.onnx_encoder import OnnxEncoder
from auscult.features.statistics import clip_vector
from auscult.features.vectors import Statistics
from auscult.features.yamnet import LENGTH, Yamnet
from auscult.features.yamnet_network import N_FFT, OFFSET, PATCH, STEP, WINDOW, LogMelPatches


class LogMelGraph(nn.Module):
    """What `LogMel` computes, with the Fourier transform as two products with matrices, in float64.

    The matrices are made of one table of cosines and one of sines when the graph is loaded, so that the file is small.

    Shape:
        `[T]` -> `[N, F]`.
    """

    cosines: Tensor
    sines: Tensor
    window: Tensor
    filters: Tensor

    def __init__(self, features: LogMel) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.scale = features.n_fft, features.hop_length, features.scale
        angles = 2 * math.pi / features.n_fft * torch.arange(features.n_fft, dtype=torch.float64)
        self.register_buffer("cosines", angles.cos())
        self.register_buffer("sines", angles.sin())
        self.register_buffer("window", features._window.double())
        self.register_buffer("filters", features._filters)

    def forward(self, waveform: Tensor) -> Tensor:
        """Frames of a waveform of at least `n_fft` samples."""
        margin, within = self.n_fft // 2, torch.arange(self.n_fft)
        n_frames = 1 + (waveform.shape[0] + 2 * margin - self.n_fft) // self.hop_length
        padded = F.pad(waveform.double(), (margin, margin))
        places = torch.arange(n_frames)[:, None] * self.hop_length + within  # [N, n_fft]
        frames = padded[places] * self.window
        turns = within[:, None] * torch.arange(self.n_fft // 2 + 1) % self.n_fft  # [n_fft, n_fft // 2 + 1]
        power = (frames @ self.cosines[turns]).square() + (frames @ self.sines[turns]).square()
        mel = power.float() @ self.filters
        if self.scale == "log":
            # The exporter takes EPS for 0 and drops it; divided by EPS, a power of two, the sum is the same number.
            return (10 * (mel / EPS + 1).double().log10() + 10 * math.log10(EPS)).float()
        return mel.sqrt() if self.scale == "sqrt" else mel


class ModulationGraph(nn.Module):
    """What `Modulation` computes, in float64; `[T]` -> `[1, F]`."""

    window: Tensor
    bands: Tensor
    octaves: Tensor

    def __init__(self, features: Modulation) -> None:
        super().__init__()
        self.n_fft, self.hop_length = features.n_fft, features.hop_length
        self.step = features.hop_length / features.sample_rate
        self.register_buffer("window", torch.hann_window(features.n_fft).double())
        self.register_buffer("bands", features._bands.double())
        self.register_buffer("octaves", torch.tensor(features.modulation_frequencies))

    def forward(self, waveform: Tensor) -> Tensor:
        """The vector of a waveform of at least `least_samples`."""
        n_frames = 1 + (waveform.shape[0] - self.n_fft) // self.hop_length
        places = torch.arange(n_frames)[:, None] * self.hop_length + torch.arange(self.n_fft)
        envelopes = (_power(waveform.double()[places] * self.window, 1) @ self.bands).sqrt()  # [N, n_bands]
        whole = (n_frames + WHOLE - 1) // WHOLE * WHOLE
        energies = _power(F.pad(envelopes - envelopes.mean(dim=0), (0, 0, 0, whole - n_frames)), 0)  # [L, n_bands]
        frequencies = torch.arange(whole // 2 + 1) / (whole * self.step)
        ratios = frequencies / self.octaves[:, None]
        within = ((ratios >= 2**-0.5) & (ratios < 2**0.5)).double()
        means = energies.T @ within.T / (n_frames * whole)
        decibels = 10 * (means / MODULATION_EPS + 1).log10() + 10 * math.log10(MODULATION_EPS)
        return decibels.flatten()[None].float()


def _power(x: Tensor, dim: int) -> Tensor:
    """Of the Fourier transform over an axis."""
    spectrum = torch.fft.rfft(x, dim=dim)
    power: Tensor = spectrum.real.square() + spectrum.imag.square()
    return power


class YamnetGraph(nn.Module):
    """What `Yamnet` computes, of at least one whole window; `[T]` -> `[N, 1024]`."""

    cosines: Tensor
    sines: Tensor
    filters: Tensor

    def __init__(self, features: Yamnet) -> None:
        super().__init__()
        front_end, self.network, self.hop = LogMelPatches(), features.network(), features.hop_frames
        turns = torch.arange(WINDOW)[:, None] * torch.arange(N_FFT // 2 + 1) % N_FFT
        angles = 2 * math.pi / N_FFT * turns.double()
        bell = front_end.window.double()[:, None]
        self.register_buffer("cosines", (bell * angles.cos()).float())
        self.register_buffer("sines", (bell * angles.sin()).float())
        self.register_buffer("filters", front_end.filters)

    def forward(self, waveform: Tensor) -> Tensor:
        """Embeddings; the last window is filled up with silence."""
        n_samples, hop = waveform.shape[0], self.hop * STEP
        n_windows = 1 + (n_samples - LENGTH + hop - 1) // hop
        n_frames = (n_windows - 1) * self.hop + PATCH
        places = torch.arange(n_frames)[:, None] * STEP + torch.arange(WINDOW)
        frames = torch.where(places < n_samples, waveform[places.clamp(max=n_samples - 1)], 0.0)
        magnitudes = ((frames @ self.cosines).square() + (frames @ self.sines).square()).sqrt()
        mel = torch.log(magnitudes @ self.filters + OFFSET)
        patches = mel[torch.arange(n_windows)[:, None] * self.hop + torch.arange(PATCH)]
        embeddings: Tensor = self.network(patches[:, None])
        return embeddings


class WindowsGraph(nn.Module):
    """What an encoder's graph is given: windows of samples `[T]` or of frames `[L, F]`, `[N, W]` or `[N, W, F]`.

    Args:
        features: the encoder.
        before: makes the frames that it is given; the identity where it is given samples.
    """

    def __init__(self, features: OnnxEncoder, before: nn.Module) -> None:
        super().__init__()
        self.before, self.scale, self.offset = before, features.scale, features.offset
        self.window, self.hop = features.in_units
        self.whole, self.turned = features.sees == "clip", features.turned

    def forward(self, x: Tensor) -> Tensor:
        """Cut, scale, and turn."""
        values = self.before(x) * self.scale + self.offset
        if self.whole:
            windows = values[None]
        else:
            starts = torch.arange(1 + (values.shape[0] - self.window) // self.hop)
            windows = values[starts[:, None] * self.hop + torch.arange(self.window)]
        turned: Tensor = windows.transpose(1, 2) if self.turned else windows
        return turned


class StatisticsGraph(nn.Module):
    """What `Statistics` makes of the frames of its other features; `[1, F * len(statistics)]`."""

    def __init__(self, features: Statistics, before: nn.Module) -> None:
        super().__init__()
        self.before, self.statistics, self.ratio = before, features.statistics, features.ratio

    def forward(self, x: Tensor) -> Tensor:
        """The vector of a sound."""
        return clip_vector(self.before(x), self.statistics, self.ratio)[None]


INLINE: dict[type[Features], Callable[..., nn.Module]] = {LogMel: LogMelGraph, Modulation: ModulationGraph}
"""Features -> what computes them in the graph of a member: quick, and made for each."""

EXPORTED = ("log_mel", "modulation", "statistics", "yamnet", "onnx")
"""Kinds of features that are exported."""


def least_samples(features: Features, n_frames: int) -> int:
    """The shortest waveform that a graph makes so many frames of, in samples."""
    if isinstance(features, Statistics):
        return least_samples(features.inner, 1)
    if isinstance(features, Modulation):
        return features.least_samples
    if isinstance(features, Yamnet):
        return LENGTH + (n_frames - 1) * features.hop_frames * STEP
    if isinstance(features, OnnxEncoder):
        window, hop = features.in_units
        least = window + (n_frames - 1) * hop
        return least if features.before is None else least_samples(features.before, least)
    assert isinstance(features, LogMel)
    return max(features.n_fft, (n_frames - 1) * features.hop_length + features.n_fft % 2)


def is_exported(features: Features) -> bool:
    """Whether there are graphs of features, and of those that they are made of."""
    if isinstance(features, Statistics):
        return is_exported(features.inner)
    if isinstance(features, OnnxEncoder):
        return features.before is None or is_exported(features.before)
    return features.kind in EXPORTED
