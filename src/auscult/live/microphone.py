"""A microphone through sounddevice (PortAudio): blocks from its callback, overruns and unplugging seen."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from auscult.errors import MonitorError
from auscult.live.sound import POLL_SECONDS, Item, Samples, Solved, SourceProblem, Start, Waiting
from auscult.sound.audio import Channel
from auscult.sound.windows import require_rate

BLOCK_SECONDS = 0.1
QUEUED_SECONDS = 30
"""Sound that waits for the scorer before any is lost."""

REOPEN_SECONDS = 5.0
"""Without sound, after which the device is opened again, and again."""

INSTALL = (
    "the microphone needs the package sounddevice and the library PortAudio: pip install 'auscult[live]', and on "
    "Debian apt install libportaudio2. Or pipe the sound of another recorder: --source - takes raw samples"
)


class Microphone:
    """The sound of an input device, as it comes.

    Args:
        device: its number or a part of its name; the system's default if none is given.
        sample_rate: of the scorer, in Hz.
        source_rate: that the device is opened with, in Hz; the scorer's, or the device's own if it refuses that.
        channel: that is heard, counted from 0; or the two.
        stop: ends the iteration when set.
        stall_seconds: without samples.

    Raises:
        MonitorError: if sounddevice or the device is missing.
    """

    live = True

    def __init__(
        self,
        device: str | None,
        *,
        sample_rate: int,
        source_rate: int | None = None,
        channel: Channel,
        stop: threading.Event,
        stall_seconds: float,
    ) -> None:
        self.device = int(device) if device is not None and device.isdecimal() else device
        self.name = "the microphone" if device is None else f"the microphone {device}"
        self.channel, self.stop, self.stall_seconds = channel, stop, stall_seconds
        self._channels = 1 + (channel if isinstance(channel, int) else max(channel))  # that the device must have
        self._sounddevice = _sounddevice()
        self.source_rate = source_rate or self._rate(sample_rate)
        require_rate(self.name, self.source_rate, sample_rate)
        self._queue: queue.Queue[np.ndarray[Any, np.dtype[np.float32]]] = queue.Queue(
            round(QUEUED_SECONDS / BLOCK_SECONDS)
        )
        self._lost = 0  # samples
        self._device_lost = False
        self._stream = self._open()

    def __iter__(self) -> Iterator[Item]:
        """Its sound; a new recording after each loss."""
        yield Start(self.source_rate)
        last, tried, vanished = time.monotonic(), time.monotonic(), False
        try:
            while not self.stop.is_set():
                try:
                    samples = self._queue.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    now = time.monotonic()
                    yield Waiting(now - last)
                    if now - max(last, tried) >= REOPEN_SECONDS:
                        problem, tried = self._reopen(), time.monotonic()
                        if problem and not vanished:
                            vanished = True
                            yield SourceProblem("vanished", problem)
                    continue
                if vanished:
                    vanished = False
                    yield Solved("vanished")
                silent, last = time.monotonic() - last, time.monotonic()
                yield from self._losses(silent)
                yield Samples(samples)
        finally:
            self._close()

    def _losses(self, silent: float) -> Iterator[Item]:
        """What was lost since the last block."""
        lost, self._lost = self._lost, 0
        overrun, self._device_lost = self._device_lost, False
        if lost or overrun:
            seconds = lost / self.source_rate
            reason = f"{seconds:.1f} s of sound were" if lost else "sound was"
            yield SourceProblem(
                "lost", f"{reason} lost: the computer is too slow, or busy with something else", lasts=False
            )
            yield Start(self.source_rate, lost_seconds=seconds)
        elif silent >= min(self.stall_seconds, REOPEN_SECONDS):
            yield Start(self.source_rate, lost_seconds=silent)

    def _rate(self, sample_rate: int) -> int:
        """The scorer's rate if the device can do it, else its own."""
        try:
            self._sounddevice.check_input_settings(device=self.device, channels=self._channels, samplerate=sample_rate)
        except (self._sounddevice.PortAudioError, ValueError):
            with self._device_errors():
                return int(self._sounddevice.query_devices(self.device, "input")["default_samplerate"])
        return sample_rate

    def _open(self) -> Any:
        with self._device_errors():
            stream = self._sounddevice.InputStream(
                device=self.device,
                samplerate=self.source_rate,
                channels=self._channels,
                dtype="float32",
                blocksize=round(BLOCK_SECONDS * self.source_rate),
                callback=self._take,
            )
            stream.start()
        return stream

    def _take(self, samples: Any, frames: int, _time: Any, status: Any) -> None:
        """Called by PortAudio, in a thread of its own, with samples `[T, channels]`."""
        self._device_lost |= bool(status and status.input_overflow)
        try:
            self._queue.put_nowait(np.array(samples[:, self.channel], dtype=np.float32))
        except queue.Full:
            self._lost += frames

    def _reopen(self) -> str | None:
        """Open the device again; what is wrong if it cannot be."""
        self._close()
        # PortAudio knows the devices of its start only; these two are sounddevice's way to look again.
        self._sounddevice._terminate()
        self._sounddevice._initialize()
        try:
            self._stream = self._open()
        except MonitorError as error:
            return str(error)
        return None

    def _close(self) -> None:
        with suppress(self._sounddevice.PortAudioError):
            self._stream.close()

    @contextmanager
    def _device_errors(self) -> Iterator[None]:
        """Turn PortAudio's refusals into one line."""
        try:
            yield
        except (self._sounddevice.PortAudioError, ValueError) as error:
            raise MonitorError(
                f"{self.name} cannot be opened with {self._channels} channel{'' if self._channels == 1 else 's'}: "
                f"{error}; `python -m sounddevice` lists the devices: give the number or a part of the name of one, as "
                "in --source mic:2"
            ) from error


def _sounddevice() -> Any:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # it raises OSError where PortAudio is missing
        raise MonitorError(f"{INSTALL} ({error})") from error
    return sounddevice
