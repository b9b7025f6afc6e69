"""From `--source` to a source: mic, a file, a folder to watch, a stream of the network, or - for standard input."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auscult.errors import MonitorError
from auscult.live.folder import FolderSource
from auscult.live.network import NetworkSource, is_url, without_secrets
from auscult.live.pcm import PcmDecoder, PcmFormat, PcmSource, WavDecoder
from auscult.live.sound import FileKey, FileSource, Source
from auscult.sound.audio import Channel, near_channel

STALL_SECONDS = 10.0
FOLDER_STALL_SECONDS = 3600.0
STDIN = 0


def is_microphone(text: str) -> bool:
    """Whether a source is a microphone, the default one or one that is named."""
    return text == "mic" or text.startswith("mic:")


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What users say about a source; None where they say nothing.

    Args:
        text: "mic", "mic:DEVICE", "-", a URL, a file or a folder.
        rate: of raw samples or the microphone, in Hz.
        channels: of raw samples.
        sample_format: of raw samples; or "wav" for a stream that says rate, channels and format itself.
        channel: to listen to, counted from 0; or two, near the machine and far from it.
        stall: seconds without sound that are a trouble.
        once: hear the files of a folder, then end.
    """

    text: str
    rate: int | None = None
    channels: int | None = None
    sample_format: PcmFormat | Literal["wav"] | None = None
    channel: Channel = 0
    stall: float | None = None
    once: bool = False

    @property
    def kind(self) -> str:
        """mic, pcm, stream, folder or file."""
        if self.text == "-":
            return "pcm"
        if is_microphone(self.text):
            return "mic"
        if is_url(self.text):
            return "stream"
        return "folder" if Path(self.text).is_dir() else "file"

    @property
    def shown(self) -> str:
        """The text, without a password."""
        return without_secrets(self.text) if is_url(self.text) else self.text

    def check(self) -> None:
        """Refuse options that the source does not take.

        Raises:
            MonitorError: if there are any.
        """
        takers = {
            "--rate": (self.rate, "pcm mic"),
            "--channels": (self.channels, "pcm"),
            "--format": (self.sample_format, "pcm"),
            "--once": (self.once or None, "folder"),
            "--stall": (self.stall, "pcm mic folder stream"),
        }
        for option, (value, kinds) in takers.items():
            if value is not None and self.kind not in kinds.split():
                names = {"pcm": "-", "mic": "mic", "folder": "a folder", "stream": "a stream"}
                allowed = " or ".join(names[kind] for kind in kinds.split())
                raise MonitorError(f"{option} is for --source {allowed}, not for {self.shown}; leave it out")
        if self.sample_format == "wav" and (self.rate, self.channels) != (None, None):
            raise MonitorError("a wav stream says its rate and its channels itself; leave out --rate and --channels")
        if self.rate is not None and self.rate < 1:
            raise MonitorError(f"--rate is {self.rate}; give the sample rate in Hz, such as 16000")
        if self.channels is not None and self.channels < 1:
            raise MonitorError(f"--channels is {self.channels}; give how many there are in the samples, at least 1")
        if self.stall is not None and not self.stall > 0:
            raise MonitorError(f"--stall is {self.stall}; give seconds above 0")
        if (near := near_channel(self.channel)) < 0:
            raise MonitorError(f"--channel is {near}; channels count from 0")


def open_source(
    options: SourceOptions,
    *,
    sample_rate: int,
    heard: Callable[[str], FileKey | None],
    stop: threading.Event,
    descriptor: int = STDIN,
) -> Source:
    """The source that the options name.

    Args:
        options: see there.
        sample_rate: of the scorer, in Hz.
        heard: gives a file of a folder as it was heard before, or None.
        stop: ends the source when set.
        descriptor: of standard input.

    Raises:
        MonitorError: if the options contradict each other or the source cannot be used.
        AudioError: if a file cannot be read.
    """
    options.check()
    kind, stall, channel = options.kind, options.stall, options.channel
    if kind == "folder":
        return FolderSource(
            Path(options.text),
            sample_rate=sample_rate,
            channel=channel,
            heard=heard,
            stop=stop,
            stall_seconds=stall or FOLDER_STALL_SECONDS,
            until_idle=options.once,
        )
    if kind == "file":
        return FileSource(Path(options.text), sample_rate=sample_rate, channel=channel, stop=stop)
    stall = stall or STALL_SECONDS
    if kind == "stream":
        return NetworkSource(options.text, sample_rate=sample_rate, channel=channel, stop=stop, stall_seconds=stall)
    if kind == "mic":
        from auscult.live.microphone import Microphone

        device = options.text.partition(":")[2] or None
        return Microphone(
            device, sample_rate=sample_rate, source_rate=options.rate, channel=channel, stop=stop, stall_seconds=stall
        )
    if options.sample_format == "wav":
        return PcmSource(
            descriptor,
            WavDecoder(channel=channel),
            source_rate=None,
            sample_rate=sample_rate,
            stop=stop,
            stall_seconds=stall,
        )
    if options.rate is None:
        raise MonitorError(
            "raw samples on standard input do not say their rate; give --rate, and --format and --channels if they are "
            "not s16le and 1, or --format wav for a wav stream"
        )
    decoder = PcmDecoder(options.sample_format or "s16le", channels=options.channels or 1, channel=channel)
    return PcmSource(
        descriptor, decoder, source_rate=options.rate, sample_rate=sample_rate, stop=stop, stall_seconds=stall
    )
