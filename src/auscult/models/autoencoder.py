"""Baseline auto-encoder of DCASE 2020 Task 2 (Koizumi et al., arXiv:2006.05822, section 4)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.models.layers import dense_block, fold_norms, require_widths, sharing, standardisation
from auscult.models.window import WindowModel
from auscult.training import Training


class Autoencoder(WindowModel):
    """Dense auto-encoder: 640-128x4-8-128x4-640, batch norm and ReLU, mean squared error.

    Args:
        n_bins: width F of a frame.
        context: frames per window.
        hidden: units of the encoder's layers; the decoder mirrors them.
        n_latent: units of the bottleneck.
        standardise: to zero mean and unit variance per bin over the training frames; the baseline takes raw decibels.
        held_out: share of the windows that is not trained on, the last ones in the order of the clips: the published
            baseline only watches its loss there.
        spread: whether what is held out lies evenly among all windows, instead of at the end.

    Shape:
        `[B, context * F]` -> `[B, context * F]`.
    """

    family: ClassVar[str] = "autoencoder"
    default_training: ClassVar[Training] = Training(epochs=100)
    later: ClassVar[Mapping[str, Any]] = {"held_out": 0.0, "spread": False}

    def __init__(
        self,
        n_bins: int = 128,
        *,
        context: int = 5,
        hidden: Sequence[int] = (128, 128, 128, 128),
        n_latent: int = 8,
        standardise: bool = False,
        held_out: float = 0.0,
        spread: bool = False,
    ) -> None:
        super().__init__(n_bins=n_bins, context=context)
        self._folded: list[nn.Module] = []  # a list, so that it is no part of the module's state
        self.hidden, self.n_latent, self.standardise = tuple(hidden), n_latent, standardise
        self.held_out, self.spread = held_out, spread
        require_widths(self.family, self.hidden, n_latent)
        if not 0 <= held_out < 1:
            raise ModelError(f"{self.family}: held_out is {held_out!r}; it must be at least 0 and less than 1")
        self.register_buffer("mean", torch.zeros(self.n_values))
        self.register_buffer("deviation", torch.ones(self.n_values))

    mean: Tensor
    deviation: Tensor

    def build(self) -> None:
        """Make the network."""
        sizes = [self.n_values, *self.hidden, self.n_latent, *reversed(self.hidden)]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += dense_block(n_in, n_out)
        self.network = nn.Sequential(*layers, nn.Linear(sizes[-1], self.n_values))

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """Mean and standard deviation per bin, if they are asked for."""
        if self.standardise:
            mean, deviation = standardisation(frames)
            self.mean, self.deviation = mean.repeat(self.context), deviation.repeat(self.context)

    def trained(self, starts: Tensor) -> Tensor:
        """All but the last ones, as Keras divides them, or but every n-th."""
        if self.spread:
            passed = (torch.arange(len(starts) + 1, device=starts.device) * self.held_out).round().long()
            return starts[passed[1:] == passed[:-1]]
        return starts[: int(len(starts) * (1 - self.held_out))]

    def epoch_units(self, *, clips: int, frames: int, shortest: int) -> float:
        """The windows that are trained on."""
        return super().epoch_units(clips=clips, frames=frames, shortest=shortest) * (1 - self.held_out)

    def forward(self, windows: Tensor) -> Tensor:
        """Difference between reconstruction and standardised input, `[B, context * F]`."""
        x = self._standardised(windows)
        difference: Tensor = self.network(x) - x
        return difference

    def _standardised(self, windows: Tensor) -> Tensor:
        return (windows - self.mean) / self.deviation if self.standardise else windows

    def loss(self, batch: Tensor) -> dict[str, Tensor]:
        """Mean squared error of windows `[B, context * F]`."""
        return {"loss": self(batch).square().mean(dim=(-2, -1))}

    def train(self, mode: bool = True) -> Self:
        """Choose training or scoring; both forget the network with folded norms, as weights may have changed."""
        self._folded.clear()
        return super().train(mode)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As torch's; forgets the folded network."""
        self._folded.clear()
        return super().load_state_dict(*args, **kwargs)

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        """As torch's, behind every move to a device; forgets the folded network."""
        self._folded.clear()
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]  # torch gives no hints for it

    def window_scores(self, windows: Tensor, machine_id: str) -> Tensor:
        """Mean squared error of each window."""
        return self._squared(windows).mean(dim=1)

    def window_maps(self, windows: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Squared error of each value."""
        return {"squared error": self._squared(windows)}

    def plain(self) -> Self:
        """With the norms in the dense layers."""
        return sharing(self, network=fold_norms(self.network))

    def plain_window_scores(self, windows: Tensor, machine: Tensor) -> Tensor:
        """Mean squared error of each window."""
        difference: Tensor = self(windows)
        return difference.square().mean(dim=1)

    def difference(self, windows: Tensor) -> Tensor:
        """As `forward`, for scoring: by the network with its norms folded into its dense layers."""
        if not self._folded:
            self._folded.append(fold_norms(self.network))
        x = self._standardised(windows)
        found: Tensor = self._folded[0](x).sub_(x)
        return found

    def _squared(self, windows: Tensor) -> Tensor:
        """Squared error of each value."""
        return self.difference(windows).square_()
