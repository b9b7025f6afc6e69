"""A stream of the network (RTSP, HTTP) through ffmpeg's program, which is started again whenever it ends or stalls."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import IO
from urllib.parse import unquote, urlsplit

from auscult.errors import MonitorError
from auscult.live.pcm import PcmSource, WavDecoder
from auscult.live.sound import POLL_SECONDS, End, Item, Samples, Solved, SourceProblem, Start, Waiting
from auscult.sound.audio import Channel

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until ffmpeg is started again; they double while no sound comes."""

STEADY_SECONDS = 10.0
"""A connection that gave sound for so long begins with the first pause again."""

OPENING_SECONDS = 20.0
"""A connection has at least so long for its first sound: ffmpeg takes five seconds to know some streams."""

HTTP_PROTOCOLS, RTSP_PROTOCOLS = "http,https,httpproxy,tls,tcp,crypto", "rtp,srtp,udp,tls,tcp"
"""What a stream may lead ffmpeg to: no files of this computer, whatever a playlist says."""

KEEPER = '"$@" </dev/null & exec >&- 2>&-; read -r _; kill -9 $!'
"""ffmpeg under a shell that kills it when its own standard input closes, so that it outlives no monitor."""

_LONGEST_LINE = 4096

URL = re.compile(r"(rtsps?|https?)://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether a source is a stream of the network.

    >>> [is_url(text) for text in ("rtsp://camera/1", "HTTPS://radio/x", "http.wav")]
    [True, True, False]
    """
    return URL.match(text) is not None


def without_secrets(url: str) -> str:
    """A URL for messages: no user, no password, no query, which may hold some.

    >>> without_secrets("rtsp://me:secret@camera.local:554/1?token=2")
    'rtsp://camera.local:554/1?…'
    """
    scheme, _, rest = url.partition("://")
    before, _, rest = rest.rpartition("@")
    if set(before) & set("/?#"):  # where the password ends cannot be told
        return f"{scheme}://…"
    head = re.split(r"[?#]", rest, maxsplit=1)[0]
    return f"{scheme}://{head}" + ("?…" if head != rest else "")


class NetworkSource:
    """The sound of a stream, as it comes; one that is not there, now or at the start, is tried again for ever.

    Args:
        url: rtsp, rtsps, http or https.
        sample_rate: of the scorer, in Hz; the stream's must not be lower.
        channel: that is heard, counted from 0; or the two.
        stop: ends the iteration when set.
        stall_seconds: without sound, after which ffmpeg is started again.

    Raises:
        MonitorError: if the URL is none, or ffmpeg is not installed.
    """

    live = True

    def __init__(
        self, url: str, *, sample_rate: int, channel: Channel, stop: threading.Event, stall_seconds: float
    ) -> None:
        self.name = without_secrets(url)
        self._url = _checked(url)
        self._command = [_program(), *_arguments(self._url)]
        self.sample_rate, self.channel, self.stop, self.stall_seconds = sample_rate, channel, stop, stall_seconds
        self._heard: float | None = None  # when the last sound came
        self._since = 0.0  # when it began to be waited for
        self._gone = False

    def __iter__(self) -> Iterator[Item]:
        """Its sound; a new recording with each connection.

        Raises:
            MonitorError: if the stream is there from the start and cannot be heard: no such channel, too low a rate.
        """
        pause, self._since = FIRST_PAUSE, time.monotonic()
        while not self.stop.is_set():
            begun = time.monotonic()
            yield from self._connection()
            if self._heard is not None and self._heard - begun >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            again, pause = time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE)
            while not self.stop.is_set() and (left := again - time.monotonic()) > 0:
                self.stop.wait(min(POLL_SECONDS, left))
                yield Waiting(time.monotonic() - self._since)

    def _connection(self) -> Iterator[Item]:
        """What one process of ffmpeg gives."""
        decoder = WavDecoder(channel=self.channel, name=self.name)
        said, problem, stalled = _LastLine(), "", False
        with _running(self._command, said) as descriptor:
            pcm = PcmSource(
                descriptor,
                decoder,
                source_rate=None,
                sample_rate=self.sample_rate,
                stop=self.stop,
                stall_seconds=self.stall_seconds,
                name=self.name,
            )
            try:
                stalled = yield from self._follow(pcm)
            except MonitorError as error:  # it ended before it began, or cannot be heard
                if decoder.source_rate is not None and self._heard is None:
                    raise
                problem = "" if decoder.source_rate is None else str(error)
        if not (stalled or self._gone or self.stop.is_set()):
            self._gone = True
            why = problem or said.line(self._url)
            yield SourceProblem("vanished", f"{self.name} gives no sound{why and f' ({why})'}; it is tried again")

    def _follow(self, pcm: PcmSource) -> Generator[Item, None, bool]:
        """The sound of a connection, until it ends or stalls; true if it stalled."""
        waited, patience = time.monotonic(), max(self.stall_seconds, OPENING_SECONDS)
        for item in pcm:
            match item:
                case Start():
                    if self._gone:
                        self._gone = False
                        yield Solved("vanished")
                    lost = 0.0 if self._heard is None else time.monotonic() - self._heard
                    yield replace(item, lost_seconds=lost)
                case Samples():
                    self._heard = self._since = waited = time.monotonic()
                    patience = self.stall_seconds
                    yield item
                case Waiting():
                    yield Waiting(time.monotonic() - self._since)
                    if time.monotonic() - waited >= patience:
                        return True
                case End():
                    yield item
                case _:  # that it has ended is said with ffmpeg's reason
                    break
        return False


class _LastLine:
    """The end of what a program says on standard error, read in a thread of its own so that it can go on."""

    def __init__(self) -> None:
        self._last = b""
        self._thread = threading.Thread()

    def follow(self, stream: IO[bytes]) -> None:
        """Begin to read."""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True, name="auscult-ffmpeg")
        self._thread.start()

    def line(self, url: str) -> str:
        """The last line that it said before it ended, without the secrets of URLs; empty if there was none."""
        self._thread.join(timeout=1.0)
        text = "".join(c if c.isprintable() else " " for c in self._last.decode(errors="replace")).strip()
        text = re.sub(r"^\[[^]]* @ [^]]*\] ", "", text).replace(f"{url}: ", "")
        for secret in _secrets(url):
            text = text.replace(secret, "…")
        text = re.sub(r"(\w://[^\s?#]*)[?#]\S*", r"\1?…", text)
        return re.sub(r"//\S*@", "//", text)

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(_LONGEST_LINE):
                self._last = line if line.strip() else self._last


@contextmanager
def _running(command: list[str], said: _LastLine) -> Iterator[int]:
    """A program under its keeper: the descriptor of its standard output; it is dead at the end."""
    process = subprocess.Popen(
        ["sh", "-c", KEEPER, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    said.follow(process.stderr)
    try:
        yield process.stdout.fileno()
    finally:
        with suppress(ProcessLookupError, PermissionError):  # both are dead
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def _program() -> str:
    program = shutil.which("ffmpeg")
    if program is None:
        raise MonitorError(
            "streams are read by the program ffmpeg, which is not installed (on Debian: apt install ffmpeg)"
        )
    return program


def _checked(url: str) -> str:
    """The URL with a scheme that ffmpeg knows, if it is one."""
    example = "give one like rtsp://camera.local/stream; characters like @ and / in a password are written %40 and %2F"
    shown = without_secrets(url)
    if any(character.isspace() or not character.isprintable() for character in url):
        raise MonitorError(f"--source {shown!r} holds a space or a character that cannot be printed; {example}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise MonitorError(f"--source {shown} is no URL with a host; {example}")
    scheme, _, rest = url.partition("://")
    return f"{scheme.lower()}://{rest}"


def _arguments(url: str) -> list[str]:
    """Of ffmpeg: the first sound of the stream as a wav stream, at its own rate, at once."""
    rtsp = url.lower().startswith("rtsp")
    given = "-nostdin -hide_banner -loglevel error -protocol_whitelist".split()
    given += [RTSP_PROTOCOLS, "-rtsp_transport", "tcp", "-allowed_media_types", "audio"] if rtsp else [HTTP_PROTOCOLS]
    return [*given, "-i", url, *"-map 0:a:0 -c:a pcm_s16le -flush_packets 1 -f wav pipe:1".split()]


def _secrets(url: str) -> set[str]:
    """What must not be seen of a URL, as it stands and as it is meant."""
    rest = url.partition("://")[2]
    login, query = rest.rpartition("@")[0], re.split(r"[?#]", rest, maxsplit=1)[1:]
    return {text for part in (login.partition(":")[2], *query) for text in (part, unquote(part)) if text}
