"""Defects of recorded sound: clipping, silence, drop-outs, impossible samples; by position, not by block."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.errors import AudioError
from auscult.sound.audio import Block, channels_with_sound

BUCKET_SECONDS = 0.05
FULL_SCALE = 32766 / 32768
"""Samples of at least this size are clipped."""

CLIPPED_SHARE = 1e-3
"""More clipped samples than this in a window, and its sound is not the machine's: one bang is less."""

SILENCE_DECIBELS = -85.0
"""A window below, its mean removed, is silence: 16 bits resolve -90 dB of full scale."""

DROPOUT_SECONDS = 0.1
"""A constant stretch of at least about this length is a drop-out: no microphone is that quiet."""

IMPOSSIBLE = 1e3
"""Larger samples are no sound, but another format read as this one."""


@dataclass(frozen=True, slots=True)
class SoundLevel:
    """What a stretch of sound is like.

    Args:
        clipped: share of samples at full scale.
        decibels: root mean square without the mean, in dB of full scale; minus infinity for digital silence.
        dropout_seconds: longest stretch of equal samples, in whole buckets.
        impossible: samples that are not finite or absurdly large.
        peak: size of the greatest possible one.
        far: whether it is the far microphone of two.
    """

    clipped: float
    decibels: float
    dropout_seconds: float
    impossible: int
    peak: float = 0.0
    far: bool = False

    def problems(self) -> dict[str, str]:
        """Why the stretch says nothing about the machine: kind to sentence; empty if it is sound."""
        where = "the far microphone: " if self.far else ""
        return {kind: f"{where}{sentence}" for kind, sentence in self._problems().items()}

    def _problems(self) -> dict[str, str]:
        if self.impossible:
            return {
                "samples": f"{self.impossible} samples are no numbers or larger than any sound (full scale is 1); "
                "check the recorder, and the --format of raw samples"
            }
        if self.decibels < SILENCE_DECIBELS:
            return {
                "silence": f"silence ({self.decibels:.0f} dB of full scale); is the microphone connected and open, "
                "is the machine on?"
            }
        if self.clipped > CLIPPED_SHARE and self.peak > 1:
            return {
                "clipping": f"{self.clipped:.1%} of the samples are at full scale, which is 1, or beyond; they reach "
                f"{self.peak:.3g}. Lower the gain; where they are floats, write them within -1 and 1"
            }
        if self.clipped > CLIPPED_SHARE:
            return {"clipping": f"{self.clipped:.1%} of the samples are clipped; lower the gain"}
        if self.dropout_seconds >= DROPOUT_SECONDS:
            return {
                "dropout": f"the samples stand still for {self.dropout_seconds:.2f} s; the recorder loses sound, or "
                "fills what it lost with zeros"
            }
        return {}


def is_sound(waveform: Block, *, sample_rate: int) -> bool:
    """Whether a window says anything about a machine: no others are scored, so no others train or calibrate.

    Args:
        waveform: `[T]`, full scale is 1; or `[T, 2]`, where both microphones must say something.
        sample_rate: in Hz.

    Raises:
        AudioError: if it is shorter than two buckets.
    """
    return not problems_of(waveform, sample_rate=sample_rate)


def problems_of(waveform: Block, *, sample_rate: int) -> dict[str, str]:
    """Why a window says nothing about a machine; see `is_sound` and `SoundLevel.problems`."""
    seconds = len(waveform) / sample_rate
    levels = LevelMeter(sample_rate, seconds=seconds, channels=waveform.ndim)
    levels.feed(waveform)
    return levels.between(0.0, seconds).problems()


def channels_sentence(path: Path, channel: int) -> str:
    """Where the sound is in a file of several channels, if it is in others than this one; else empty."""
    others = channels_with_sound(path, decibels=SILENCE_DECIBELS)
    if channel in others or not others:
        return ""
    listed = ", ".join(map(str, others))
    return f"Channel {channel} was heard, and there is sound in {listed}: choose one with --channel, counted from 0."


class LevelMeter:
    """Measures blocks of any sizes in buckets of 50 ms, and keeps those of the last seconds.

    Args:
        sample_rate: of the blocks, in Hz.
        seconds: how far back `between` reaches.
        channels: 1, or 2 of a machine's two microphones.
    """

    def __init__(self, sample_rate: int, *, seconds: float, channels: int = 1) -> None:
        self.size = max(1, round(BUCKET_SECONDS * sample_rate))
        self.sample_rate = sample_rate
        self._tables = np.zeros((channels, math.ceil(seconds * sample_rate / self.size) + 2, 6))
        self._buckets = 0
        self._rest = np.zeros((channels, 0), dtype=np.float32)

    def feed(self, block: Block) -> None:
        """Measure a block, `[T]` or `[T, 2]`, shorter than the seconds that are kept."""
        sound = np.concatenate([self._rest, np.atleast_2d(block.T)], axis=1)
        count = sound.shape[1] // self.size
        self._rest = sound[:, count * self.size :].copy()
        if count:
            places = np.arange(self._buckets, self._buckets + count) % self._tables.shape[1]
            for table, channel in zip(self._tables, sound[:, : count * self.size], strict=True):
                table[places] = _measure(channel.reshape(count, self.size))
            self._buckets += count

    def between(self, start: float, stop: float) -> SoundLevel:
        """The level of a stretch, in seconds from the start of the recording; of the buckets that lie within.

        Of two microphones, that of the near one, or of the far one if it alone has a problem.

        Raises:
            AudioError: if the stretch holds no bucket, or is no longer (or not yet) known.
        """
        first = math.ceil(start * self.sample_rate / self.size - 1e-6)
        last = math.floor(stop * self.sample_rate / self.size + 1e-6)
        kept = self._tables.shape[1]
        if last <= first or last > self._buckets or first < self._buckets - kept:
            raise AudioError(
                f"the level from {start:.2f} s to {stop:.2f} s is not known; give windows of at least "
                f"{2 * BUCKET_SECONDS} s, in order"
            )
        found = [
            self._level(rows, far=place > 0)
            for place, rows in enumerate(self._tables[:, np.arange(first, last) % kept])
        ]
        return next((level for level in found if level.problems()), found[0])

    def _level(self, rows: NDArray[np.float64], *, far: bool) -> SoundLevel:
        clipped, total, squares, low, high, impossible = rows.T
        samples = len(rows) * self.size
        power = max(0.0, float(squares.sum() / samples - (total.sum() / samples) ** 2))
        still = low.min() == high.max()
        return SoundLevel(
            clipped=float(clipped.sum() / samples),
            decibels=10 * math.log10(power) if power > 0 and not still else -math.inf,
            dropout_seconds=_longest_run(low == high) * self.size / self.sample_rate if self.size > 1 else 0.0,
            impossible=int(impossible.sum()),
            peak=float(max(-low.min(), high.max())),
            far=far,
        )


def _measure(buckets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Clipped samples, sum, sum of squares, least, greatest, impossible ones `[C, 6]` of buckets `[C, T]`."""
    wrong = ~(np.abs(buckets) <= IMPOSSIBLE)
    values = np.where(wrong, 0.0, buckets.astype(np.float64))
    clipped = (np.abs(values) >= FULL_SCALE).sum(axis=1)
    columns = [clipped, values.sum(axis=1), np.square(values).sum(axis=1), values.min(axis=1), values.max(axis=1)]
    return np.stack([*columns, wrong.sum(axis=1)], axis=1)


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Length of the longest run of True.

    >>> _longest_run(np.array([True, False, True, True]))
    2
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
