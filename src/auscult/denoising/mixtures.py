"""Mixtures: clean mechanical sounds in the noise of other machines, drawn on the fly or fixed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auscult.errors import ModelError
from auscult.training import generator_of

Mixture = tuple[Tensor, Tensor]
"""Noisy and clean waveforms, both `[B, T]`."""

SNR_DB = (-5.0, 10.0)
"""Range of the input SNR in training, in dB."""
FIXED_SNR_DB = (-5.0, 0.0, 5.0, 10.0)
"""Input SNR of fixed mixtures in turn, in dB."""

SILENT = 1e-4
"""Amplitude up to which a clean sound's ends count as silence and are cut off; full scale is 1."""
_TRIES = 4
_AUDIBLE = 0.1  # root mean square of a clean crop, relative to its sound, below which another one is tried


class WaveBank:
    """Waveforms of any lengths, one behind the other on one device.

    Args:
        waveforms: each `[T]`, at one rate.
        device: where they lie.

    Raises:
        ModelError: if there is none or one is empty.
    """

    def __init__(self, waveforms: Sequence[NDArray[np.float32]], *, device: str = "cpu") -> None:
        if not waveforms or not all(len(waveform) for waveform in waveforms):
            raise ModelError("there is no sound to mix, or one of no length; give at least one sound")
        self.samples = torch.tensor(np.concatenate(waveforms), dtype=torch.float32, device=device)
        self.lengths = torch.tensor([len(waveform) for waveform in waveforms], device=device)
        self.offsets = self.lengths.cumsum(0) - self.lengths
        parts = torch.split(self.samples, self.lengths.tolist())
        self.rms = torch.stack([_rms(part) for part in parts])

    def __len__(self) -> int:
        return len(self.lengths)

    def crops(self, shape: tuple[int, ...], length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Crops at random places of random sounds; a sound that is too short lies somewhere in zeros.

        Returns:
            Crops `[*shape, length]` and the index of each one's sound `[*shape]`.
        """
        device = self.samples.device
        which = torch.randint(len(self), shape, generator=generator, device=device)
        room = self.lengths[which] - length
        place = (torch.rand(shape, generator=generator, device=device) * (room.abs() + 1)).long()
        first = torch.where(room >= 0, place, -place)
        inside = first[..., None] + torch.arange(length, device=device)  # [*shape, length]
        there = (inside >= 0) & (inside < self.lengths[which][..., None])
        index = self.offsets[which][..., None] + inside.clamp_min(0).minimum(self.lengths[which][..., None] - 1)
        return self.samples[index] * there, which


@dataclass(frozen=True)
class Mixer:
    """Draws mixtures of a clean sound with one or more noises.

    Attributes:
        clean: mechanical sounds without noise.
        noise: normal clips of other machine types.
        length: of a mixture, in samples.
        snr_db: range of the clean sound's power over that of all noise together, in dB.
        max_noises: clips of noise in a mixture: 1 to so many.
        gain_db: range of the gain on the clean sound, in dB.
        noise_gain_db: range of the level of further noises against the first, in dB.
    """

    clean: WaveBank
    noise: WaveBank
    length: int
    snr_db: tuple[float, float] = SNR_DB
    max_noises: int = 2
    gain_db: tuple[float, float] = (-12.0, 12.0)
    noise_gain_db: tuple[float, float] = (-10.0, 0.0)

    def draw(self, n: int, generator: torch.Generator, *, snr_db: Tensor | None = None) -> Mixture:
        """Some mixtures; `snr_db` `[n]` takes the place of random ones."""
        clean = self._clean(n, generator) * _decibels(self._uniform(self.gain_db, (n, 1), generator))
        noise = self._noise(n, generator)
        snr = self._uniform(self.snr_db, (n,), generator) if snr_db is None else snr_db
        noise = noise * (_rms(clean) / _rms(noise).clamp_min(1e-12) / _decibels(snr))[:, None]
        return clean + noise, clean

    def batches(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Iterator[Mixture]:
        """The batches of an epoch."""
        for _ in range(n_steps):
            yield self.draw(batch_size, generator)

    def fixed(self, n: int, *, seed: int, name: str) -> Mixture:
        """The same mixtures at every call with the same seed and name, with the SNRs of `FIXED_SNR_DB` in turn."""
        device = self.clean.samples.device
        snr = torch.tensor(FIXED_SNR_DB, device=device).repeat(-(-n // len(FIXED_SNR_DB)))[:n]
        return self.draw(n, generator_of(seed, "mixtures", name, device=device), snr_db=snr)

    def _clean(self, n: int, generator: torch.Generator) -> Tensor:
        """Crops `[n, T]`: the first audible one of some tries, or else the loudest."""
        crops, which = self.clean.crops((_TRIES, n), self.length, generator)
        loudness = _rms(crops)  # [tries, n]
        audible = loudness >= _AUDIBLE * self.clean.rms[which]
        chosen = torch.where(audible.any(0), audible.float().argmax(0), loudness.argmax(0))
        return crops[chosen, torch.arange(n, device=crops.device)]

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        """Sums `[n, T]` of one or more crops, the first the loudest."""
        crops, _ = self.noise.crops((n, self.max_noises), self.length, generator)
        count = torch.randint(1, self.max_noises + 1, (n, 1), generator=generator, device=crops.device)
        gains = _decibels(self._uniform(self.noise_gain_db, (n, self.max_noises), generator))
        gains[:, 0] = 1
        gains = gains * (torch.arange(self.max_noises, device=crops.device) < count)
        return ((gains / _rms(crops).clamp_min(1e-12))[..., None] * crops).sum(1)

    def _uniform(self, bounds: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        low, high = bounds
        return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def trim_silence(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut off the silence at both ends: `[T]` -> `[T']`, of no length if all is silent."""
    loud = np.flatnonzero(np.abs(waveform) > SILENT)
    return waveform[loud[0] : loud[-1] + 1] if len(loud) else waveform[:0]


def _rms(x: Tensor) -> Tensor:
    return x.square().mean(-1).sqrt()


def _decibels(gain: Tensor) -> Tensor:
    return torch.pow(10.0, gain / 20)
