"""Spectral: a density of statistics of clips' log-mels, the yardstick of every network.

References:
    Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.features.statistics import check_statistics, clip_vector
from auscult.models.base import Array, Model
from auscult.models.density import GaussianMixture, Welford, shrunk_covariance
from auscult.models.layers import standardisation
from auscult.training import Training

MIXTURE_FLOOR = 1e-3
"""Added to the variances of a mixture's components, in units of the standardised spectrogram."""


class Spectral(Model):
    """Takes statistics of a standardised spectrogram over time and asks how likely they are among normal clips.

    Args:
        n_bins: width F of a frame.
        ratio: r of the mean: the weight of the n-th largest value of a bin is r^n, so that 1 is the mean over time and
            0 the maximum.
        statistics: of each bin, side by side in one vector: `"mean"` is global weighted ranking pooling, `"deviation"`
            the standard deviation over time, `"flux"` the mean distance from one frame to the next. Steady sounds of
            other loudness change the first, rhythms and blows the others; `"maximum"` its largest value.
        n_components: 1 is a normal density with Ledoit-Wolf covariance; more are a Gaussian mixture with full
            covariances.
        per_id: whether each machine id has a mean of its own, from which its clips differ by one density for all ids. A
            clip of an unknown id has the least of its scores among all. Else one density holds the clips of all ids.
    """

    family: ClassVar[str] = "spectral"
    default_training: ClassVar[Training] = Training(epochs=1)
    later: ClassVar[Mapping[str, Any]] = {"per_id": False}

    def __init__(
        self,
        n_bins: int = 128,
        *,
        ratio: float = 1.0,
        statistics: Sequence[str] = ("mean",),
        n_components: int = 1,
        per_id: bool = True,
    ) -> None:
        super().__init__(n_bins=n_bins)
        self.statistics, self.ratio = check_statistics(self.family, statistics, ratio), ratio
        if not isinstance(n_components, int) or n_components < 1:
            raise ModelError(f"spectral: n_components is {n_components!r}; it must be a whole number of at least 1")
        self.n_components, self.per_id = n_components, per_id
        self.least_clips = 2 * n_components
        self.register_buffer("mean", torch.zeros(n_bins))
        self.register_buffer("deviation", torch.ones(n_bins))
        self.clip_density = GaussianMixture(n_bins * len(self.statistics), n_components)
        self.frame_density = GaussianMixture(n_bins)

    mean: Tensor
    deviation: Tensor
    centres: Tensor
    """Mean vector of the clips of each machine id `[I, D]`."""
    levels: Tensor
    """Mean of their standardised frames `[I, F]`."""

    def build(self) -> None:
        """Make room for the means of the machine ids."""
        if self.per_id:
            width, count = self.n_bins * len(self.statistics), len(self.ids)
            self.register_buffer("centres", torch.zeros(count, width, dtype=torch.float64))
            self.register_buffer("levels", torch.zeros(count, self.n_bins, dtype=torch.float64))

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """All there is to learn: normalisation, the density of clips, the density of frames."""
        if bank.n_clips < (least := self.least_clips):
            raise ModelError(
                f"spectral: {bank.n_clips} training clips are too few for {self.n_components} components; "
                f"give at least {least}, or choose fewer components"
            )
        self.mean, self.deviation = standardisation(frames)
        pooled = np.empty((bank.n_clips, self.n_bins * len(self.statistics)))
        of_each = [self.ids.index(id_) if self.per_id else 0 for id_ in bank.ids]
        seen = [Welford(self.n_bins) for _ in range(max(of_each) + 1)]
        for index, (clip, _) in enumerate(self._clips(bank)):
            x = self._standardised(clip)
            pooled[index] = clip_vector(x, self.statistics, self.ratio).cpu().numpy()
            seen[of_each[index]].update(x.cpu().numpy())
        scale = pooled.std(axis=0) if len(self.statistics) > 1 else np.ones(self.n_bins)
        if self.per_id:
            machines = np.array(of_each)
            centres = np.stack([pooled[machines == machine].mean(axis=0) for machine in range(len(seen))])
            pooled -= centres[machines]
            scale = pooled.std(axis=0)
            self.centres = torch.from_numpy(centres).to(frames.device)
            self.levels = torch.from_numpy(np.stack([one.mean for one in seen])).to(frames.device)
        scale = np.where(scale > 1e-9 * scale.max(), scale, 1.0)  # statistics of different size are shrunk alike
        means, covariances, weights = self._components(pooled / scale)
        self.clip_density.set_components(means * scale, covariances * np.outer(scale, scale), weights)
        count = sum(one.n for one in seen)
        within = sum((one.covariance(correction=0) * (one.n / count) for one in seen), np.zeros(2 * (self.n_bins,)))
        mean = np.zeros(self.n_bins) if self.per_id else seen[0].mean
        self.frame_density.set_components(mean[None], shrunk_covariance(within, count)[None])

    def _components(self, pooled: Array) -> tuple[Array, Array, Array]:
        """Means `[K, F]`, covariances `[K, F, F]` and weights `[K]` of pooled clips `[C, F]`."""
        from sklearn import covariance, mixture

        if self.n_components == 1:
            fitted = covariance.LedoitWolf().fit(pooled)
            return fitted.location_[None], fitted.covariance_[None], np.ones(1)
        assert self.generator is not None  # `fit` sets it
        seed = self.generator.initial_seed() % 2**32
        mixed = mixture.GaussianMixture(self.n_components, reg_covar=MIXTURE_FLOOR, random_state=seed).fit(pooled)
        return mixed.means_, mixed.covariances_, mixed.weights_

    def _standardised(self, frames: Tensor) -> Tensor:
        return ((frames - self.mean) / self.deviation).double()

    def _likelihoods(self, frames: Tensor) -> Tensor:
        """Negative log likelihoods of the pooled clip, as one of each machine id `[I]`, or of all `[1]`."""
        vector = clip_vector(self._standardised(frames), self.statistics, self.ratio)
        scores: Tensor = self.clip_density(vector - self.centres if self.per_id else vector[None])
        return scores

    def _residuals(self, frames: Tensor, machine_id: str) -> Tensor:
        """Standardised frames `[N, F]`, less their machine's mean; of an unknown one, that of the likeliest."""
        x = self._standardised(frames)
        if not self.per_id:
            return x
        known = machine_id in self.ids
        return x - self.levels[self.ids.index(machine_id) if known else int(self._likelihoods(frames).argmin())]

    def clip_frame_scores(self, frames: Tensor, machine_id: str) -> Tensor:
        """Negative log likelihood of each frame `[N]` among the training frames: evidence only."""
        scores: Tensor = self.frame_density(self._residuals(frames, machine_id))
        return scores

    def clip_score(self, frames: Tensor, machine_id: str, pooling: str | None, frame_rate: float | None) -> float:
        """Negative log likelihood of the pooled clip."""
        place = self.ids.index(machine_id) if machine_id in self.ids else -1
        return float(self.plain_scores(frames, torch.tensor(place, device=frames.device)))

    @property
    def reads_id(self) -> bool:
        """Whether each id has a mean of its own."""
        return self.per_id

    def plain(self) -> Self:
        """All operations are plain."""
        return self

    def plain_scores(self, frames: Tensor, machine: Tensor) -> Tensor:
        """Negative log likelihood of the pooled clip."""
        scores = self._likelihoods(frames)
        if not self.per_id:
            return scores[0]
        theirs = (machine < 0) | (machine == torch.arange(len(scores), device=scores.device))
        return torch.where(theirs, scores, torch.inf).min()

    def clip_maps(self, frames: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Squared whitened deviation of each value `[N, F]`; a frame's sum is what its score grows with."""
        return {"squared deviation": self.frame_density.whitened(self._residuals(frames, machine_id))[0].square()}
