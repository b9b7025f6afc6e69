"""FREAK, a WaveNet over frequency bins that predicts the next frame (Daniluk et al., DCASE 2020 Task 2, section 4).

References:
    van den Oord et al., WaveNet, arXiv:1609.03499; Wu and He, Group Normalization, arXiv:1803.08494.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.models.base import Array, Model
from auscult.models.density import GaussianMixture, Welford, shrunk_covariance
from auscult.models.freak_layers import Network, PlainNetwork
from auscult.models.freak_stage import Norm
from auscult.models.layers import quantile, sharing, standardisation
from auscult.training import Training

Score = Literal["gaussian", "percentile", "mse"]
FEW_ON_CPU = 4
"""Crops of a batch from which on the time grows as their number, on a processor."""

Covariance = Literal["full", "shrunk", "diagonal", "identity"]
Domain = Literal["spectrogram", "amplitude"]


class Freak(Model):
    """Predicts each frame from the frames before it; the error of the prediction tells what is abnormal.

    Args:
        n_bins: width F of a frame; the bins are the channels of the convolutions.
        m: hidden channels per bin.
        n_layers: residual blocks, with dilations 1, 2, 4, ...; one more causal convolution follows them.
        kernel: frames that a causal convolution sees.
        groups: bands into which every convolution divides the channels.
        norm: `"frame"`, over the channels of each frame, or `"clip"`, over channels and time, as the report has it.
        score: `"gaussian"`: negative log density of the difference between predicted and true spectrum, averaged over
            time; `"percentile"`: of the squared error over time, then over bins; `"mse"`: its mean, for comparison.
            The training does not depend on it; after `"gaussian"` is set, `fit_scores` renews the density.
        covariance: of the gaussian score; `"full"` is the plain one, which needs more clips than bins, `"shrunk"` is
            drawn towards its diagonal as far as the number of clips demands (`shrunk_covariance`).
        domain: in which the gaussian score takes the difference: `"spectrogram"`, the standardised input, or
            `"amplitude"`, the linear amplitude of time-averaged spectra in decibels, for log-mel features.
        percentile: of the percentile score.
        crop: frames of a training crop, or 0 for whole clips; the shortest clip's frames, if that has fewer, so that
            clips of different lengths train together: of the longer ones another part in each epoch.

    Shape:
        `[B, N, F]` -> `[B, N - receptive_field + 1, F]`: the frame after each run of `receptive_field` frames.
    """

    family: ClassVar[str] = "freak"
    limits: ClassVar[Mapping[str, int]] = {"n_layers": 64}
    free_arguments: ClassVar[frozenset[str]] = frozenset({"score", "covariance", "domain", "percentile", "crop"})
    default_training: ClassVar[Training] = Training(epochs=100, batch_size=32, learning_rate=1e-3, betas=(0.85, 0.999))

    def __init__(
        self,
        n_bins: int = 128,
        *,
        m: int = 5,
        n_layers: int = 3,
        kernel: int = 3,
        groups: int = 4,
        norm: Norm = "frame",
        score: Score = "gaussian",
        covariance: Covariance = "shrunk",
        domain: Domain = "spectrogram",
        percentile: float = 95.0,
        crop: int = 200,
    ) -> None:
        super().__init__(n_bins=n_bins)
        self.m, self.n_layers, self.kernel, self.groups, self.norm = m, n_layers, kernel, groups, norm
        self.score, self.covariance, self.domain = score, covariance, domain
        self.percentile, self.crop = percentile, crop
        self._check_arguments()
        self.frame_context = self.receptive_field() + 1
        least = {"full": n_bins + 1, "shrunk": 2, "diagonal": 2, "identity": 1}
        self.least_clips = least[covariance] if score == "gaussian" else 1
        self.register_buffer("mean", torch.zeros(n_bins))
        self.register_buffer("deviation", torch.ones(n_bins))
        self.density = GaussianMixture(n_bins)

    mean: Tensor
    deviation: Tensor

    def _check_arguments(self) -> None:
        for name, least in {"m": 1, "n_layers": 1, "kernel": 1, "groups": 1, "crop": 0}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ModelError(f"freak: {name} is {value!r}; it must be a whole number of at least {least}")
        for name, choices in (("norm", Norm), ("score", Score), ("covariance", Covariance), ("domain", Domain)):
            if getattr(self, name) not in get_args(choices):
                raise ModelError(f"freak: {name} is {getattr(self, name)!r}; choose {' or '.join(get_args(choices))}")
        if self.n_bins % self.groups:
            raise ModelError(f"freak: {self.n_bins} bins cannot be divided into {self.groups} groups; choose a divisor")
        if not 0 <= self.percentile <= 100:
            raise ModelError(f"freak: percentile is {self.percentile!r}; it must lie between 0 and 100")
        if 0 < self.crop <= self.receptive_field():
            raise ModelError(
                f"freak: crop is {self.crop} frames; with {self.n_layers} layers a frame is predicted from the "
                f"{self.receptive_field()} before it, so choose at least {self.receptive_field() + 1}, "
                "or 0 for whole clips"
            )

    @classmethod
    def key_arguments(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What is shrunk was called full once."""
        before = {"full": "full and plain", "shrunk": "full"}
        return {**arguments, "covariance": before.get(arguments["covariance"], arguments["covariance"])}

    def check_features(self, config: Mapping[str, Any]) -> None:
        """Amplitudes are those of decibels."""
        if self.domain == "amplitude" and config.get("scale") != "log":
            raise ModelError("the domain 'amplitude' is defined on log-mels; choose scale = \"log\", or leave it out")

    def receptive_field(self) -> int:
        """Frames from which one frame is predicted: 31 with three layers, 63 with four."""
        dilations = 2 ** (self.n_layers + 1) - 1  # 1 + 2 + 4 + ... + 2 ** n_layers
        return 1 + (self.kernel - 1) * int(dilations)

    @property
    def frame_offset(self) -> float:
        """The first frame that is predicted."""
        return float(self.receptive_field())

    def build(self) -> None:
        """Make the network."""
        self.network = Network(
            self.n_bins,
            self.m * self.n_bins,
            n_layers=self.n_layers,
            kernel=self.kernel,
            groups=self.groups,
            norm=self.norm,
        )

    def sample(self, training: Training, length: int) -> tuple[dict[str, Any], list[int]]:
        """One batch of crops, on a processor a small one; any number of clips is enough for the identity covariance."""
        size = training.batch_size
        if training.device == "cpu":
            size = min(size, FEW_ON_CPU)
        return {**self.arguments, "covariance": "identity"}, [self._crop(length)] * size

    def epoch_units(self, *, clips: int, frames: int, shortest: int) -> float:
        """Frames of the crops."""
        return clips * self._crop(max(shortest, self.frame_context))

    def _crop(self, shortest: int) -> int:
        return min(self.crop, shortest) if self.crop else shortest

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """Mean and standard deviation per bin; and whether the clips suffice for the score."""
        if bank.n_clips < (least := self.least_clips):
            raise ModelError(
                f"freak: {bank.n_clips} training clips are too few for the {self.covariance} covariance of "
                f"{self.n_bins} bins, which needs {least}; give more clips, or choose the covariance shrunk or "
                "diagonal (2 clips) or identity (1), or the percentile score"
            )
        self.mean, self.deviation = standardisation(frames)

    def batches(self, frames: Tensor, bank: Bank, training: Training) -> Iterable[Tensor]:
        """One random crop of every clip, in a random order: `[B, crop, F]`."""
        device, lengths = frames.device, torch.as_tensor(bank.lengths)
        crop = self._crop(int(lengths.min()))
        room = (lengths - crop + 1).to(device)
        draws = torch.rand(bank.n_clips, dtype=torch.float64, generator=self.generator, device=device)
        starts = torch.as_tensor(bank.offsets[:-1]).to(device) + (draws * room).long()
        order = torch.randperm(bank.n_clips, generator=self.generator, device=device)
        run = torch.arange(crop, device=device)
        for chunk in torch.split(order, training.batch_size):
            yield frames[starts[chunk, None] + run]

    def forward(self, x: Tensor) -> Tensor:
        """Predict from standardised frames; the last prediction is of the frame behind the input."""
        prediction: Tensor = self.network(x)  # [B, N, F] -> [B, N - receptive_field + 1, F]
        return prediction

    def loss(self, batch: Tensor) -> dict[str, Tensor]:
        """Mean squared error of the predictions in crops `[B, N, F]`."""
        prediction, actual = self._predicted(batch)
        return {"loss": (prediction - actual).square().mean()}

    def _predicted(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Prediction and truth, standardised: `[B, N, F]` -> two `[B, N - receptive_field, F]`."""
        x = (frames - self.mean) / self.deviation
        return self(x[:, :-1]), x[:, self.receptive_field() :]

    def _errors(self, frames: Tensor) -> Tensor:
        """Squared errors of one clip: `[N, F]` -> `[N - receptive_field, F]`."""
        prediction, actual = self._predicted(frames[None])
        return (prediction - actual).square()[0].double()

    def _difference(self, frames: Tensor) -> Tensor:
        """Predicted minus true spectrum of one clip, averaged over time: `[N, F]` -> `[1, F]`."""
        spectra = [spectrum.double().mean(dim=1) for spectrum in self._predicted(frames[None])]
        if self.domain == "amplitude":
            spectra = [10 ** ((spectrum * self.deviation + self.mean) / 20) for spectrum in spectra]
        return spectra[0] - spectra[1]

    def fit_scores(self, bank: Bank) -> None:
        """The normal density of the training clips' differences, in one pass with the final weights."""
        if self.score != "gaussian":
            return
        statistics = Welford(self.n_bins)
        for frames, _ in self._clips(bank):
            statistics.update(self._difference(frames).cpu().numpy())
        if self.covariance == "identity":
            covariance = np.eye(self.n_bins)
        elif self.covariance == "diagonal":
            covariance = np.diag(statistics.covariance().diagonal())
        elif self.covariance == "full":
            covariance = statistics.covariance()
        else:
            covariance = shrunk_covariance(statistics.covariance(correction=0), statistics.n)
        self.density.set_components(statistics.mean[None], covariance[None])

    def clip_frame_scores(self, frames: Tensor, machine_id: str) -> Tensor:
        """Mean squared error of each predicted frame `[N - receptive_field]`: evidence, not what the score averages."""
        return self._errors(frames).mean(dim=1)

    def clip_score(self, frames: Tensor, machine_id: str, pooling: str | None, frame_rate: float | None) -> float:
        """The score by its name."""
        if self.score == "gaussian":
            return float(self.density(self._difference(frames)))
        errors = self._errors(frames).cpu().numpy()
        return percentile_score(errors, self.percentile) if self.score == "percentile" else float(errors.mean())

    def plain(self) -> Self:
        """With the plain network."""
        return sharing(self, network=PlainNetwork(self.network))

    def plain_scores(self, frames: Tensor, machine: Tensor) -> Tensor:
        """The score of the clip."""
        if self.score == "gaussian":
            scores: Tensor = self.density(self._difference(frames))
            return scores[0]
        errors, share = self._errors(frames), self.percentile / 100
        return errors.mean() if self.score == "mse" else quantile(quantile(errors, share), share)

    def clip_maps(self, frames: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Squared error of every predicted value `[N, F]`."""
        errors = self._errors(frames)
        unknown = errors.new_full((self.receptive_field(), self.n_bins), torch.nan)
        return {"prediction error": torch.cat([unknown, errors])}


def percentile_score(errors: Array, percentile: float) -> float:
    """Percentile over time of squared errors `[N, F]` in each bin, then the same percentile over the bins."""
    return float(np.percentile(np.percentile(errors, percentile, axis=0), percentile))
