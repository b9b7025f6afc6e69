"""A member as one graph: from a waveform to the score of a clip, in operations that ONNX has."""

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult.errors import ExportError
from auscult.features.base import Features
from auscult.features.log_mel import EPS, LogMel
from auscult.features.modulation import EPS as MODULATION_EPS
from auscult.features.modulation import WHOLE, Modulation
from auscult.members.part import Part
from auscult.models.layers import quantile
from auscult.models.window import WindowModel
from auscult.scores.pooling import CAP_DEVIATIONS, WINDOW_SECONDS


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


class PartGraph(nn.Module):
    """A member with its front end and its pooling.

    Args:
        part: the member.

    Shape:
        waveform `[T]` float32 at the rate of the features, place of the machine among the model's ids `[]` int64, which
        only models that read ids read -> score `[]` float64, not standardised.

    Raises:
        ExportError: for a member that ONNX cannot express here; see `obstacle`.
    """

    def __init__(self, part: Part) -> None:
        super().__init__()
        if (reason := obstacle(part)) is not None:
            raise ExportError(f"{part.name} cannot be exported: {reason}")
        features = part.front_end.features
        self.front_end: nn.Module = GRAPHS[type(features)](features)
        self.model = part.model.plain()
        self.pooling = part.pooling or part.model.default_pooling
        self.window = max(1, round(WINDOW_SECONDS * features.frame_rate))

    def forward(self, waveform: Tensor, machine: Tensor) -> Tensor:
        """The score of a clip."""
        frames = self.front_end(waveform)
        scores = self.model.plain_scores(frames, machine)
        return scores if self.pooling is None else self._pooled(scores.double())

    def _pooled(self, scores: Tensor) -> Tensor:
        """The score of a clip from those of its windows `[N']`, as `auscult.scores.pooling.pool`."""
        if self.pooling == "mean":
            return scores.mean()
        if self.pooling == "median":
            return quantile(scores, 0.5)
        if self.pooling == "meancap":
            assert isinstance(self.model, WindowModel)
            margin = CAP_DEVIATIONS * self.model.frame_score_deviation
            middle = self.model.frame_score_mean
            return scores.clamp(middle - margin, middle + margin).mean()
        return windowed_median(scores, self.window, sliding=self.pooling == "winmed-sliding")


GRAPHS: dict[type[Features], Callable[..., nn.Module]] = {LogMel: LogMelGraph, Modulation: ModulationGraph}
"""Features -> what computes them in a graph."""


def obstacle(part: Part) -> str | None:
    """Why a member cannot be exported; none if it can."""
    features, pooling = part.front_end.features, part.pooling or part.model.default_pooling
    try:
        part.model.plain()
    except ExportError as error:
        return str(error)
    if part.front_end.denoiser is not None:
        return "its sound passes through a denoiser, which is not exported; leave such members out of the detector"
    if type(features) not in GRAPHS:
        kinds = " and ".join(kind.kind for kind in GRAPHS)
        return (
            f"its features are {features.kind}, and only {kinds} are exported; leave such members out of the detector"
        )
    if pooling not in (None, "mean", "median", "winmed", "winmed-sliding", "meancap"):
        return f"the pooling {pooling!r} is not exported; choose mean, median, winmed, winmed-sliding or meancap"
    return None


def least_samples(part: Part) -> int:
    """The shortest waveform that a member scores, in samples."""
    features = part.front_end.features
    if isinstance(features, Modulation):
        return features.least_samples
    assert isinstance(features, LogMel)
    return max(features.n_fft, (part.model.frame_context - 1) * features.hop_length + features.n_fft % 2)


def windowed_median(scores: Tensor, window: int, *, sliding: bool) -> Tensor:
    """Mean of the medians of windows of scores `[N]` by their lengths, as `auscult.scores.pooling.winmed`.

    Every window of every start is sorted, what lies behind the end as infinity; then those that count are averaged.
    """
    n = scores.shape[0]
    starts, within = torch.arange(n), torch.arange(window)
    places = starts[:, None] + within  # [N, window]
    held = torch.where(places < n, scores[places.clamp(max=n - 1)], torch.inf).sort(dim=1).values
    middle = (torch.clamp(n - starts, max=window) - 1).to(scores.dtype) / 2
    weights = F.relu(1 - (within.to(scores.dtype) - middle[:, None]).abs())
    medians = torch.where(weights > 0, held * weights, 0.0).sum(dim=1)
    counts = (starts <= torch.clamp(starts[-1] + 1 - window, min=0)) if sliding else starts % window == 0
    lengths = torch.where(counts, torch.clamp(n - starts, max=window), 0).to(scores.dtype)
    return (medians * lengths).sum() / lengths.sum()


def write_graph(part: Part, path: Path) -> None:
    """Write the graph of a member as one ONNX file with the inputs `waveform` and `machine` and the output `score`.

    Raises:
        ExportError: as `PartGraph`.
    """
    features = part.front_end.features
    graph = PartGraph(part).eval()
    if isinstance(features, LogMel):
        # The exporter takes a size that can be 1 for a constant; the graph is right for a single window all the same.
        least = max(features.n_fft, features.hop_length * part.model.frame_context) + features.n_fft % 2
    else:
        least = least_samples(part)
    example = torch.zeros(2 * least + 5000), torch.tensor(0)
    length = torch.export.Dim("samples", min=least)
    with _quiet(), torch.no_grad():
        program = torch.export.export(
            graph,
            example,
            dynamic_shapes={"waveform": {0: length}, "machine": None},
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        onnx = torch.onnx.export(program, input_names=["waveform", "machine"], output_names=["score"], verbose=False)
    assert onnx is not None
    onnx.save(path, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on packages that it does not need and on torch's own old calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)
