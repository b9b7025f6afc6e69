"""Heteroskedastic variational auto-encoder (Daniluk et al., DCASE 2020 Task 2 report, section 2)."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.models.layers import Random, dropout, normal, require_widths, standardisation, widened
from auscult.models.window import WindowModel
from auscult.training import Training

Score = Literal["wmse", "mse", "nll"]
Link = Literal["exp", "softplus"]

MAPS: dict[Score, str] = {
    "wmse": "precision-weighted error",
    "mse": "squared error",
    "nll": "negative log likelihood",
}
"""What each score averages over a window, by the name of its map."""

MIN_SIGMA = 1e-4
"""Smallest standard deviation in the latent space."""

MAX_LOG_PRECISION = 6.0
"""Bound of the log precision on both sides, in standardised units; without it the loss has no minimum."""


class HVAE(WindowModel):
    """Variational auto-encoder whose decoder also tells how precise each value of its reconstruction is.

    Args:
        n_bins: width F of a frame; the dimension of an embedding, with `context=1`.
        context: frames per window.
        hidden: units of the encoder's hidden layers; the decoder mirrors them.
        n_latent: dimension D of the latent space.
        big_precision: the log precision comes from a second decoder; otherwise from a doubled output layer.
        beta: weight of the reconstruction against the divergence; 0.5 is the evidence lower bound.
        dropout: rate, on all layers but the outputs.
        score: of a window, at the latent mean: `"wmse"`, the precision-weighted squared error; `"mse"`, the squared
            error; `"nll"`, the negative log likelihood in nats; each a mean over the values. The training does not
            depend on it; after another one is set, `fit_scores` renews what the pooling `meancap` needs.
        standardise: to zero mean and unit variance per bin over the training frames.
        precision_link: from the decoder's output to the precision: `"exp"`, so that the output is its logarithm, or
            `"softplus"`, as the encoder has it for its deviation.

    Shape:
        `[B, context * F]` -> latent mean and deviation `[B, D]`, reconstruction and log precision `[B, context * F]`.

    Raises:
        ModelError: for an argument out of range.
    """

    family: ClassVar[str] = "hvae"
    default_training: ClassVar[Training] = Training(epochs=100, batch_size=512)
    free_arguments: ClassVar[frozenset[str]] = frozenset({"n_latent", "beta", "score", "precision_link"})
    later: ClassVar[Mapping[str, Any]] = {"precision_link": "exp"}
    per_member: ClassVar[Mapping[str, int | None]] = {"beta": 0, "score": None}

    def __init__(
        self,
        n_bins: int = 128,
        *,
        context: int = 5,
        hidden: Sequence[int] = (640, 512, 256),
        n_latent: int = 16,
        big_precision: bool = False,
        beta: float = 1.0,
        dropout: float = 0.1,
        score: Score = "wmse",
        standardise: bool = True,
        precision_link: Link = "exp",
    ) -> None:
        super().__init__(n_bins=n_bins, context=context)
        self.hidden, self.n_latent, self.big_precision = tuple(hidden), n_latent, big_precision
        self.beta, self.dropout, self.score, self.standardise = beta, dropout, score, standardise
        self.precision_link = precision_link
        require_widths(self.family, self.hidden, n_latent)
        if not 0 < beta < math.inf:
            raise ModelError(f"hvae: beta is {beta!r}; it must be finite and greater than 0")
        if not 0 <= dropout < 1:
            raise ModelError(f"hvae: dropout is {dropout!r}; it must be at least 0 and less than 1")
        if score not in get_args(Score):
            raise ModelError(f"hvae: score is {score!r}; choose one of {', '.join(get_args(Score))}")
        if precision_link not in get_args(Link):
            raise ModelError(f"hvae: precision_link is {precision_link!r}; choose {' or '.join(get_args(Link))}")
        self.register_buffer("mean", torch.zeros(self.n_values))
        self.register_buffer("deviation", torch.ones(self.n_values))

    mean: Tensor
    deviation: Tensor

    def build(self) -> None:
        """Make the encoder and one or two decoders."""
        up = [self.n_latent, *reversed(self.hidden)]
        self.encoder = DenseStack([self.n_values, *self.hidden, 2 * self.n_latent], rate=self.dropout)
        self.decoder = DenseStack([*up, self.n_values if self.big_precision else 2 * self.n_values], rate=self.dropout)
        if self.big_precision:
            self.precision = DenseStack([*up, self.n_values], rate=self.dropout)

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """Mean and standard deviation per bin, if they are asked for."""
        if self.standardise:
            mean, deviation = standardisation(frames)
            self.mean, self.deviation = mean.repeat(self.context), deviation.repeat(self.context)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Standardised windows X -> mu, sigma, X-hat, log w; Z is drawn in training, else it is mu."""
        mu, raw_sigma = widened(self.encoder(x, self.generator)).chunk(2, dim=-1)  # [B, D] each
        sigma = F.softplus(raw_sigma) + MIN_SIGMA
        z = mu
        if self.training:
            z = mu + sigma * normal(mu, self.generator)
        if self.big_precision:
            x_hat, raw_log_w = self.decoder(z, self.generator), self.precision(z, self.generator)
        else:
            x_hat, raw_log_w = self.decoder(z, self.generator).chunk(2, dim=-1)
        if self.precision_link == "softplus":
            raw_log_w = (F.softplus(widened(raw_log_w)) + MIN_SIGMA).log()
        return mu, sigma, widened(x_hat), limit(widened(raw_log_w))  # the last two [B, context * F]

    def loss(self, batch: Tensor) -> dict[str, Tensor]:
        """Equation (2) of the report with the precision w: KL + beta * sum(w (X - X-hat)^2 - log w), batch mean."""
        x = self._standardised(batch)
        mu, sigma, x_hat, log_w = self(x)
        kl = kl_divergence(mu, sigma).mean(dim=-1)
        wmse = (log_w.exp() * (x - x_hat).square()).mean(dim=(-2, -1))
        log_precision = log_w.mean(dim=(-2, -1))
        loss = kl + self.beta * self.n_values * (wmse - log_precision)
        return {"loss": loss, "kl": kl, "wmse": wmse, "log_precision": log_precision}

    def window_scores(self, windows: Tensor, machine_id: str) -> Tensor:
        """The chosen error at the latent mean, averaged over each window."""
        return self._errors(windows)[self.score].mean(dim=1)

    def window_maps(self, windows: Tensor, machine_id: str) -> dict[str, Tensor]:
        """What the score averages, then the precision-weighted and the plain squared error of each value."""
        errors = self._errors(windows)
        scores: tuple[Score, ...] = (self.score, "wmse", "mse")
        return {MAPS[score]: errors[score] for score in scores}

    def _errors(self, windows: Tensor) -> dict[Score, Tensor]:
        """What each score averages: `[B, context * F]`."""
        x = self._standardised(windows)
        _, _, x_hat, log_w = self(x)
        squared = (x - x_hat).square()
        weighted = log_w.exp() * squared
        return {"wmse": weighted, "mse": squared, "nll": 0.5 * (weighted - log_w + math.log(2 * math.pi))}

    def _standardised(self, windows: Tensor) -> Tensor:
        return (windows - self.mean) / self.deviation if self.standardise else windows


