"""The last sound of a machine, kept so that an alarm can be heard with some seconds before it."""

import io
from collections import deque
from collections.abc import Sequence

import numpy as np
import soundfile
from numpy.typing import NDArray

from auscult.live.history import Sound
from auscult.sound.windows import Window

BEFORE_SECONDS = 10.0
"""Of sound before the windows that raised an alarm."""

MOST_SECONDS = 120.0
"""Of one kept sound; of a longer one, its end."""

FULL_SCALE = 2**23
"""Of 24 bits: 16 bits, as floats of which 1 is full scale, fit in without a change."""


class KeptSound:
    """Holds the end of one unbroken recording, at the scorer's rate, from its windows: what an alarm raised now keeps.

    Args:
        sample_rate: in Hz.
        raised_by: seconds of the windows that raise an alarm, together.
    """

    def __init__(self, sample_rate: int, *, raised_by: float) -> None:
        self.sample_rate, self._raised_by = sample_rate, raised_by
        self._wanted = round(min(BEFORE_SECONDS + raised_by, MOST_SECONDS) * sample_rate)
        self._parts: deque[NDArray[np.float32]] = deque()
        self._held = self._end = 0  # samples that are held; the place behind the last one in the recording

    def restart(self) -> None:
        """A new recording begins: its sound does not go on from that before."""
        self._parts.clear()
        self._held = self._end = 0

    def add(self, window: Window) -> None:
        """The next window of the recording; what lay between it and the last one was not heard, if anything did."""
        if window.start > self._end:
            self.restart()
            self._end = window.start
        new = window.samples[self._end - window.start :].copy()
        self._parts.append(new)
        self._held, self._end = self._held + len(new), self._end + len(new)
        while self._held - len(self._parts[0]) >= self._wanted:
            self._held -= len(self._parts.popleft())

    def sounds(self, raised: Sequence[str], *, end: float) -> dict[str, Sound]:
        """The sound of alarms and warnings that are raised now, by their ids; none if it cannot be encoded.

        Args:
            raised: ids, of all of them at this window.
            end: time of the last sample, in seconds since 1970.
        """
        if not raised or not self._held:
            return {}
        samples = np.concatenate(list(self._parts))[-self._wanted :]
        seconds = len(samples) / self.sample_rate
        try:
            flac = flac_of(samples, sample_rate=self.sample_rate)
        except soundfile.LibsndfileError:  # an alarm is raised, whatever becomes of its sound
            return {}
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        before = max(0.0, seconds - self._raised_by)
        return dict.fromkeys(raised, Sound(end - seconds, before, self.sample_rate, flac, seconds, channels))


def flac_of(samples: NDArray[np.float32], *, sample_rate: int) -> bytes:
    """A FLAC file of 24 bits, which holds samples of 16 bits exactly.

    Args:
        samples: `[T]` or `[T, 2]`; 1 is full scale, louder ones are clipped.
        sample_rate: in Hz.

    Raises:
        soundfile.LibsndfileError: if FLAC does not know the rate.
    """
    whole = np.clip(np.rint(samples.astype(np.float64) * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    file = io.BytesIO()
    soundfile.write(file, whole.astype(np.int32) << 8, sample_rate, format="FLAC", subtype="PCM_24")
    return file.getvalue()
