"""Selective Mahalanobis: an auto-encoder's mean residual of a clip, by the covariance of the domain that is nearer.

References:
    Harada, Niizumi, Takeuchi, Ohishi and Yasuda, First-shot anomaly sound detection for machine condition monitoring: a
    domain generalization baseline, EUSIPCO 2023. The baseline of DCASE Task 2 since 2023 has its settings:
    nttcslab/dcase2023_task2_baseline_ae at 725b304.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.models.autoencoder import Autoencoder
from auscult.models.window import window_starts, window_view
from auscult.training import Training

BATCH = 256
"""Windows of a batch within which residuals are centred; the published size."""


class Mahalanobis(Autoencoder):
    """The auto-encoder, whose residual of a clip is judged by how residuals of normal windows vary.

    The residual of a window is `context` rows of F values. After the training, the rows of each domain are centred in
    batches of 256 windows, and their products summed and divided by the domain's windows less one. With m `[F]`, the
    mean of all rows of a clip, its score is the smaller of m P m over the inverses P of both domains' covariances. All
    of this is in float32 and without regularisation, as published. A clip that knows no domain is of the source; where
    one domain has no clips, the other's covariance stands for both. Batches take every n-th window, where the published
    code shuffles.

    Arguments are those of `Autoencoder`; of what is held out the covariances do not learn either.
    """

    family: ClassVar[str] = "mahalanobis"
    default_training: ClassVar[Training] = Training(epochs=100, batch_size=256)
    default_pooling: ClassVar[str | None] = None

    precisions: Tensor
    """Inverse covariances of source and target `[2, F, F]`."""

    def build(self) -> None:
        """Make the network, and room for the covariances."""
        super().build()
        self.register_buffer("precisions", torch.zeros(2, self.n_bins, self.n_bins))

    def sample(self, training: Training, length: int) -> tuple[dict[str, Any], list[int]]:
        """Two clips, whose windows are one batch, or as many as a covariance needs."""
        arguments, lengths = super().sample(training, length)
        return arguments, [max(frames, self.n_bins // self.context + self.context) for frames in lengths]

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """As the auto-encoder; refuses too few windows before it trains on them."""
        super().fit_statistics(frames, bank)
        starts = self.trained(window_starts(bank, self.context, device=torch.device("cpu")))
        for name, there in self._domains(bank, starts).items():
            if (rows := self.context * int(there.sum())) <= self.n_bins:
                raise ModelError(
                    f"mahalanobis: the {name} domain has {rows} rows of residuals to learn from, and a covariance of "
                    f"{self.n_bins} bins needs more than as many; give longer or more clips, or take autoencoder"
                )

    def fit_scores(self, bank: Bank) -> None:
        """The covariance of each domain, and its inverse."""
        windows = window_view(torch.tensor(bank.frames, device=self.device), self.context)
        starts = self.trained(window_starts(bank, self.context, device=self.device))
        found: dict[str, Tensor] = {}
        for name, there in self._domains(bank, starts.cpu()).items():
            total = self.precisions.new_zeros(self.n_bins, self.n_bins)
            n_batches = -(-len(starts) // BATCH)
            for batch in range(n_batches):
                some = starts[batch::n_batches][there[batch::n_batches].to(starts.device)]
                if len(some):
                    rows = self.difference(windows[some]).view(-1, self.n_bins)
                    rows = rows - rows.mean(dim=0)
                    total += rows.T @ rows
            inverse, failed = torch.linalg.inv_ex(total / (int(there.sum()) - 1))
            if int(failed):
                raise ModelError(
                    f"mahalanobis: the covariance of the {name} domain's residuals has no inverse; give more clips, or "
                    "take autoencoder"
                )
            found[name] = inverse
        first = next(iter(found.values()))
        self.precisions = torch.stack([found.get(name, first) for name in ("source", "target")])

    def _domains(self, bank: Bank, starts: Tensor) -> dict[str, Tensor]:
        """Domain that has clips -> which of the windows, by their first frames `[W]`, are of it `[W]`."""
        target = torch.tensor([domain == "target" for domain in bank.domains or [None] * bank.n_clips])
        clips = torch.searchsorted(torch.as_tensor(bank.offsets), starts, right=True) - 1
        each = {"source": ~target[clips], "target": target[clips]}
        return {name: there for name, there in each.items() if there.any()}

    def _distance(self, means: Tensor) -> Tensor:
        """The smaller of both domains' distances `[B]` of mean residuals `[B, F]`."""
        return torch.einsum("bf,dfg,bg->db", means, self.precisions, means).amin(dim=0)

    def window_scores(self, windows: Tensor, machine_id: str) -> Tensor:
        """Distance of each window's mean residual."""
        return self._distance(self.difference(windows).view(len(windows), self.context, self.n_bins).mean(dim=1))

    def clip_score(self, frames: Tensor, machine_id: str, pooling: str | None, frame_rate: float | None) -> float:
        """Distance of the mean residual of all windows and frames."""
        return float(self._distance(self._mean(self.difference(window_view(frames, self.context)))))

    def _mean(self, residuals: Tensor) -> Tensor:
        """Of residuals `[W, context * F]`: `[1, F]`."""
        return residuals.view(-1, self.n_bins).mean(dim=0, keepdim=True)

    def plain_scores(self, frames: Tensor, machine: Tensor) -> Tensor:
        """The score of a clip."""
        places = torch.arange(frames.shape[0] - self.context + 1)[:, None] + torch.arange(self.context)
        return self._distance(self._mean(self(frames[places].flatten(start_dim=1))))[0]
