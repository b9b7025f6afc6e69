"""Samples from a pipe, raw or as a wav stream: bytes of any sizes to blocks of one channel, or two."""

import os
import queue
import struct
import threading
import time
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from auscult.errors import MonitorError
from auscult.live.sound import POLL_SECONDS, End, Item, Samples, SourceProblem, Start, Waiting
from auscult.sound.audio import Channel, two_needed
from auscult.sound.header import says_nothing
from auscult.sound.windows import require_rate

PcmFormat = Literal["s16le", "s32le", "f32le"]

STANDARD_INPUT = "standard input"

_READ = 65536  # bytes at once
_QUEUED = 16  # reads that wait for the scorer; then the pipe waits, and no sample is lost on this side
_LONGEST_HEADER = 2**20
_FORMATS: dict[tuple[int, int], PcmFormat] = {(1, 16): "s16le", (1, 32): "s32le", (3, 32): "f32le"}
_EXTENSIBLE = 0xFFFE
_ADVICE = "let the recorder write wav of 16 bits, as ffmpeg does with -c:a pcm_s16le -f wav -"


class PcmDecoder:
    r"""Bytes of interleaved samples to one channel, or two, wherever the bytes are cut.

    Args:
        sample_format: signed 16 or 32 bits or 32-bit floats, little-endian.
        channels: in the bytes.
        channel: the one to keep, counted from 0; or the two.
        name: of the stream, for messages.

    >>> PcmDecoder("s16le", channels=2, channel=1)(b"\x00\x00\x00\x40")
    array([0.5], dtype=float32)
    """

    def __init__(
        self, sample_format: PcmFormat, *, channels: int, channel: Channel, name: str = STANDARD_INPUT
    ) -> None:
        if sample_format not in get_args(PcmFormat):
            raise MonitorError(f"--format is {sample_format!r}; choose one of {', '.join(get_args(PcmFormat))}")
        if isinstance(channel, tuple) and not all(0 <= one < channels for one in channel):
            raise MonitorError(f"{name} has {two_needed(channels, channel)} (--channels 2)")
        if isinstance(channel, int) and not 0 <= channel < channels:
            raise MonitorError(
                f"{name}: --channel {channel} of --channels {channels} does not exist; they count from 0"
            )
        self.sample_format, self.channels, self.channel = sample_format, channels, channel
        self.source_rate: int | None = None
        self._dtype = np.dtype({"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}[sample_format])
        self._rest = b""

    @property
    def rest(self) -> int:
        """Bytes of an incomplete frame that wait for more."""
        return len(self._rest)

    def __call__(self, data: bytes) -> NDArray[np.float32]:
        """The samples that the bytes complete; full scale is 1."""
        data = self._rest + data
        frame = self._dtype.itemsize * self.channels
        whole = len(data) // frame * frame
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], dtype=self._dtype).reshape(-1, self.channels)[:, self.channel]
        scale = 1.0 if self._dtype.kind == "f" else 2.0 ** (1 - 8 * self._dtype.itemsize)
        with np.errstate(invalid="ignore"):  # bytes of another format may be signalling NaNs
            return np.asarray(samples * np.float32(scale), dtype=np.float32)


class WavDecoder:
    """Bytes of a wav stream to samples of one channel, or two, wherever the bytes are cut.

    Args:
        channel: the one to keep, counted from 0; or the two.
        name: of the stream, for messages.

    Attributes:
        source_rate: of the samples, in Hz; none until the header is there.
    """

    def __init__(self, *, channel: Channel, name: str = STANDARD_INPUT) -> None:
        self.channel, self.name = channel, name
        self.source_rate: int | None = None
        self._head = b""
        self._left: int | None = None  # bytes of samples, where the header says how many
        self._samples: PcmDecoder | None = None

    @property
    def rest(self) -> int:
        """Bytes of an incomplete frame, or of an incomplete header, that wait for more."""
        return len(self._head) if self._samples is None else self._samples.rest

    def __call__(self, data: bytes) -> NDArray[np.float32]:
        """The samples that the bytes complete; full scale is 1.

        Raises:
            MonitorError: if the stream is no wav, or one of other samples.
        """
        if self._samples is None:
            self._head += data
            place = self._begin()
            if self._samples is None:
                return np.zeros(0, dtype=np.float32)
            data, self._head = self._head[place:], b""
        if self._left is not None:  # other chunks may follow
            data = data[: self._left]
            self._left -= len(data)
        return self._samples(data)

    def _begin(self) -> int:
        """Where the samples begin, once the header is whole."""
        head, place, form = self._head, 12, b""
        if not b"RIFF".startswith(head[:4]) or not b"WAVE".startswith(head[8:12]):
            raise MonitorError(
                f"{self.name} is no wav stream, it begins with {head[:12]!r}; {_ADVICE}, or say with --format, "
                "--rate and --channels what its raw samples are"
            )
        while len(head) >= place + 8:
            name, length = struct.unpack_from("<4sI", head, place)
            place += 8
            if name == b"data":
                self._take(form, length)
                return place
            form = head[place : place + length] if name == b"fmt " else form
            place += length + length % 2
        if max(place, len(head)) > _LONGEST_HEADER:
            raise MonitorError(f"{self.name} is a wav stream whose header holds no samples; {_ADVICE}")
        return 0

    def _take(self, form: bytes, length: int) -> None:
        kind, channels, rate, bits = 0, 0, 0, 0
        if len(form) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
        if kind == _EXTENSIBLE:
            kind = int.from_bytes(form[24:26], "little")
        if (kind, bits) not in _FORMATS or not rate:
            raise MonitorError(
                f"{self.name} is a wav stream of {bits} bits in format {kind} at {rate} Hz, which is not read; "
                f"{_ADVICE}"
            )
        self.source_rate, self._left = rate, None if says_nothing(length) else length
        self._samples = PcmDecoder(_FORMATS[kind, bits], channels=channels, channel=self.channel, name=self.name)


