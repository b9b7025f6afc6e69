"""Raw samples from a pipe: bytes of any sizes to blocks of one channel."""

import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from auscult.errors import MonitorError
from auscult.live.sound import POLL_SECONDS, End, Item, Samples, SourceProblem, Start, Waiting
from auscult.sound.windows import require_rate

PcmFormat = Literal["s16le", "s32le", "f32le"]

_READ = 65536  # bytes at once
_QUEUED = 16  # reads that wait for the scorer; then the pipe waits, and no sample is lost on this side


class PcmDecoder:
    r"""Bytes of interleaved samples to one channel, wherever the bytes are cut.

    Args:
        sample_format: signed 16 or 32 bits or 32-bit floats, little-endian.
        channels: in the bytes.
        channel: the one to keep, counted from 0.

    >>> PcmDecoder("s16le", channels=2, channel=1)(b"\x00\x00\x00\x40")
    array([0.5], dtype=float32)
    """

    def __init__(self, sample_format: PcmFormat, *, channels: int, channel: int) -> None:
        if sample_format not in get_args(PcmFormat):
            raise MonitorError(f"--format is {sample_format!r}; choose one of {', '.join(get_args(PcmFormat))}")
        if not 0 <= channel < channels:
            raise MonitorError(f"--channel {channel} of --channels {channels} does not exist; they count from 0")
        self.sample_format, self.channels, self.channel = sample_format, channels, channel
        self._dtype = np.dtype({"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}[sample_format])
        self._rest = b""

    @property
    def rest(self) -> int:
        """Bytes of an incomplete frame that wait for more."""
        return len(self._rest)

    def __call__(self, data: bytes) -> NDArray[np.float32]:
        """The samples `[T]` that the bytes complete; full scale is 1."""
        data = self._rest + data
        frame = self._dtype.itemsize * self.channels
        whole = len(data) // frame * frame
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], dtype=self._dtype).reshape(-1, self.channels)[:, self.channel]
        scale = 1.0 if self._dtype.kind == "f" else 2.0 ** (1 - 8 * self._dtype.itemsize)
        with np.errstate(invalid="ignore"):  # bytes of another format may be signalling NaNs
            return np.asarray(samples * np.float32(scale), dtype=np.float32)


class PcmSource:
    """Raw PCM from a file descriptor, such as standard input; a thread reads it, so that a stall is seen.

    The pipe waits for the scorer: nothing is lost here, but a recorder that cannot wait loses sound on its own side.

    Args:
        descriptor: to read from.
        decoder: of its bytes.
        source_rate: of the samples, in Hz.
        sample_rate: of the scorer, in Hz.
        stop: ends the iteration when set.
        stall_seconds: without samples.
    """

    live = True

    def __init__(
        self,
        descriptor: int,
        decoder: PcmDecoder,
        *,
        source_rate: int,
        sample_rate: int,
        stop: threading.Event,
        stall_seconds: float,
    ) -> None:
        self.name = "standard input"
        require_rate(self.name, source_rate, sample_rate)
        self.descriptor, self.decoder, self.source_rate = descriptor, decoder, source_rate
        self.stop, self.stall_seconds = stop, stall_seconds
        self._queue: queue.Queue[bytes | OSError] = queue.Queue(_QUEUED)

    def __iter__(self) -> Iterator[Item]:
        """Its sound, in as many recordings as stalls leave."""
        threading.Thread(target=self._read, daemon=True, name="auscult-pcm").start()
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
            if stalled:
                yield Start(self.source_rate, lost_seconds=time.monotonic() - last)
            last, stalled = time.monotonic(), False
            yield Samples(self.decoder(data))

    def _read(self) -> None:
        while not self.stop.is_set():
            try:
                data = os.read(self.descriptor, _READ)
            except OSError as error:
                self._queue.put(error)
                return
            self._queue.put(data)
            if not data:
                return

    def _ended(self, last: bytes | OSError) -> Iterator[Item]:
        yield End()
        why = f" ({last.strerror or last})" if isinstance(last, OSError) else ""
        message = f"{self.name} has ended{why}; nobody listens to the machine any more"
        if rest := self.decoder.rest:
            message += f". An incomplete sample was left over, {rest} bytes long: check --format and --channels"
        yield SourceProblem("ended", message, lasts=False)
