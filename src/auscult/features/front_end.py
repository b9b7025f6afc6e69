"""The front end: from a file to frames. Reads, subtracts, denoises, resamples, computes the features."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auscult.errors import FeatureError
from auscult.features.base import Features
from auscult.sound.audio import Channel, heard_of, read_waveform, resample

if TYPE_CHECKING:
    from auscult.denoising.streaming import Denoiser


class FrontEnd:
    """Reads a file and computes its features.

    Args:
        features: what to compute.
        channel: which channel of a multi-channel file, counted from 0; or two, near the machine and far from it: what
            the far one predicts of the near one is subtracted first.
        denoiser: what a sound passes through then, at the denoiser's rate.

    Shape:
        path -> `[N, F]`.
    """

    def __init__(
        self,
        features: Features,
        *,
        channel: Channel = 0,
        denoiser: "Denoiser | None" = None,
    ) -> None:
        self.features, self.channel, self.denoiser = features, channel, denoiser

    @property
    def sample_rate(self) -> int:
        """At which sounds are read, in Hz."""
        return self.features.sample_rate if self.denoiser is None else self.denoiser.sample_rate

    def waveform(self, path: Path) -> NDArray[np.float32]:
        """What the features are computed of: one channel of a file at their rate `[T]`, subtracted and denoised.

        Raises:
            AudioError: if the file cannot be read as it should be.
        """
        rate = self.features.sample_rate
        heard = heard_of(read_waveform(path, sample_rate=self.sample_rate, channel=self.channel))
        return heard if self.denoiser is None else resample(self.denoiser(heard), self.denoiser.sample_rate, rate)

    def __call__(self, path: Path) -> NDArray[np.float32]:
        """Compute the frames of one file.

        Raises:
            AudioError: if the file cannot be read as it should be.
            FeatureError: if it is too short for a frame, or its samples are too large for features; both name the file.
        """
        return self.frames(self.waveform(path), name=str(path))

    def frames(self, waveform: NDArray[np.float32], *, name: str) -> NDArray[np.float32]:
        """Compute the frames of what `waveform` gives, `[T]` -> `[N, F]`.

        Raises:
            FeatureError: as above, with the given name of the sound.
        """
        try:
            frames = self.features(waveform)
        except FeatureError as error:
            raise FeatureError(f"{name}: {error}") from error
        if not np.isfinite(frames).all():
            raise FeatureError(
                f"{name}: the features are not finite; samples reach {np.abs(waveform).max():.3g} where full scale is "
                "1. Repair or remove the file"
            )
        return frames
