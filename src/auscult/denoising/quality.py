"""What denoising gains: SNR and scale-invariant SDR against the clean sound."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auscult.denoising.mixtures import Mixture
from auscult.denoising.unet import UNet

_BATCH = 8  # mixtures that are denoised at once


@dataclass(frozen=True, slots=True)
class Gain:
    """What denoising gained on average over some mixtures, in dB; of SNR and of scale-invariant SDR."""

    snr_db: float
    si_sdr_db: float


def snr_db(clean: Tensor, estimate: Tensor) -> Tensor:
    """Power of the clean sound over that of the difference, in dB: `[B, T]`, `[B, T]` -> `[B]`."""
    return _ratio_db(clean, estimate - clean)


def si_sdr_db(clean: Tensor, estimate: Tensor) -> Tensor:
    """The same after the clean sound is scaled to fit the estimate best: `[B, T]`, `[B, T]` -> `[B]`.

    References:
        Le Roux et al., SDR - half-baked or well done?, ICASSP 2019, arXiv:1811.02508.
    """
    scale = (estimate * clean).sum(-1, keepdim=True) / clean.square().sum(-1, keepdim=True).clamp_min(1e-20)
    return _ratio_db(scale * clean, estimate - scale * clean)


def gains(unet: UNet, mixture: Mixture, *, bf16: bool = False) -> list[Gain]:
    """What a network gains on each of some mixtures; it is in evaluation afterwards."""
    unet.eval()
    found = []
    for noisy, clean in zip(*(torch.split(part, _BATCH) for part in mixture), strict=True):
        with torch.inference_mode(), torch.autocast(noisy.device.type, dtype=torch.bfloat16, enabled=bf16):
            estimate = unet(noisy)
        snr = snr_db(clean, estimate) - snr_db(clean, noisy)
        si_sdr = si_sdr_db(clean, estimate) - si_sdr_db(clean, noisy)
        found += [Gain(*pair) for pair in zip(snr.tolist(), si_sdr.tolist(), strict=True)]
    return found


def mean_gain(some: Sequence[Gain]) -> Gain:
    """The mean of both figures."""
    return Gain(sum(gain.snr_db for gain in some) / len(some), sum(gain.si_sdr_db for gain in some) / len(some))


def _ratio_db(signal: Tensor, rest: Tensor) -> Tensor:
    tiny = 1e-20
    return 10 * torch.log10((signal.square().sum(-1) + tiny) / (rest.square().sum(-1) + tiny))
