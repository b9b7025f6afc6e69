"""Toy features: the level of a few bands. Add them: `FEATURES["bands"] = Bands`."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from auscult.features import Features


class Bands(Features):
    kind: ClassVar[str] = "bands"

    def __init__(self, sample_rate: int, *, n_bands: int = 8) -> None:
        self.sample_rate, self.n_bands = sample_rate, n_bands
        self.length = sample_rate // 20
        self.n_bins, self.frame_rate = n_bands, sample_rate / self.length

    def n_frames(self, n_samples: int) -> int:
        return n_samples // self.length

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        frames = waveform[: self.n_frames(len(waveform)) * self.length].reshape(-1, self.length)
        power = np.abs(np.fft.rfft(frames)[:, 1:]) ** 2  # [N, length / 2]
        bands = np.array_split(power, self.n_bands, axis=1)
        return np.log10(np.stack([band.mean(axis=1) for band in bands], axis=1) + 1e-9).astype(np.float32)
