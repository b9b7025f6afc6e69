"""Auto-encoder conditioned on the machine id (Daniluk et al., DCASE 2020 Task 2 report, section 3)."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.models.layers import clip_standardisation, dense_block, rows, standardisation
from auscult.models.window import WindowModel, window_view
from auscult.training import Training

Norm = Literal["l1", "l2"]
Standardise = Literal["bank", "clip"]

ENCODER = (128, 64, 32, 16)
DECODER = (128, 128, 128, 128)
CONDITIONING = 16
"""Units of the layers of the three networks (report, table 2); the encoder's last are the code's, D."""

MOMENTUM = 0.1
"""Of the batch norms, ours; with a tenth of it the statistics lag so far behind that short trainings score badly."""

Batch = tuple[Tensor, Tensor, Tensor]
"""Standardised windows `[B, context * F]`, labels `[B]`, and whether each label is the match `[B]`."""


class IDCAE(WindowModel):
    """Reconstructs a window under the label of its machine, and gives a constant under every other label.

    Args:
        n_bins: width F of a frame.
        context: frames per window.
        alpha: probability that a training window comes with its matching label.
        target: the constant that is to come out under a non-matching label, in standardised units.
        norm: `"l1"`, the absolute error; `"l2"`, the squared error; each a mean over the values.
        windows_per_clip: windows drawn from each clip in an epoch, with replacement.
        conditioning_sigmoid: a sigmoid also behind the last layer of the conditioning networks.
        standardise: each bin to zero mean and unit variance over the training frames, `"bank"`, or over the frames of
            each clip, `"clip"`.

    Shape:
        `[B, context * F]` and labels `[B]` -> `[B, context * F]`.

    Raises:
        ModelError: for an argument out of range, a training on a single machine id, or an id that was not trained.
    """

    family: ClassVar[str] = "idcae"
    knows_ids: ClassVar[bool] = True
    default_training: ClassVar[Training] = Training(epochs=100, batch_size=512, decay=0.95, decay_every=5)
    free_arguments: ClassVar[frozenset[str]] = frozenset({"alpha", "target", "norm", "conditioning_sigmoid"})
    per_member: ClassVar[Mapping[str, int | None]] = {"alpha": None, "target": 2}

    def __init__(
        self,
        n_bins: int = 128,
        *,
        context: int = 10,
        alpha: float = 0.75,
        target: float = 5.0,
        norm: Norm = "l1",
        windows_per_clip: int = 300,
        conditioning_sigmoid: bool = False,
        standardise: Standardise = "bank",
    ) -> None:
        super().__init__(n_bins=n_bins, context=context)
        self.alpha, self.target, self.norm, self.windows_per_clip = alpha, target, norm, windows_per_clip
        self.conditioning_sigmoid, self.standardise = conditioning_sigmoid, standardise
        if not 0 < alpha <= 1:
            raise ModelError(f"idcae: alpha is {alpha!r}; it must be greater than 0 and at most 1")
        if not isinstance(windows_per_clip, int) or windows_per_clip < 1:
            raise ModelError(f"idcae: windows_per_clip is {windows_per_clip!r}; give a whole number of at least 1")
        if not math.isfinite(target):
            raise ModelError(f"idcae: target is {target!r}; it must be a finite number")
        if norm not in get_args(Norm):
            raise ModelError(f"idcae: norm is {norm!r}; choose one of {', '.join(get_args(Norm))}")
        if standardise not in get_args(Standardise):
            raise ModelError(f"idcae: standardise is {standardise!r}; choose one of {', '.join(get_args(Standardise))}")
        self.register_buffer("mean", torch.zeros(n_bins))
        self.register_buffer("deviation", torch.ones(n_bins))

    mean: Tensor
    deviation: Tensor

    def build(self) -> None:
        """Make E, D, H_gamma and H_beta for the ids."""
        if len(self.ids) < 2:
            raise ModelError(
                f"idcae: the training clips have one machine id only, {self.ids[0]!r}, and the model learns from the "
                "differences between ids; give clips of at least two, or choose another family"
            )
        self.encoder = nn.Sequential(*_blocks([self.n_values, *ENCODER]))
        self.decoder = nn.Sequential(*_blocks([ENCODER[-1], *DECODER]), nn.Linear(DECODER[-1], self.n_values))
        self.gamma, self.beta = self._conditioning(), self._conditioning()

    def sample(self, training: Training, length: int) -> tuple[dict[str, Any], list[int]]:
        """Two clips of half a batch each."""
        arguments, lengths = super().sample(training, length)
        return {**arguments, "windows_per_clip": max(1, training.batch_size // 2)}, lengths

    def epoch_units(self, *, clips: int, frames: int, shortest: int) -> float:
        """The windows that are drawn."""
        return clips * self.windows_per_clip

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """Mean and standard deviation per bin, unless each clip has its own."""
        if self.standardise == "bank":
            self.mean, self.deviation = standardisation(frames)

    def windows(self, frames: Tensor, bank: Bank) -> Tensor:
        """Standardised windows."""
        if self.standardise == "bank":
            frames = self._standardised(frames)
        else:
            frames = torch.cat([self._standardised(clip) for clip in torch.split(frames, bank.lengths.tolist())])
        return window_view(frames, self.context)

    def draws(self, bank: Bank, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Random windows of every clip, each with its match or with another label drawn uniformly.

        First frames, labels, and whether each label is the match: `[W]` each.
        """
        generator, n_ids = self.generator, len(self.ids)
        n_starts = torch.as_tensor(bank.lengths, device=device)[:, None] - self.context + 1  # [C, 1]
        uniform = torch.rand(
            bank.n_clips, self.windows_per_clip, dtype=torch.float64, generator=generator, device=device
        )
        starts = torch.as_tensor(bank.offsets[:-1], device=device)[:, None] + (uniform * n_starts).long()
        matches = torch.tensor([self.ids.index(id_) for id_ in bank.ids], device=device)
        order = torch.randperm(starts.numel(), generator=generator, device=device)
        starts, matches = starts.flatten()[order], matches.repeat_interleave(self.windows_per_clip)[order]

        is_match = torch.rand(len(order), generator=generator, device=device) < self.alpha
        step = torch.randint(1, n_ids, (len(order),), generator=generator, device=device)
        return starts, torch.where(is_match, matches, (matches + step) % n_ids), is_match

    def batch(self, windows: Tensor, starts: Tensor, *drawn: Tensor) -> Batch:
        """Windows with their labels."""
        labels, is_match = drawn
        return windows[starts], labels, is_match

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """D(H(E(X), l)) with H(Z, l) = H_gamma(l) * Z + H_beta(l)."""
        code = self.encoder(x)  # [B, D]
        one_hot = torch.eye(len(self.ids), dtype=code.dtype, device=x.device)  # [K, K]: one for each of the K ids
        gamma, beta = rows(self.gamma(one_hot), labels), rows(self.beta(one_hot), labels)  # [B, D]
        output: Tensor = self.decoder(gamma * code + beta)  # [B, context * F]
        return output

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean error; under the match of the reconstruction, under a non-match of the constant."""
        x, labels, is_match = batch
        wanted = torch.where(is_match[..., None], x, self.target)
        output = self(x, labels)
        errors: Tensor = MeanError.apply(output, wanted, self.norm)  # type: ignore[no-untyped-call]  # torch has no hints
        match, non_match = is_match.float(), (~is_match).float()
        return {
            "loss": errors.mean(dim=-1),
            "match": (errors * match).sum(dim=-1) / match.sum(dim=-1).clamp(min=1),
            "non_match": (errors * non_match).sum(dim=-1) / non_match.sum(dim=-1).clamp(min=1),
        }

    def clip_frame_scores(self, frames: Tensor, machine_id: str) -> Tensor:
        """Frame scores of one clip, standardised first."""
        return super().clip_frame_scores(self._standardised(frames), machine_id)

    def clip_maps(self, frames: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Maps of one clip, standardised first."""
        return super().clip_maps(self._standardised(frames), machine_id)

    def window_scores(self, windows: Tensor, machine_id: str) -> Tensor:
        """Mean error of standardised windows under the matching label."""
        return self._errors(windows, self.place_of(machine_id)).mean(dim=1)

    def window_maps(self, windows: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Error of each value under the matching label, and under the other label that errs least over the clip."""
        match = self.place_of(machine_id)
        others = [self._errors(windows, label) for label in range(len(self.ids)) if label != match]
        return {
            "error under the matching label": self._errors(windows, match),
            "error under the best non-matching label": min(others, key=lambda errors: float(errors.mean())),
        }

    def plain_scores(self, frames: Tensor, machine: Tensor) -> Tensor:
        """Frame scores of one clip, standardised first."""
        return super().plain_scores(self._standardised(frames), machine)

    def plain_window_scores(self, windows: Tensor, machine: Tensor) -> Tensor:
        """Mean error of standardised windows under the label of the machine."""
        return self._error(self(windows, machine.expand(windows.shape[0])), windows).mean(dim=1)

    def _errors(self, windows: Tensor, label: int) -> Tensor:
        labels = torch.full((len(windows),), label, device=windows.device)
        return self._error(self(windows, labels).float(), windows)

    def _error(self, output: Tensor, target: Tensor) -> Tensor:
        """Error of each value, `[B, context * F]`."""
        difference = output - target
        return difference.abs() if self.norm == "l1" else difference.square()

    def _standardised(self, frames: Tensor) -> Tensor:
        """Frames `[N, F]`, of one clip where each clip has its own statistics."""
        mean, deviation = (self.mean, self.deviation) if self.standardise == "bank" else clip_standardisation(frames)
        return (frames - mean) / deviation

    def _conditioning(self) -> nn.Sequential:
        layers = [nn.Linear(len(self.ids), CONDITIONING), nn.Sigmoid(), nn.Linear(CONDITIONING, ENCODER[-1])]
        return nn.Sequential(*layers, *([nn.Sigmoid()] if self.conditioning_sigmoid else []))


class MeanError(torch.autograd.Function):
    """Mean error of each window, as `_error` and `mean` give it, with one array `[B, context * F]` instead of five."""

    @staticmethod
    def forward(context: Any, output: Tensor, wanted: Tensor, norm: Norm) -> Tensor:
        """Overwrites what was wanted."""
        difference = wanted.sub_(output)
        context.save_for_backward(difference)
        context.norm, context.dtype = norm, output.dtype
        return (difference.abs() if norm == "l1" else difference.square()).mean(dim=-1)

    @staticmethod
    def backward(context: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """Overwrites the difference."""
        (difference,) = context.saved_tensors
        factor = slope / -difference.shape[-1]
        slopes = difference.sgn_() if context.norm == "l1" else difference.mul_(2)
        return slopes.mul_(factor[..., None]).to(context.dtype), None, None


def _blocks(sizes: list[int]) -> list[nn.Module]:
    """Dense blocks between the sizes."""
    return [layer for n_in, n_out in pairwise(sizes) for layer in dense_block(n_in, n_out, momentum=MOMENTUM)]
