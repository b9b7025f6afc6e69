"""Modulation spectra: how strongly, and how often a second, the level of each band of a clip goes up and down."""

import math
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from auscult.errors import FeatureError
from auscult.features.base import Features
from auscult.features.remembered import Remembered

if TYPE_CHECKING:
    import torch

WINDOW_SECONDS, HOP_SECONDS = 0.008, 0.002
"""Of the spectrogram whose bands' levels are the envelopes: short, so that 250 modulations a second are still seen."""

WIDTH = 0.6
"""Standard deviation of a band's bell, in its own equivalent rectangular bandwidths."""

WHOLE = 100
"""Envelopes are filled up with zeros to a multiple of so many values: lengths with large factors transform slowly."""

BLOCK, BANDS = 500, 12
"""Windows and envelopes transformed at once: what lies between stays in the processor's cache. A block is a second, by
which a monitor's windows move on."""

KEPT = 16
"""Blocks whose levels are remembered: more than a monitor's window holds."""

EPS = 1e-12
"""Added to energies, which are of sound whose full scale is 1."""


class Modulation(Features):
    """One vector for a clip: the energy of each band's envelope in octaves of modulation frequency, in decibels.

    Two Fourier transforms: one of short windows gives the envelopes of the bands, one of the whole envelopes their
    modulations. Loudness adds to all values alike; strokes, turns and the mesh of gears stand where they belong.

    Args:
        sample_rate: of the waveforms, in Hz.
        n_bands: bands, at equal distances on the scale of equivalent rectangular bandwidths (Glasberg and Moore).
        n_modulations: octaves of modulation frequency, at equal ratios; more than there are octaves overlap.
        fmin: centre of the lowest band, in Hz; the highest lies just below half the sample rate.
        slowest: centre of the lowest octave of modulation, in Hz.
        fastest: centre of the highest, in Hz; at most 175, as envelopes have 500 values a second.

    Shape:
        `[T]` -> `[1, n_bands * n_modulations]`, the octaves of a band side by side.

    Raises:
        FeatureError: for arguments out of range, and a clip that is shorter than three periods of `slowest`.

    References:
        Glasberg and Moore, Derivation of auditory filter shapes from notched-noise data, 1990; Atlas and Shamma, Joint
        acoustic and modulation frequency, 2003.
    """

    kind: ClassVar[str] = "modulation"
    one_frame: ClassVar[bool] = True
    limits: ClassVar[Mapping[str, int]] = {"sample_rate": 768_000, "n_bands": 1024, "n_modulations": 64}

    def __init__(
        self,
        sample_rate: int,
        *,
        n_bands: int = 60,
        n_modulations: int = 8,
        fmin: float = 125.0,
        slowest: float = 4.0,
        fastest: float = 128.0,
    ) -> None:
        for name, value in (("n_bands", n_bands), ("n_modulations", n_modulations)):
            if not isinstance(value, int) or value < 2:
                raise FeatureError(f"modulation: {name} is {value!r}; it must be a whole number of at least 2")
        self.hop_length, self.n_fft = round(HOP_SECONDS * sample_rate), round(WINDOW_SECONDS * sample_rate)
        if not 0 < fmin < sample_rate / 2 or self.hop_length < 1:
            raise FeatureError(
                f"modulation: fmin is {fmin} Hz at {sample_rate} Hz; it must lie above 0 and below half the sample rate"
            )
        if not 0.1 <= slowest < fastest <= 175:
            raise FeatureError(
                f"modulation: octaves from {slowest} to {fastest} Hz; they must rise and lie between 0.1 and 175 Hz"
            )
        self.sample_rate, self.n_bands, self.n_modulations = sample_rate, n_bands, n_modulations
        self.fmin, self.slowest, self.fastest = float(fmin), float(slowest), float(fastest)
        self._remembered = Remembered(KEPT)
        self.n_bins, self.frame_rate = n_bands * n_modulations, 1.0

    @property
    def least_samples(self) -> int:
        """The shortest clip, in samples."""
        return round(3 * self.sample_rate / self.slowest)

    @property
    def band_frequencies(self) -> NDArray[np.float64]:
        """Centre of each band, in Hz `[n_bands]`."""
        low, high = (21.4 * math.log10(1 + 0.00437 * hz) for hz in (self.fmin, self.sample_rate / 2))
        places = np.linspace(low, high, self.n_bands + 1)[:-1]
        return np.asarray((10 ** (places / 21.4) - 1) / 0.00437)

    @cached_property
    def modulation_frequencies(self) -> NDArray[np.float64]:
        """Centre of each octave, in Hz `[n_modulations]`."""
        return np.geomspace(self.slowest, self.fastest, self.n_modulations)

    def n_frames(self, n_samples: int) -> int:
        """One, of a clip of any length."""
        return 1

    @cached_property
    def _bands(self) -> "torch.Tensor":
        """Weights of the Fourier transform's power in each band `[n_fft // 2 + 1, n_bands]`."""
        import torch

        centres = self.band_frequencies
        widths = np.maximum(24.7 * (0.00437 * centres + 1), 0.8 * self.sample_rate / self.n_fft)
        away = (np.fft.rfftfreq(self.n_fft, 1 / self.sample_rate)[:, None] - centres) / (WIDTH * widths)
        weights = np.exp(-0.5 * away**2) / self.n_fft**2
        return torch.from_numpy(weights.astype(np.float32))

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the modulation spectrum of one waveform `[T]` -> `[1, n_bands * n_modulations]`."""
        import torch

        if waveform.ndim != 1:
            raise FeatureError(f"modulation: the waveform has the shape {waveform.shape}; give one channel, [T]")
        if len(waveform) < self.least_samples:
            raise FeatureError(
                f"modulation: the clip has {len(waveform)} samples at {self.sample_rate} Hz; {self.slowest:g} Hz need "
                f"{self.least_samples}. Remove the clip or choose a higher slowest"
            )
        with torch.inference_mode():
            envelopes = self._envelopes(torch.from_numpy(waveform))
            length = envelopes.shape[1]
            whole = -(-length // WHOLE) * WHOLE
            octaves = _octaves(length, whole, self.hop_length / self.sample_rate, tuple(self.modulation_frequencies))
            energies = [_power(torch.fft.rfft(some, n=whole)) @ octaves for some in torch.split(envelopes, BANDS)]
            values: NDArray[np.float32] = torch.cat(energies).add_(EPS).log10_().mul_(10).reshape(1, -1).numpy()
        return values

    def _envelopes(self, waveform: "torch.Tensor") -> "torch.Tensor":
        """How the level of each band moves about its mean `[n_bands, N]`."""
        import torch

        length, step = len(waveform), BLOCK * self.hop_length
        starts = range(0, length - self.n_fft + 1, step)
        blocks = [waveform[start : start + step - self.hop_length + self.n_fft].numpy() for start in starts]
        levels = [self._remembered(block[None], self._levels)[0] for block in blocks]
        bands = torch.from_numpy(np.concatenate(levels)).T.contiguous()
        return bands.sub_(bands.mean(dim=1, keepdim=True))

    def _levels(self, blocks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Level of each band in the windows of a block `[1, T]` -> `[1, N, n_bands]`."""
        import torch

        windows = torch.from_numpy(blocks[0]).unfold(0, self.n_fft, self.hop_length)
        power = _power(torch.fft.rfft(windows * torch.hann_window(self.n_fft)))
        levels: NDArray[np.float32] = (power @ self._bands).sqrt_()[None].numpy()
        return levels


@lru_cache(maxsize=8)  # clips of a folder, and windows of a monitor, are of few lengths
def _octaves(length: int, whole: int, step: float, centres: tuple[float, ...]) -> "torch.Tensor":
    """Weights `[L, n]` in each octave of the transform of an envelope `step` seconds apart, filled up to `whole`."""
    import torch

    ratios = np.fft.rfftfreq(whole, step)[:, None] / np.array(centres)
    within = (ratios >= 2**-0.5) & (ratios < 2**0.5)
    return torch.from_numpy(within.astype(np.float32) / (length * whole))


def _power(spectrum: "torch.Tensor") -> "torch.Tensor":
    return spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
