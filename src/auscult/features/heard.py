"""One sound as several front ends hear it: what they share is made once."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auscult.errors import ModelError
from auscult.features.front_end import FrontEnd
from auscult.sound.audio import heard_of, resample

if TYPE_CHECKING:
    from auscult.denoising.streaming import Denoiser

Waveform = NDArray[np.float32]

Frames = Mapping[str, NDArray[np.float32]]
"""Frames `[N, F]` of one sound by the name of who wants them; those who share a front end share the array."""

Key = tuple[str | None, str]
"""Of a front end: digest of its denoiser, and all else as JSON."""


class FrontEnds:
    """Front ends that hear the same sound: resampled once to each rate, denoised once by each denoiser.

    Args:
        front_ends: by the name of who wants the frames; those of the same configuration give one array. All hear one
            channel, or all hear two.
    """

    def __init__(self, front_ends: Mapping[str, FrontEnd]) -> None:
        self._front_ends = {name: (key_of(front_end), front_end) for name, front_end in front_ends.items()}

    def frames(self, waveform: Waveform, *, sample_rate: int | None) -> Frames:
        """The frames of samples `[T]`, or `[T, 2]` of two microphones, with their rate in Hz.

        Raises:
            FeatureError: if the sound is too short for a frame, or too loud for features.
            ModelError: for samples without a rate, of another shape, or not finite.
        """
        if sample_rate is None or sample_rate < 1:
            raise ModelError(f"the waveform came with the sample rate {sample_rate}; give its rate in Hz")
        two = any(isinstance(front_end.channel, tuple) for _, front_end in self._front_ends.values())
        if np.ndim(waveform) != 1 + two or np.shape(waveform)[1:] != (2,) * two or not np.isfinite(waveform).all():
            wanted = "two channels [T, 2]" if two else "one channel [T]"
            raise ModelError(f"the waveform has the shape {np.shape(waveform)}; give {wanted} of finite samples")
        at = np.ascontiguousarray(waveform, dtype=np.float32)
        heard: dict[int, Waveform] = {}
        clean: dict[str | None, Waveform] = {}
        made: dict[Key, NDArray[np.float32]] = {}
        for key, front_end in self._front_ends.values():
            if key in made:
                continue
            rate, denoiser, read_at = front_end.features.sample_rate, front_end.denoiser, front_end.sample_rate
            if read_at not in heard:
                heard[read_at] = heard_of(resample(at, sample_rate, read_at))
            sound = heard[read_at]
            if denoiser is not None:
                if key[0] not in clean:
                    clean[key[0]] = denoiser(sound)
                sound = resample(clean[key[0]], read_at, rate)
            made[key] = front_end.frames(sound, name="the waveform")
        return {name: made[key] for name, (key, _) in self._front_ends.items()}


def key_of(front_end: FrontEnd) -> Key:
    """Equal for front ends that give the same frames."""
    config = json.dumps([front_end.features.config(), front_end.channel], sort_keys=True)
    return None if front_end.denoiser is None else _digest(front_end.denoiser), config


def _digest(denoiser: "Denoiser") -> str:
    """SHA-256 of a denoiser's weights and of how it cuts a sound."""
    found = hashlib.sha256(json.dumps([denoiser.sample_rate, denoiser.core, denoiser.overlap]).encode())
    for name, tensor in denoiser.unet.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