class PcmSource:
    """Samples from a file descriptor, such as standard input; a thread reads it, so that a stall is seen.

    The pipe waits for the scorer: nothing is lost here, but a recorder that cannot wait loses sound on its own side.

    Args:
        descriptor: to read from.
        decoder: of its bytes.
        source_rate: of the samples, in Hz; none if the decoder finds it in the stream.
        sample_rate: of the scorer, in Hz.
        stop: ends the iteration when set.
        stall_seconds: without samples.
        name: for messages.
    """

    live = True

    def __init__(
        self,
        descriptor: int,
        decoder: PcmDecoder | WavDecoder,
        *,
        source_rate: int | None,
        sample_rate: int,
        stop: threading.Event,
        stall_seconds: float,
        name: str = STANDARD_INPUT,
    ) -> None:
        self.name = name
        if source_rate is not None:
            require_rate(self.name, source_rate, sample_rate)
        self.descriptor, self.decoder = descriptor, decoder
        self.source_rate, self.sample_rate = source_rate, sample_rate
        self.stop, self.stall_seconds = stop, stall_seconds
        self._queue: queue.Queue[bytes | OSError] = queue.Queue(_QUEUED)

    def __iter__(self) -> Iterator[Item]:
        """Its sound, in as many recordings as stalls leave.

        Raises:
            MonitorError: if the stream is to say what it is, and is none that can be heard.
        """
        try:
            own = os.dup(self.descriptor)  # whoever closes theirs may be given its number again, for something else
        except OSError as error:
            yield from self._ended(error)
            return
        threading.Thread(target=self._read, args=(own,), daemon=True, name="auscult-pcm").start()
        if self.source_rate is not None:
            yield Start(self.source_rate)
        last, stalled = time.monotonic(), False
        while not self.stop.is_set():
            try:
                data = self._queue.get(timeout=POLL_SECONDS)
            except queue.Empty:
                waited = time.monotonic() - last
                stalled = waited >= self.stall_seconds
                yield Waiting(waited)
                continue
            if isinstance(data, OSError) or not data:
                yield from self._ended(data)
                return
            samples = self.decoder(data)
            if self.source_rate is None:
                if self.decoder.source_rate is None:
                    continue
                self.source_rate = self.decoder.source_rate
                require_rate(self.name, self.source_rate, self.sample_rate)
                yield Start(self.source_rate)
            elif stalled:
                yield Start(self.source_rate, lost_seconds=time.monotonic() - last)
            last, stalled = time.monotonic(), False
            yield Samples(samples)

    def _read(self, own: int) -> None:
        while not self.stop.is_set():
            try:
                data: bytes | OSError = os.read(own, _READ)
            except OSError as error:
                data = error
            self._queue.put(data)
            if isinstance(data, OSError) or not data:
                break
        os.close(own)

    def _ended(self, last: bytes | OSError) -> Iterator[Item]:
        if self.source_rate is None:
            raise MonitorError(f"{self.name} has ended before it said what its sound is; does the recorder run?")
        yield End()
        why = f" ({last.strerror or last})" if isinstance(last, OSError) else ""
        message = f"{self.name} has ended{why}; nobody listens to the machine any more"
        if rest := self.decoder.rest:
            message += f". An incomplete sample was left over, {rest} bytes long: check --format and --channels"
        yield SourceProblem("ended", message, lasts=False)
