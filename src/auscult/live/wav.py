"""A wav stream from a pipe: its header says what its samples are; no length in it is believed that means "unknown"."""

import struct

import numpy as np
from numpy.typing import NDArray

from auscult.errors import MonitorError
from auscult.live.pcm import PcmDecoder, PcmFormat
from auscult.sound.header import says_nothing

_LONGEST_HEADER = 2**20
_FORMATS: dict[tuple[int, int], PcmFormat] = {(1, 16): "s16le", (1, 32): "s32le", (3, 32): "f32le"}
_EXTENSIBLE = 0xFFFE
_ADVICE = "let the recorder write wav of 16 bits, as ffmpeg does with -c:a pcm_s16le -f wav -"


class WavDecoder:
    """Bytes of a wav stream to samples of one channel, wherever the bytes are cut.

    Args:
        channel: the one to keep, counted from 0.

    Attributes:
        source_rate: of the samples, in Hz; none until the header is there.
    """

    def __init__(self, *, channel: int) -> None:
        self.channel = channel
        self.source_rate: int | None = None
        self._head = b""
        self._left: int | None = None  # bytes of samples, where the header says how many
        self._samples: PcmDecoder | None = None

    @property
    def rest(self) -> int:
        """Bytes of an incomplete frame, or of an incomplete header, that wait for more."""
        return len(self._head) if self._samples is None else self._samples.rest

    def __call__(self, data: bytes) -> NDArray[np.float32]:
        """The samples `[T]` that the bytes complete; full scale is 1.

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
                f"standard input is no wav stream, it begins with {head[:12]!r}; {_ADVICE}, or say with --format, "
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
            raise MonitorError(f"standard input is a wav stream whose header holds no samples; {_ADVICE}")
        return 0

    def _take(self, form: bytes, length: int) -> None:
        kind, channels, rate, bits = 0, 0, 0, 0
        if len(form) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
        if kind == _EXTENSIBLE:
            kind = int.from_bytes(form[24:26], "little")
        if (kind, bits) not in _FORMATS or not rate:
            raise MonitorError(
                f"standard input is a wav stream of {bits} bits in format {kind} at {rate} Hz, which is not read; "
                f"{_ADVICE}"
            )
        self._samples = PcmDecoder(_FORMATS[kind, bits], channels=channels, channel=self.channel)
        self.source_rate, self._left = rate, None if says_nothing(length) else length
