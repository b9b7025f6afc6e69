"""From a path to a waveform: one stated channel, finite, at the asked rate, or an error that names the file."""

import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from auscult.errors import AudioError
from auscult.sound.header import open_mended, promise_of

if TYPE_CHECKING:
    import soundfile
    import soxr

SUFFIXES = (".wav", ".flac", ".ogg")
"""File names that are taken for audio, in lower case."""

Block = NDArray[np.float32]
"""Part of a waveform `[T]`."""

Codec = Literal["lossless", "lossy"]

RATES = (250, 768_000)
"""Lowest and highest sample rate of a file, in Hz: others are damage, and resampling them takes any memory."""

MOST_SAMPLES = 2**27
"""A waveform that is read as a whole has at most so many: 2.3 hours at 16 kHz."""

_BLOCK = 2**19  # samples of a file that are read at once
_WIDE_BLOCK = 2**22  # of all channels


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says: `sample_rate` in Hz, `n_samples` per channel, `duration` in seconds.

    `note` is what is worth knowing of a file that is read all the same.
    """

    sample_rate: int
    channels: int
    n_samples: int
    subtype: str
    note: str = ""

    @property
    def codec(self) -> "Codec":
        """Whether the samples are those of the recorder, or were coded with loss."""
        kept = self.subtype.startswith(("PCM", "ALAC")) or self.subtype in ("FLOAT", "DOUBLE", "DPCM_8", "DPCM_16")
        return "lossless" if kept else "lossy"

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate


def probe(path: Path) -> AudioInfo:
    """Read a file's header.

    Raises:
        AudioError: if the file cannot be read, is no audio, is empty, or ends before its header says.
    """
    with _open(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames, file.subtype, promise_of(path).note)


def head(path: Path, seconds: float, *, channel: int = 0) -> Block:
    """The beginning `[T]` of a file, at its own rate.

    Raises:
        AudioError: as `open_blocks`.
    """
    rate, blocks = open_blocks(path, channel=channel)
    taken: list[Block] = []
    with closing(blocks):  # type: ignore[type-var]
        for block in blocks:
            taken.append(block)
            if sum(map(len, taken)) >= seconds * rate:
                break
    return np.concatenate(taken)[: max(1, round(seconds * rate))]


def channels_with_sound(path: Path, *, decibels: float) -> list[int]:
    """The channels of a file, counted from 0, that are anywhere louder than a level in dB of full scale.

    Raises:
        AudioError: as `probe`.
    """
    found: set[int] = set()
    with _open(path) as file:
        for block in file.blocks(max(1, _WIDE_BLOCK // 64 // file.channels), dtype="float32", always_2d=True):
            found.update(np.flatnonzero(block.std(axis=0) > 10 ** (decibels / 20)).tolist())
    return sorted(found)


def read_waveform(path: Path, *, sample_rate: int, channel: int = 0) -> NDArray[np.float32]:
    """Read one channel of a wav, flac or ogg file at the asked rate.

    Args:
        path: the file.
        sample_rate: in Hz; another rate in the file is resampled (soxr, quality HQ).
        channel: which channel of a multi-channel file, counted from 0. Channels are never mixed: a mixture of
            microphones is a recording that nobody made.

    Returns:
        Waveform `[T]`, full scale is 1.

    Raises:
        AudioError: if the file cannot be read, is no audio, is empty, ends before its header says, lacks the channel,
            holds a sample that is not finite, or is too long to be read as a whole.
    """
    with _open(path) as file:
        native_rate, expected = file.samplerate, file.frames
    if max(expected, expected * sample_rate // native_rate) > MOST_SAMPLES:
        raise AudioError(
            f"{path} has {expected} samples at {native_rate} Hz, and is to be read as a whole at {sample_rate} Hz; at "
            f"most {MOST_SAMPLES} samples are, so cut it into shorter recordings"
        )
    blocks = [*blocks_of(path, sample_rate=native_rate, channel=channel)]
    return resample(blocks[0] if len(blocks) == 1 else np.concatenate(blocks), native_rate, sample_rate)


def blocks_of(path: Path, *, sample_rate: int, channel: int = 0) -> Iterator[Block]:
    """Read a file of any length block by block; see `open_blocks`."""
    return open_blocks(path, sample_rate=sample_rate, channel=channel)[1]


def open_blocks(path: Path, *, sample_rate: int | None = None, channel: int = 0) -> tuple[int, Iterator[Block]]:
    """A file's rate in Hz, and its blocks `[T]`: with the checks and, within rounding, the samples of `read_waveform`.

    Args:
        path: the file.
        sample_rate: of the blocks, in Hz; none for the file's own.
        channel: counted from 0.

    Raises:
        AudioError: as `read_waveform`; while the blocks are read, when the damaged place is reached.
    """
    file = _open(path)
    try:
        require_channel(path, file.channels, channel)
    except AudioError:
        file.close()
        raise
    return file.samplerate, _blocks(path, file, sample_rate or file.samplerate, channel)


def _blocks(path: Path, file: "soundfile.SoundFile", sample_rate: int, channel: int) -> Iterator[Block]:
    with file:
        expected, native_rate, done = file.frames, file.samplerate, 0
        stream = resampler(native_rate, sample_rate)
        while done < expected:
            samples = _read(path, file, channel, min(_BLOCK, max(1, _WIDE_BLOCK // file.channels), expected - done))
            if not len(samples):
                raise _truncated(path, f"{done} of {expected} samples are there")
            _require_finite(path, samples, native_rate, first=done)
            done += len(samples)
            block = np.ascontiguousarray(samples)
            yield block if stream is None else stream.resample_chunk(block, last=done >= expected)


def resampler(from_rate: int, to_rate: int) -> "soxr.ResampleStream | None":
    """What resamples block by block, with the quality of `resample`; none if the rates, in Hz, are equal."""
    if from_rate == to_rate:
        return None
    import soxr

    return soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")


def require_channel(path: Path, channels: int, channel: int) -> None:
    """Refuse a channel that a file of so many does not have.

    Raises:
        AudioError: if it lacks the channel.
    """
    if not 0 <= channel < channels:
        raise AudioError(
            f"{path}: channel {channel} was asked for; the file has {channels}, counted from 0. Choose one of them"
        )


def _read(path: Path, file: "soundfile.SoundFile", channel: int, n_samples: int) -> Block:
    """The next samples of a channel, `[n_samples]` or fewer at the end."""
    try:
        if file.subtype == "PCM_16":  # the same values as float32 gives, three times as fast
            whole: Block = file.read(n_samples, dtype="int16", always_2d=True)[:, channel] * np.float32(2**-15)
            return whole
        samples: Block = file.read(n_samples, dtype="float32", always_2d=True)[:, channel]
        return samples
    except RuntimeError as error:  # soundfile.LibsndfileError is one
        raise AudioError(f"{path}: the audio is damaged ({error}); record or copy the file again") from error


def _require_finite(path: Path, samples: Block, native_rate: int, *, first: int) -> None:
    if not np.isfinite(samples).all():
        bad = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise AudioError(
            f"{path}: sample {first + bad} (at {(first + bad) / native_rate:.3f} s) is {samples[bad]}; "
            "samples must be finite numbers. Repair or remove the file"
        )


def resample(waveform: NDArray[np.float32], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Resample with soxr's high quality.

    Args:
        waveform: `[T]`.
        from_rate: its rate, in Hz.
        to_rate: the rate asked for, in Hz.

    Shape:
        `[T]` -> `[round(T * to_rate / from_rate)]`; the same array when the rates are equal.
    """
    if from_rate == to_rate:
        return waveform
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(waveform, from_rate, to_rate, quality="HQ")
    return resampled


