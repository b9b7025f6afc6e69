"""A toy family: how far a clip is from the nearest training clips. Add it: `MODELS["nearest"] = Nearest`."""

from typing import ClassVar

import torch
from torch import Tensor

from auscult.features.bank import Bank
from auscult.models import Model


class Nearest(Model):
    family: ClassVar[str] = "nearest"

    def __init__(self, n_bins: int = 128, *, k: int = 2) -> None:
        super().__init__(n_bins=n_bins)
        self.k = k
        self.register_buffer("vectors", torch.zeros(0, n_bins))

    vectors: Tensor

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        self.vectors = torch.stack([clip.mean(dim=0) for clip, _ in self._clips(bank)])

    def clip_frame_scores(self, frames: Tensor, machine_id: str) -> Tensor:
        distances = torch.cdist(frames, self.vectors)
        return distances.topk(min(self.k, len(self.vectors)), largest=False).values.mean(dim=1)

    def clip_score(self, frames: Tensor, machine_id: str, pooling: str | None, frame_rate: float | None) -> float:
        return float(self.clip_frame_scores(frames.mean(dim=0)[None], machine_id))
