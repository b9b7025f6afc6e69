"""Models of windows: each window of `context` frames is scored on its own, and a clip by pooling its windows."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.models.base import Model
from auscult.scores.pooling import pool
from auscult.training import Training


class WindowModel(Model):
    """Base of the auto-encoders.

    Args:
        n_bins: width F of a frame.
        context: frames per window.

    Shape:
        A window is flattened frame by frame: `[B, context * F]`.
    """

    default_pooling: ClassVar[str | None] = "mean"
    per_member: ClassVar[Mapping[str, int | None]] = {}
    """Arguments by which members of a stack (`auscult.models.stacking`) may differ.

    In the shell of the stack a tensor `[M, 1, ...]` with a number of axes of length 1 takes the argument's place, where
    the loss uses it; none is given where it does not.
    """

    def __init__(self, *, n_bins: int, context: int) -> None:
        super().__init__(n_bins=n_bins)
        if not isinstance(context, int) or context < 1:
            raise ModelError(f"{self.family}: context is {context!r}; it must be a whole number of at least 1")
        self.context = self.frame_context = context
        self.n_values = context * n_bins
        for name in ("frame_score_mean", "frame_score_deviation"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    frame_score_mean: Tensor
    frame_score_deviation: Tensor

    @abstractmethod
    def window_scores(self, windows: Tensor, machine_id: str) -> Tensor:
        """Scores `[B]` of windows `[B, context * F]`."""

    @abstractmethod
    def window_maps(self, windows: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Named errors `[B, context * F]` of windows `[B, context * F]`, the one that the score averages first."""

    def sample(self, training: Training, length: int) -> tuple[dict[str, Any], list[int]]:
        """Two clips, whose windows are one batch."""
        return self.arguments, [max(1, training.batch_size // 2) + self.context - 1] * 2

    def epoch_units(self, *, clips: int, frames: int, shortest: int) -> float:
        """All windows."""
        return frames - clips * (self.context - 1)

    def batches(self, frames: Tensor, bank: Bank, training: Training) -> Iterable[Any]:
        """See `draws` and `batch`."""
        windows = self.windows(frames, bank)
        for chunk in chunks(self.draws(bank, frames.device), training.batch_size):
            yield self.batch(windows, *chunk)

    def windows(self, frames: Tensor, bank: Bank) -> Tensor:
        """All windows `[sum N - context + 1, context * F]`, of which batches are made; some lie across two clips."""
        return window_view(frames, self.context)

    def draws(self, bank: Bank, device: torch.device) -> tuple[Tensor, ...]:
        """What an epoch consists of, drawn with `self.generator`: here the first frames of all windows `[W]`."""
        starts = self.trained(window_starts(bank, self.context, device=device))
        return (starts[torch.randperm(len(starts), generator=self.generator, device=device)],)

    def trained(self, starts: Tensor) -> Tensor:
        """Of the first frames of all windows, in the order of the clips, those that are trained on."""
        return starts

    def batch(self, windows: Tensor, starts: Tensor, *drawn: Tensor) -> Any:
        """A batch for the loss, from a part of the draws: here the windows `[B, context * F]`."""
        return windows[starts]

    def fit_scores(self, bank: Bank) -> None:
        """Mean and standard deviation of all training frames' scores, for the pooling `meancap`."""
        scores = torch.cat([self.clip_frame_scores(frames, id_).double() for frames, id_ in self._clips(bank)])
        self.frame_score_mean, self.frame_score_deviation = scores.mean(), scores.std(correction=0)

    def clip_frame_scores(self, frames: Tensor, machine_id: str) -> Tensor:
        """`[N, F]` -> `[N - context + 1]`."""
        return self.window_scores(window_view(frames, self.context), machine_id)

    def clip_score(self, frames: Tensor, machine_id: str, pooling: str | None, frame_rate: float | None) -> float:
        """Pooled frame scores."""
        return pool(
            self.clip_frame_scores(frames, machine_id).double().cpu().numpy(),
            pooling or self.default_pooling or "mean",
            frame_rate=frame_rate,
            training_frames=(float(self.frame_score_mean), float(self.frame_score_deviation)),
        )

    def clip_maps(self, frames: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Each map is the mean over the windows that hold a frame: `[N, F]`."""
        maps = self.window_maps(window_view(frames, self.context), machine_id)
        return {name: self._overlapped(errors) for name, errors in maps.items()}

    def plain(self) -> Self:
        """All operations are plain as they are."""
        return self

    def plain_scores(self, frames: Tensor, machine: Tensor) -> Tensor:
        """Scores of the windows."""
        places = torch.arange(frames.shape[0] - self.context + 1)[:, None] + torch.arange(self.context)
        return self.plain_window_scores(frames[places].flatten(start_dim=1), machine)

    def plain_window_scores(self, windows: Tensor, machine: Tensor) -> Tensor:
        """Scores `[B]` of windows `[B, context * F]`, as ONNX can say it."""
        return self.window_scores(windows, "")

    def _overlapped(self, errors: Tensor) -> Tensor:
        """Mean over overlapping windows `[W, context * F]` -> `[W + context - 1, F]`."""
        count = len(errors)
        errors = errors.view(count, self.context, self.n_bins)
        total = errors.new_zeros(count + self.context - 1, self.n_bins)
        weight = errors.new_zeros(count + self.context - 1, 1)
        for position in range(self.context):
            total[position : position + count] += errors[:, position]
            weight[position : position + count] += 1
        return total / weight


def chunks(draws: Sequence[Tensor], size: int) -> Iterator[tuple[Tensor, ...]]:
    """Draws `[..., W]` in parts of a size; the last one is shorter."""
    for chunk in zip(*(torch.split(draw, size, dim=-1) for draw in draws), strict=True):
        if chunk[0].shape[-1] > 1:  # batch norm cannot learn from a single window; each epoch leaves out another
            yield chunk


def window_view(frames: Tensor, context: int) -> Tensor:
    """All windows of contiguous frames `[N, F]` as a view `[N - context + 1, context * F]`, frame by frame."""
    n_frames, n_bins = frames.shape
    return frames.as_strided((n_frames - context + 1, context * n_bins), (n_bins, 1))


def window_starts(bank: Bank, context: int, *, device: torch.device) -> Tensor:
    """First frame of every window that lies within one clip `[W]`."""
    offsets = torch.as_tensor(bank.offsets)
    starts = [torch.arange(int(first), int(last) - context + 1) for first, last in pairwise(offsets)]
    return torch.cat(starts).to(device)