def _open(path: Path) -> "soundfile.SoundFile":
    if not path.exists():
        raise AudioError(f"{path} does not exist; check the path")
    if path.is_dir():
        raise AudioError(f"{path} is a folder; name an audio file ({', '.join(SUFFIXES)})")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe may wait for ever
            raise AudioError(
                f"{path} is no regular file but a pipe or a device; write the sound to a file, or give it to "
                "`auscult monitor --source -`"
            )
        if status.st_size == 0:
            raise AudioError(f"{path} is empty; record or copy the file again")
        promise = promise_of(path)
        file = open_mended(path, promise)
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error
    except UnicodeError as error:
        name = str(path).encode("utf-8", "backslashreplace").decode()
        raise AudioError(f"{name}: the file's name is no text; rename the file") from error
    except RuntimeError as error:
        raise AudioError(
            f"{path} is no audio file that can be read ({error}); use wav, flac or ogg, or remove the file"
        ) from error
    try:
        if promise.missing:
            raise _truncated(path, promise.missing)
        if not RATES[0] <= file.samplerate <= RATES[1]:
            raise AudioError(
                f"{path} says that its sample rate is {file.samplerate} Hz; rates from {RATES[0]} to {RATES[1]} Hz are "
                "read. Its header is damaged: record or copy the file again"
            )
        if file.frames == 0:
            raise AudioError(f"{path} holds no samples; record or copy the file again")
    except AudioError:
        file.close()
        raise
    return file


def _truncated(path: Path, what: str) -> AudioError:
    return AudioError(f"{path} is truncated: {what}; copy or download the file again")
