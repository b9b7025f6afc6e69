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

Channel = int | tuple[int, int]
"""Of a file, counted from 0; or two of them, near the machine and far from it, whose waveforms are `[T, 2]`."""

Block = NDArray[np.float32]
"""Part of a waveform `[T]`, or `[T, 2]` of two channels."""

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


def head(path: Path, seconds: float, *, channel: Channel = 0) -> Block:
    """The beginning `[T]` of a file, or `[T, 2]`, at its own rate.

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


def read_waveform(path: Path, *, sample_rate: int, channel: Channel = 0) -> NDArray[np.float32]:
    """Read one channel of a wav, flac or ogg file at the asked rate, or two.

    Args:
        path: the file.
        sample_rate: in Hz; another rate in the file is resampled (soxr, quality HQ).
        channel: which channel of a multi-channel file, counted from 0. Channels are never mixed: a mixture of
            microphones is a recording that nobody made.

    Returns:
        Waveform `[T]`, or `[T, 2]` of two channels; full scale is 1.

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


def blocks_of(path: Path, *, sample_rate: int, channel: Channel = 0) -> Iterator[Block]:
    """Read a file of any length block by block; see `open_blocks`."""
    return open_blocks(path, sample_rate=sample_rate, channel=channel)[1]


def open_blocks(path: Path, *, sample_rate: int | None = None, channel: Channel = 0) -> tuple[int, Iterator[Block]]:
    """A file's rate in Hz, and its blocks: with the checks and, within rounding, the samples of `read_waveform`.

    Args:
        path: the file.
        sample_rate: of the blocks, in Hz; none for the file's own.
        channel: or the two channels.

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


def _blocks(path: Path, file: "soundfile.SoundFile", sample_rate: int, channel: Channel) -> Iterator[Block]:
    with file:
        expected, native_rate, done = file.frames, file.samplerate, 0
        stream = resampler(native_rate, sample_rate, channels=1 if isinstance(channel, int) else 2)
        while done < expected:
            samples = _read(path, file, channel, min(_BLOCK, max(1, _WIDE_BLOCK // file.channels), expected - done))
            if not len(samples):
                raise _truncated(path, f"{done} of {expected} samples are there")
            _require_finite(path, samples, native_rate, first=done)
            done += len(samples)
            block = np.ascontiguousarray(samples)
            yield block if stream is None else stream.resample_chunk(block, last=done >= expected)


def resampler(from_rate: int, to_rate: int, *, channels: int = 1) -> "soxr.ResampleStream | None":
    """What resamples block by block, with the quality of `resample`; none if the rates, in Hz, are equal."""
    if from_rate == to_rate:
        return None
    import soxr

    return soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="HQ")


def require_channel(path: Path, channels: int, channel: Channel) -> None:
    """Refuse a file of so many channels that lacks the asked one, or one of two.

    Raises:
        AudioError: if it does.
    """
    if isinstance(channel, tuple) and not all(0 <= one < channels for one in channel):
        raise AudioError(f"{path} has {two_needed(channels, channel)}")
    if isinstance(channel, int) and not 0 <= channel < channels:
        raise AudioError(
            f"{path}: channel {channel} was asked for; the file has {channels}, counted from 0. Choose one of them"
        )


def two_needed(channels: int, channel: tuple[int, int]) -> str:
    """What to say of a sound of so many channels that lacks one of the two microphones."""
    return (
        f"{channels} channel{'' if channels == 1 else 's'}, and two microphones are to be heard: channel {channel[0]} "
        f"near the machine and channel {channel[1]} far from it (reference_channel), counted from 0. Give sound of "
        "both, or take a recipe or a detector without reference_channel"
    )


def near_channel(channel: Channel) -> int:
    """The channel near the machine."""
    return channel if isinstance(channel, int) else channel[0]


def near_of(sound: Block) -> Block:
    """The channel `[T]` near the machine, of one `[T]` or two `[T, 2]`."""
    return sound if sound.ndim == 1 else np.ascontiguousarray(sound[:, 0])


def heard_of(sound: Block) -> Block:
    """What is scored `[T]` of one channel `[T]`, or of two `[T, 2]`: what the far one does not predict."""
    if sound.ndim == 1:
        return sound
    from auscult.sound.far import without_far

    return without_far(sound)


def _read(path: Path, file: "soundfile.SoundFile", channel: Channel, n_samples: int) -> Block:
    """The next samples of a channel or two, `n_samples` or fewer at the end."""
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
        place = tuple(np.argwhere(~np.isfinite(samples))[0].tolist())
        bad = first + place[0]
        raise AudioError(
            f"{path}: sample {bad} (at {bad / native_rate:.3f} s) is {samples[place]}; "
            "samples must be finite numbers. Repair or remove the file"
        )


def resample(waveform: NDArray[np.float32], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Resample with soxr's high quality.

    Args:
        waveform: `[T]`.
        from_rate: its rate, in Hz.
        to_rate: the rate asked for, in Hz.

    Shape:
        `[T]` -> `[round(T * to_rate / from_rate)]`, and so `[T, 2]`; the same array when the rates are equal.
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
