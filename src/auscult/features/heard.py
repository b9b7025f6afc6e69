"""One sound as several front ends want it: what they share is made once."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from auscult.denoising.streaming import Denoiser
from auscult.errors import ModelError
from auscult.features.front_end import FrontEnd
from auscult.sound.audio import probe, read_waveform, resample

Waveform = NDArray[np.float32]

Key = tuple[str | None, str]
"""Of a front end: digest of its denoiser, and all else as JSON."""

Made = TypeVar("Made")


class HeardSound:
    """A file or samples; read once, resampled once to each rate, denoised once by each denoiser.

    Args:
        source: a file, or one channel of samples `[T]`.
        sample_rate: of samples, in Hz; a file has its own.

    Raises:
        ModelError: for samples without a rate, of another shape, or not finite.
    """

    def __init__(self, source: Path | Waveform, sample_rate: int | None = None) -> None:
        self.name = str(source) if isinstance(source, Path) else "the waveform"
        self._source, self._rate = source, sample_rate
        self._made: dict[tuple[object, ...], Any] = {}
        if isinstance(source, Path):
            return
        if sample_rate is None or sample_rate < 1:
            raise ModelError(f"the waveform came with the sample rate {sample_rate}; give its rate in Hz")
        if np.ndim(source) != 1 or not np.isfinite(source).all():
            raise ModelError(f"the waveform has the shape {np.shape(source)}; give one channel [T] of finite samples")

    def frames(self, front_end: FrontEnd, key: Key) -> NDArray[np.float32]:
        """Frames `[N, F]` of a front end, which `key_of` tells from others.

        Raises:
            AudioError: if the file cannot be read as it should be.
            FeatureError: if it is too short for a frame, or too loud for features.
        """
        return self._once(("frames", *key), lambda: front_end.frames(self._waveform(front_end, key[0]), name=self.name))

    def _waveform(self, front_end: FrontEnd, weights: str | None) -> Waveform:
        """At the rate of the features, denoised."""
        rate, channel, denoiser = front_end.features.sample_rate, front_end.channel, front_end.denoiser
        if denoiser is None:
            return self._at(rate, channel)
        heard = self._at(denoiser.sample_rate, channel)
        clean = self._once(("clean", channel, weights), lambda: denoiser(heard))
        return resample(clean, denoiser.sample_rate, rate)

    def _at(self, rate: int, channel: int) -> Waveform:
        return self._once(("at", channel, rate), lambda: resample(*self._native(channel), rate))

    def _native(self, channel: int) -> tuple[Waveform, int]:
        """As it was recorded, with its rate."""
        if not isinstance(self._source, Path):
            assert self._rate is not None
            return np.ascontiguousarray(self._source, dtype=np.float32), self._rate
        path = self._source

        def read() -> tuple[Waveform, int]:
            rate = probe(path).sample_rate
            return read_waveform(path, sample_rate=rate, channel=channel), rate

        return self._once(("native", channel), read)

    def _once(self, key: tuple[object, ...], make: Callable[[], Made]) -> Made:
        if key not in self._made:
            self._made[key] = make()
        found: Made = self._made[key]
        return found


def key_of(front_end: FrontEnd) -> Key:
    """Equal for front ends that give the same frames."""
    config = json.dumps([front_end.features.config(), front_end.channel], sort_keys=True)
    return None if front_end.denoiser is None else _digest(front_end.denoiser), config


def _digest(denoiser: Denoiser) -> str:
    """SHA-256 of a denoiser's weights and of how it cuts a sound."""
    found = hashlib.sha256(json.dumps([denoiser.sample_rate, denoiser.core, denoiser.overlap]).encode())
    for name, tensor in denoiser.unet.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
