"""Windows of sound: a file, an array or a live recording of any length, in blocks of any sizes, cut at exact places."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.errors import AudioError, MonitorError
from auscult.sound.audio import Block, Channel, open_blocks, resample, resampler
from auscult.sound.defects import IMPOSSIBLE, LevelMeter, SoundLevel

Waveform = NDArray[np.float32]

PIECE_SECONDS = 0.1
"""Live blocks are cut into pieces of at most this length, so that memory does not depend on their size."""

DELAY_SECONDS = 2.0
DELAY_SAMPLES = 32768
"""The resampler gives a sample out at most this much later than it took it: levels are kept for so long."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of sound.

    Args:
        index: its number in the recording, from 0.
        start: its first sample in the recording, at the scorer's rate.
        samples: `[T]`, or `[T, 2]` of two microphones; its own copy.
    """

    index: int
    start: int
    samples: Waveform


class SlidingWindows:
    """Cuts blocks, `[T]` or `[T, 2]`, of any sizes into windows; window i starts at sample `i * step`.

    It holds one window and the last block.

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
        self._blocks: list[Block] = []  # what is held, from the first sample of the next window on
        self._held = 0
        self._skip = 0  # samples between two windows, when the step is longer than a window

    def feed(self, block: Block) -> Iterator[Window]:
        """The windows that a block completes, in order."""
        skipped = min(self._skip, len(block))
        self._skip -= skipped
        self._blocks.append(block[skipped:].copy())
        self._held += len(block) - skipped
        if self._held < self.length:
            return
        held, place = np.concatenate(self._blocks), 0
        while len(held) - place >= self.length:
            yield Window(self.index, self.index * self.step, held[place : place + self.length].copy())
            self.index, place = self.index + 1, place + self.step
        self._skip = max(0, place - len(held))
        self._blocks, self._held = [held[place:].copy()], max(0, len(held) - place)

    def rest(self) -> Waveform:
        """What belongs to no window yet."""
        return np.concatenate(self._blocks) if self._blocks else np.empty(0, dtype=np.float32)


def windows_of(blocks: Iterable[Block], *, length: int, step: int) -> Iterator[Window]:
    """The windows of a whole sound; one that is shorter than a window is given as it is.

    What lies behind the last whole step belongs to no window.

    Args:
        blocks: the sound in parts, `[T]` or `[T, 2]`, of any lengths.
        length: of a window, in samples.
        step: from one window to the next, in samples.
    """
    windows = SlidingWindows(length, step)
    for block in blocks:
        yield from windows.feed(block)
    if windows.index == 0 and len(rest := windows.rest()):
        yield Window(0, 0, rest)


class Stream(SlidingWindows):
    """One unbroken recording: blocks at the source's rate to windows at the scorer's, with the level of each.

    Levels are measured at the source's rate, where clipping is still flat. Impossible samples are heard as 0, and the
    level says so.

    Args:
        sample_rate: of the scorer, in Hz.
        window_seconds: length of a window.
        step_seconds: distance of their starts.
        source_rate: of the source, in Hz; at least the scorer's.
        channels: of its blocks: 1, `[T]`, or 2, `[T, 2]`.

    Raises:
        MonitorError: if the source's rate is too low.
    """

    def __init__(
        self, *, sample_rate: int, window_seconds: float, step_seconds: float, source_rate: int, channels: int = 1
    ) -> None:
        require_rate("the source", source_rate, sample_rate)
        super().__init__(round(window_seconds * sample_rate), round(step_seconds * sample_rate))
        self.sample_rate, self.source_rate = sample_rate, source_rate
        kept = window_seconds + DELAY_SECONDS + DELAY_SAMPLES / source_rate
        self.levels = LevelMeter(source_rate, seconds=kept, channels=channels)
        self.samples = 0  # that came in, at the source's rate
        self._resampler = resampler(source_rate, sample_rate, channels=channels)
        self._shape = () if channels == 1 else (channels,)

    @property
    def seconds(self) -> float:
        """Sound that came in."""
        return self.samples / self.source_rate

    def measured(self, block: Block, *, last: bool = False) -> Iterator[tuple[Window, SoundLevel]]:
        """The windows that a block completes; with the last one, which may be empty, also what was held back."""
        size = max(1, round(PIECE_SECONDS * self.source_rate))
        for start in range(0, max(len(block), last), size):
            piece = np.ascontiguousarray(block[start : start + size], dtype=np.float32).reshape(-1, *self._shape)
            self.levels.feed(piece)
            self.samples += len(piece)
            piece = np.where(np.abs(piece) <= IMPOSSIBLE, piece, np.float32(0.0))
            if self._resampler is not None and self.samples:
                piece = self._resampler.resample_chunk(piece, last=last and start + size >= len(block))
            for window in self.feed(piece):
                begin = window.start / self.sample_rate
                yield window, self.levels.between(begin, begin + self.length / self.sample_rate)


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


def sound_blocks(
    sound: Path | str | ArrayLike, *, sample_rate: int, given_rate: int | None = None, channel: Channel = 0
) -> tuple[int, Iterator[Block]]:
    """The rate at which a sound was given, in Hz, and its blocks `[T]` at the asked rate, `[T, 2]` of two channels.

    Args:
        sound: a file, or a waveform like its blocks, full scale is 1.
        sample_rate: asked for, in Hz.
        given_rate: of a waveform, in Hz.
        channel: of a file; with two, a waveform has two.

    Raises:
        AudioError: if the file cannot be read, or the array is no waveform or has no rate.
    """
    if isinstance(sound, (Path, str)):
        return open_blocks(Path(sound), sample_rate=sample_rate, channel=channel)
    waveform = np.asarray(sound)
    shape = () if isinstance(channel, int) else (2,)
    if waveform.dtype.kind not in "fiu" or not waveform.ndim or waveform.shape[1:] != shape or not len(waveform):
        wanted = "two channels, [T, 2], near the machine and far from it" if shape else "one channel, [T]"
        raise AudioError(f"an array of shape {waveform.shape} and type {waveform.dtype} is no sound; give {wanted}")
    if waveform.dtype.kind != "f":
        raise AudioError(f"samples of type {waveform.dtype} have no full scale; give floats, where full scale is 1")
    if not isinstance(given_rate, int) or given_rate < 1:
        raise AudioError(f"the sample rate of the array is {given_rate!r}; give it in Hz, a whole number")
    if not np.isfinite(waveform).all():
        raise AudioError("the array holds samples that are not finite; repair or leave out the sound")
    whole = resample(np.ascontiguousarray(waveform, dtype=np.float32), given_rate, sample_rate)
    return given_rate, iter([whole])


def cut(blocks: Iterable[Block], *, first: int, last: int) -> Iterator[Block]:
    """The samples from `first` up to `last` of a sound in parts, in parts."""
    place = 0
    for block in blocks:
        if place >= last:
            return
        if place + len(block) > first:
            yield block[max(0, first - place) : last - place]
        place += len(block)
