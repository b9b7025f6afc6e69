"""A member as a graph: from a waveform, or frames, to the score of a clip, in operations that ONNX has."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from auscult.errors import ExportError
from auscult.export.front_ends import EXPORTED, is_exported
from auscult.members.part import Part
from auscult.models.layers import quantile
from auscult.models.window import WindowModel
from auscult.scores.pooling import CAP_DEVIATIONS, WINDOW_SECONDS


class PartGraph(nn.Module):
    """A member with its pooling, and with what makes frames.

    Args:
        part: the member.
        front_end: from what the graph is given to the frames of the member's features.

    Shape:
        what the front end takes, float32: a waveform `[T]` at the rate of the features, or frames `[N, F]`; place of
        the machine among the model's ids `[]` int64, which only models that read ids read -> score `[]` float64, not
        standardised.

    Raises:
        ExportError: for a model that ONNX cannot express here.
    """

    def __init__(self, part: Part, front_end: nn.Module) -> None:
        super().__init__()
        features = part.front_end.features
        self.front_end = front_end
        self.model = part.model.plain()
        self.pooling = part.pooling or part.model.default_pooling
        self.window = max(1, round(WINDOW_SECONDS * features.frame_rate))

    def forward(self, x: Tensor, machine: Tensor) -> Tensor:
        """The score of a clip."""
        frames = self.front_end(x)
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


def obstacle(part: Part) -> str | None:
    """Why a member cannot be exported; none if it can."""
    features, pooling = part.front_end.features, part.pooling or part.model.default_pooling
    try:
        part.model.plain()
    except ExportError as error:
        return str(error)
    if part.front_end.denoiser is not None:
        return "its sound passes through a denoiser, which is not exported; leave such members out of the detector"
    if not is_exported(features):
        return (
            f"its features are {features.kind}, and only {', '.join(EXPORTED)} are exported; leave such members out of "
            "the detector"
        )
    if pooling not in (None, "mean", "median", "winmed", "winmed-sliding", "meancap"):
        return f"the pooling {pooling!r} is not exported; choose mean, median, winmed, winmed-sliding or meancap"
    return None


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


def write_graph(
    graph: nn.Module, example: Sequence[Tensor], path: Path, *, least: int, names: Sequence[str], output: str
) -> None:
    """Write a graph as one ONNX file.

    Args:
        graph: to be written.
        example: of what it is given; the first length of the first one is left open.
        path: of the file.
        least: that length is at least.
        names: of what the graph is given.
        output: name of what it gives.
    """
    length = torch.export.Dim("length", min=least)
    with _quiet(), torch.no_grad():
        program = torch.export.export(
            graph.eval(),
            tuple(example),
            dynamic_shapes=({0: length}, *[None] * (len(example) - 1)),
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        onnx = torch.onnx.export(program, input_names=list(names), output_names=[output], verbose=False)
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
