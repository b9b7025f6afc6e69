"""Whether the sound still comes as it was learned, compared live in blocks of the learned length."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from auscult.sound.audio import near_of
from auscult.sound.condition import FRAME_SECONDS, Condition, band_levels, changed
from auscult.sound.windows import Window


class Drift:
    """Collects band levels of windows that share no sound, and compares each full block with the learned condition.

    One block in some hundreds strays though nothing has changed, and there are 1,440 minutes in a day: it takes two in
    a row to say that something has, and two to take it back.

    Args:
        learned: the condition of the machine.
        sample_rate: of the windows, in Hz.
    """

    def __init__(self, learned: Condition, *, sample_rate: int) -> None:
        self.learned, self.sample_rate = learned, sample_rate
        self._parts: deque[NDArray[np.float64]] = deque()
        self._frames = 0
        self._next = 0
        self._before = False  # whether the last block had strayed

    def restart(self) -> None:
        """A new recording begins, whose windows count from 0; the block goes on."""
        self._next = 0

    def update(self, window: Window) -> str | None:
        """What has changed, in sentences, at the end of a block that agrees with the one before: empty if nothing has.

        None within a block and after one that does not agree.
        """
        if window.start < self._next or len(window.samples) < round(FRAME_SECONDS * self.sample_rate):
            return None
        levels = band_levels(near_of(window.samples), sample_rate=self.sample_rate)
        self._next = window.start + len(window.samples)
        self._parts.append(levels)
        self._frames += len(levels)
        if self._frames < self.learned.frames:
            return None
        sentences = changed(np.concatenate(list(self._parts)), self.learned)
        self._parts.clear()
        self._frames = 0
        agrees, self._before = bool(sentences) == self._before, bool(sentences)
        return " ".join(sentences) if agrees else None
