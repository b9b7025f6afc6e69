"""Sounds as a detector hears them: a file or an array of any length, cut into windows of equal length."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.errors import AudioError
from auscult.sound.audio import blocks_of, resample

Waveform = NDArray[np.float32]


def sound_blocks(
    sound: Path | str | ArrayLike, *, sample_rate: int, given_rate: int | None = None, channel: int = 0
) -> Iterator[Waveform]:
    """A sound at the asked rate, block by block.

    Args:
        sound: a file, or a waveform `[T]`, full scale is 1.
        sample_rate: asked for, in Hz.
        given_rate: of a waveform, in Hz.
        channel: of a file, counted from 0.

    Raises:
        AudioError: if the file cannot be read, or the array is no waveform or has no rate.
    """
    if isinstance(sound, (Path, str)):
        yield from blocks_of(Path(sound), sample_rate=sample_rate, channel=channel)
        return
    waveform = np.asarray(sound)
    if waveform.dtype.kind not in "fiu" or waveform.ndim != 1 or not len(waveform):
        raise AudioError(
            f"an array of shape {waveform.shape} and type {waveform.dtype} is no sound; give one channel, [T]"
        )
    if waveform.dtype.kind != "f":
        raise AudioError(f"samples of type {waveform.dtype} have no full scale; give floats, where full scale is 1")
    if not isinstance(given_rate, int) or given_rate < 1:
        raise AudioError(f"the sample rate of the array is {given_rate!r}; give it in Hz, a whole number")
    if not np.isfinite(waveform).all():
        raise AudioError("the array holds samples that are not finite; repair or leave out the sound")
    yield resample(np.ascontiguousarray(waveform, dtype=np.float32), given_rate, sample_rate)


def windows_of(blocks: Iterable[Waveform], *, length: int, step: int) -> Iterator[tuple[int, Waveform]]:
    """The windows of a sound with their first samples; a sound shorter than one window is given as it is.

    What lies behind the last whole step belongs to no window.

    Args:
        blocks: the sound in parts `[T]` of any lengths.
        length: of a window, in samples.
        step: from one window to the next, in samples.
    """
    held, first, skip = np.zeros(0, dtype=np.float32), 0, 0
    for block in blocks:
        dropped = min(skip, len(block))
        skip -= dropped
        held = np.concatenate([held, block[dropped:]])
        place = 0
        while len(held) - place >= length:
            yield first, held[place : place + length]
            place, first = place + step, first + step
        skip += max(0, place - len(held))
        held = held[place:]
    if first == 0 and len(held):
        yield 0, held


def cut(blocks: Iterable[Waveform], *, first: int, last: int) -> Iterator[Waveform]:
    """The samples from `first` up to `last` of a sound in parts `[T]`, in parts."""
    place = 0
    for block in blocks:
        if place >= last:
            return
        if place + len(block) > first:
            yield block[max(0, first - place) : last - place]
        place += len(block)
