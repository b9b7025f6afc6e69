"""From blocks of any sizes to windows at exact positions: streaming resampling, a buffer of one window, levels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.errors import MonitorError
from auscult.sound.audio import Block
from auscult.sound.defects import IMPOSSIBLE, LevelMeter, SoundLevel

PIECE_SECONDS = 0.1
"""Blocks are cut into pieces of at most this length, so that memory does not depend on their size."""

DELAY_SECONDS = 2.0
DELAY_SAMPLES = 32768
"""The resampler gives a sample out at most this much later than it took it: levels are kept for so long."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of sound.

    Args:
        index: its number in the recording, from 0.
        start: its first sample in the recording, at the scorer's rate.
        samples: `[T]`, its own copy.
    """

    index: int
    start: int
    samples: NDArray[np.float32]


class SlidingWindows:
    """Cuts blocks `[T]` of any sizes into windows; window i starts at sample `i * step`.

    It holds one window, however large the blocks are.

    Args:
        length: of a window, in samples.
        step: distance of their starts, in samples.

    >>> [list(window.samples) for window in SlidingWindows(3, 2).feed(np.arange(6, dtype=np.float32))]
    [[np.float32(0.0), np.float32(1.0), np.float32(2.0)], [np.float32(2.0), np.float32(3.0), np.float32(4.0)]]
    """

    def __init__(self, length: int, step: int) -> None:
        if length < 1 or step < 1:
            raise MonitorError(
                f"windows of {length} samples every {step} samples do not exist; give at least 1 of each"
            )
        self.length, self.step = length, step
        self.index = 0
        self._buffer = np.empty(length, dtype=np.float32)
        self._held = 0
        self._skip = 0  # samples between two windows, when the step is longer than a window

    def feed(self, block: Block) -> Iterator[Window]:
        """The windows that a block completes, in order."""
        while len(block):
            if self._skip:
                skipped = min(self._skip, len(block))
                self._skip, block = self._skip - skipped, block[skipped:]
                continue
            taken = min(self.length - self._held, len(block))
            self._buffer[self._held : self._held + taken] = block[:taken]
            self._held, block = self._held + taken, block[taken:]
            if self._held == self.length:
                yield Window(self.index, self.index * self.step, self._buffer.copy())
                self._advance()

    def _advance(self) -> None:
        self.index += 1
        self._held = max(0, self.length - self.step)
        self._skip = max(0, self.step - self.length)
        self._buffer[: self._held] = self._buffer[self.length - self._held :].copy()


class Stream:
    """One unbroken recording: blocks at the source's rate to windows at the scorer's, with the level of each.

    Levels are measured at the source's rate, where clipping is still flat. Impossible samples are heard as 0, and the
    level says so.

    Args:
        sample_rate: of the scorer, in Hz.
        window_seconds: length of a window.
        step_seconds: distance of their starts.
        source_rate: of the source, in Hz; at least the scorer's.

    Raises:
        MonitorError: if the source's rate is too low.
    """

    def __init__(self, *, sample_rate: int, window_seconds: float, step_seconds: float, source_rate: int) -> None:
        require_rate("the source", source_rate, sample_rate)
        self.sample_rate, self.source_rate = sample_rate, source_rate
        self.windows = SlidingWindows(round(window_seconds * sample_rate), round(step_seconds * sample_rate))
        self.levels = LevelMeter(source_rate, seconds=window_seconds + DELAY_SECONDS + DELAY_SAMPLES / source_rate)
        self.samples = 0  # that came in, at the source's rate
        self._resampler = None
        if source_rate != sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(source_rate, sample_rate, 1, dtype="float32", quality="HQ")

    @property
    def seconds(self) -> float:
        """Sound that came in."""
        return self.samples / self.source_rate

    @property
    def window_seconds(self) -> float:
        """Length of a window."""
        return self.windows.length / self.sample_rate

    def feed(self, block: Block) -> Iterator[tuple[Window, SoundLevel]]:
        """The windows that a block `[T]` completes."""
        size = max(1, round(PIECE_SECONDS * self.source_rate))
        for start in range(0, len(block), size):
            piece = np.ascontiguousarray(block[start : start + size], dtype=np.float32)
            self.levels.feed(piece)
            self.samples += len(piece)
            piece = np.where(np.abs(piece) <= IMPOSSIBLE, piece, np.float32(0.0))
            yield from self._feed(piece if self._resampler is None else self._resampler.resample_chunk(piece))

    def finish(self) -> Iterator[tuple[Window, SoundLevel]]:
        """The windows that the resampler still held, at the end of the recording."""
        if self._resampler is not None and self.samples:
            rest = self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            self._resampler = None
            yield from self._feed(rest)

    def _feed(self, piece: Block) -> Iterator[tuple[Window, SoundLevel]]:
        for window in self.windows.feed(piece):
            start = window.start / self.sample_rate
            yield window, self.levels.between(start, start + self.window_seconds)


def require_rate(source: str, source_rate: int, sample_rate: int) -> None:
    """Refuse a source whose upper bands the scorer would miss.

    Raises:
        MonitorError: if the source's rate, in Hz, is below the scorer's.
    """
    if source_rate < sample_rate:
        raise MonitorError(
            f"{source} has {source_rate} Hz, but the detector hears up to {sample_rate // 2} Hz and needs at least "
            f"{sample_rate} Hz; record at {sample_rate} Hz or more, which is resampled"
        )
