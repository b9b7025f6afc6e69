"""What a source tells the monitor: recordings that start and end, their sound, waiting, and what is wrong with it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from auscult.sound.audio import Channel, open_blocks, probe, require_channel
from auscult.sound.windows import require_rate

POLL_SECONDS = 0.2
"""A source says something at least about this often."""


@dataclass(frozen=True, slots=True)
class FileKey:
    """A file as it was heard: another size or time of change is another recording."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Start:
    """An unbroken recording begins: samples before and after do not belong together.

    Args:
        sample_rate: of its blocks, in Hz.
        key: of its file, if it has one.
        lost_seconds: between the last recording and this one, if something was lost.
    """

    sample_rate: int
    key: FileKey | None = None
    lost_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Samples:
    """The next samples of the recording: `[T]`, or `[T, 2]` of two channels."""

    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class End:
    """The recording is over; a file with a key need not be heard again."""

    key: FileKey | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """No sound has come for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """Something is wrong with the source.

    Args:
        kind: a word.
        message: what, and what to do.
        lasts: until `Solved`; else it happened once.
    """

    kind: str
    message: str
    lasts: bool = True


@dataclass(frozen=True, slots=True)
class Solved:
    """A problem that lasted is over."""

    kind: str


Item = Start | Samples | End | Waiting | SourceProblem | Solved


class Source(Protocol):
    """Where sound comes from; iterating ends when it does, or soon after `stop` is set.

    Attributes:
        name: for messages.
        live: whether sound is lost that is not taken in time, so that the wall clock is its time.
        stall_seconds: without sound, after which it counts as stalled; infinite for a file.
        stop: ends the iteration when set.
    """

    name: str
    live: bool
    stall_seconds: float
    stop: threading.Event

    def __iter__(self) -> Iterator[Item]:
        """What comes, in order."""
        ...


def file_key(path: Path, name: str) -> FileKey:
    """The identity of a file; the name without bytes that no text can hold.

    Raises:
        OSError: if the file is gone.
    """
    status = path.stat()
    return FileKey(name.encode("utf-8", "backslashreplace").decode(), status.st_size, status.st_mtime_ns)


def hear_file(path: Path, key: FileKey, *, sample_rate: int, channel: Channel) -> Iterator[Start | Samples | End]:
    """One file, at its own rate.

    Args:
        path: the file.
        key: its identity.
        sample_rate: of the scorer, in Hz; the file's must not be lower.
        channel: that is heard, or the two.

    Raises:
        AudioError: if it cannot be read, is damaged or lacks the channel.
        MonitorError: if its rate is too low.
    """
    rate, blocks = open_blocks(path, channel=channel)
    require_rate(str(path), rate, sample_rate)
    yield Start(rate, key)
    yield from map(Samples, blocks)
    yield End(key)


class FileSource:
    """One sound file, as fast as it can be scored.

    Args:
        path: wav, flac or ogg, of any length.
        sample_rate: of the scorer, in Hz.
        channel: that is heard, or the two.
        stop: ends the iteration when set.

    Raises:
        AudioError: if the file cannot be read or lacks a channel.
        MonitorError: if its rate is too low.
    """

    live = False
    stall_seconds = float("inf")

    def __init__(self, path: Path, *, sample_rate: int, channel: Channel, stop: threading.Event) -> None:
        self.path, self.sample_rate, self.channel, self.stop = path, sample_rate, channel, stop
        self.name = str(path)
        info = probe(path)
        require_channel(path, info.channels, channel)
        require_rate(self.name, info.sample_rate, sample_rate)

    def heard_before(self, heard: Callable[[str], FileKey | None]) -> bool:
        """Whether it is a file as it was heard to its end before; `heard` gives that of a name."""
        key = self._key()
        return heard(key.name) == key

    def _key(self) -> FileKey:
        return file_key(self.path, str(self.path.resolve()))

    def __iter__(self) -> Iterator[Item]:
        """Its sound."""
        key = self._key()
        for item in hear_file(self.path, key, sample_rate=self.sample_rate, channel=self.channel):
            if self.stop.is_set():
                return
            yield item
