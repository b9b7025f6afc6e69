"""Mel spectrograms: logarithmic in decibels, square root, or linear (report, sections 2.3, 3.2 and 4)."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from auscult.errors import FeatureError
from auscult.features.base import Features
from auscult.features.mel import mel_filters, mel_frequencies

if TYPE_CHECKING:
    import torch

Scale = Literal["log", "sqrt", "linear"]

EPS = float(np.finfo(np.float64).eps)
"""Added to the power before the logarithm, as the DCASE 2020 baseline does: digital silence is -156.5 dB."""


BLOCK = 128
"""Frames that are transformed at once: their spectra stay in the processor's cache."""


class LogMel(Features):
    """Log-mel spectrogram in decibels, `10 log10(x + eps)`; or the root of the mel power; or the power itself.

    Power STFT (periodic Hann window, centred, zero-padded) and Slaney's mel filters, as librosa computes them. A filter
    that is narrower than the distance of the FFT's bins can be empty: its bin is constant, and models that standardise
    leave it at 0. The FFT is computed in float32, or in float64 where the lowest filters lie closer than its bins: such
    filters do not average the rounding errors of weak bins away, which then reach 4e-4 dB.

    Args:
        sample_rate: in Hz.
        n_fft: length of window and FFT, in samples.
        hop_length: in samples.
        n_mels: number of mel bins F.
        fmin: lower edge of the lowest filter, in Hz.
        fmax: upper edge of the highest filter, in Hz; half the sample rate if none is given.
        scale: `"log"`, `"sqrt"` or `"linear"`.

    Shape:
        `[T]` -> `[N, n_mels]` with `N = 1 + T // hop_length`.

    Raises:
        FeatureError: for arguments out of range, and for a waveform shorter than `n_fft`.

    References:
        Koizumi et al., DCASE 2020 Task 2, arXiv:2006.05822.

    >>> LogMel(16000, n_fft=1024, hop_length=512, n_mels=64)(np.ones(16000, dtype=np.float32)).shape
    (32, 64)
    """

    kind: ClassVar[str] = "log_mel"
    limits: ClassVar[Mapping[str, int]] = {"sample_rate": 768000, "n_fft": 65536, "n_mels": 8192, "hop_length": 768000}

    def __init__(
        self,
        sample_rate: int,
        *,
        n_fft: int = 1024,
        hop_length: int = 512,
        n_mels: int = 128,
        fmin: float = 0.0,
        fmax: float | None = None,
        scale: Scale = "log",
    ) -> None:
        for name, value in (
            ("sample_rate", sample_rate),
            ("n_fft", n_fft),
            ("hop_length", hop_length),
            ("n_mels", n_mels),
        ):
            if not isinstance(value, int) or value < 1:
                raise FeatureError(f"log_mel: {name} is {value!r}; it must be a whole number of at least 1")
        if scale not in get_args(Scale):
            raise FeatureError(f"log_mel: scale is {scale!r}; choose one of {', '.join(get_args(Scale))}")
        self.fmax = sample_rate / 2 if fmax is None else float(fmax)
        if not 0 <= fmin < self.fmax <= sample_rate / 2:
            raise FeatureError(
                f"log_mel: the band is {fmin} to {self.fmax} Hz; it must rise and lie between 0 and half the sample "
                f"rate, {sample_rate / 2} Hz"
            )
        self.sample_rate, self.n_fft, self.hop_length, self.n_bins = sample_rate, n_fft, hop_length, n_mels
        self.fmin, self.scale = float(fmin), scale
        self.frame_rate = sample_rate / hop_length

    def config(self) -> dict[str, Any]:
        """All arguments of the constructor."""
        return {
            "kind": self.kind,
            "sample_rate": self.sample_rate,
            "n_fft": self.n_fft,
            "hop_length": self.hop_length,
            "n_mels": self.n_bins,
            "fmin": self.fmin,
            "fmax": self.fmax,
            "scale": self.scale,
        }

    def n_frames(self, n_samples: int) -> int:
        """Frames N of a waveform of so many samples."""
        return 1 + n_samples // self.hop_length

    @property
    def bin_frequencies(self) -> NDArray[np.float64]:
        """Centre of each mel filter, in Hz `[n_mels]`."""
        return mel_frequencies(self.n_bins + 2, fmin=self.fmin, fmax=self.fmax)[1:-1]

    @cached_property
    def _filters(self) -> "torch.Tensor":
        """Mel filters `[n_fft // 2 + 1, n_mels]`."""
        import torch

        filters = mel_filters(self.sample_rate, n_fft=self.n_fft, n_mels=self.n_bins, fmin=self.fmin, fmax=self.fmax)
        return torch.from_numpy(filters).T.contiguous()

    @cached_property
    def _window(self) -> "torch.Tensor":
        """Periodic Hann window `[n_fft]`, in the precision of the FFT."""
        import torch

        narrow = self.bin_frequencies[0] - self.fmin < self.sample_rate / self.n_fft
        return torch.hann_window(self.n_fft, dtype=torch.float64 if narrow else torch.float32)

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the frames of one waveform `[T]` -> `[N, n_mels]`."""
        import torch

        if waveform.ndim != 1:
            raise FeatureError(f"log_mel: the waveform has the shape {waveform.shape}; give one channel, [T]")
        if len(waveform) < self.n_fft:
            raise FeatureError(
                f"log_mel: the clip has {len(waveform)} samples at {self.sample_rate} Hz; a frame needs {self.n_fft}. "
                "Remove the clip or choose a smaller n_fft"
            )
        with torch.inference_mode():
            samples, margin = torch.from_numpy(waveform).to(self._window.dtype), self.n_fft // 2
            padded = torch.nn.functional.pad(samples, (margin, margin))
            windows = padded.unfold(0, self.n_fft, self.hop_length)  # [N, n_fft], a view
            mel = torch.empty(len(windows), self.n_bins)
            for start in range(0, len(windows), BLOCK):
                spectrum = torch.fft.rfft(windows[start : start + BLOCK] * self._window)  # [BLOCK, n_fft // 2 + 1]
                power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag).float()
                torch.mm(power, self._filters, out=mel[start : start + BLOCK])
            if self.scale == "log":
                mel = mel.add_(EPS).log10_().mul_(10)
            elif self.scale == "sqrt":
                mel = mel.sqrt_()
            frames: NDArray[np.float32] = mel.numpy()
        return frames