class DenseStack(nn.Module):
    """Dense layers, with ELU and dropout behind each but the last.

    Args:
        sizes: width of the input and of each layer.
        rate: of the dropout.

    Shape:
        `[B, sizes[0]]` -> `[B, sizes[-1]]`.
    """

    def __init__(self, sizes: Sequence[int], *, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.layers = nn.ModuleList(nn.Linear(*widths) for widths in pairwise(sizes))

    def forward(self, x: Tensor, generator: Random) -> Tensor:
        """The generator draws the dropout in training."""
        *hidden, output = self.layers
        for layer in hidden:
            x = F.elu(layer(x), inplace=True)
            if self.training and self.rate:
                x = dropout(x, self.rate, generator)
        y: Tensor = output(x)
        return y


def kl_divergence(mu: Tensor, sigma: Tensor) -> Tensor:
    """KL(N(mu, sigma) || N(0, 1)) summed over the latent dimensions: `[B, D]` -> `[B]`, in nats."""
    return 0.5 * (mu.square() + sigma.square() - 1 - 2 * sigma.log()).sum(dim=-1)


def limit(raw_log_w: Tensor) -> Tensor:
    """Log precision within its bounds, smoothly: the slope is 1 at 0 and nowhere 0."""
    return MAX_LOG_PRECISION * torch.tanh(raw_log_w / MAX_LOG_PRECISION)
