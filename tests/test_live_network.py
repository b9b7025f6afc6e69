"""Streams of the network through ffmpeg: broken off, stalled, refused, back again; no orphan, no password seen."""

import contextlib
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from auscult.errors import MonitorError
from auscult.live.events import dumps
from auscult.live.history import read_events
from auscult.live.network import NetworkSource, _LastLine, without_secrets
from auscult.live.sound import End, Item, Samples, Solved, SourceProblem, Start, Waiting
from auscult.live.sources import SourceOptions, open_source
from brokers import free_port, wait_for
from live_fakes import noise
from test_live_command import detector, lines, process, pump, read_until  # noqa: F401 - a fixture

RATE = 8000
SOUND = noise(3.0, rate=RATE)
ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg is installed (apt install ffmpeg)")
Act = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again soon."""
    monkeypatch.setattr("auscult.live.network.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("auscult.live.network.LONGEST_PAUSE", 0.2)


class Radio(ThreadingHTTPServer):
    """A server that does with each request what comes next in a list; with the last for ever."""

    daemon_threads = True

    def __init__(self, *acts: Act, port: int = 0) -> None:
        self.acts, self.asked = list(acts), 0
        self.released = threading.Event()
        super().__init__(("127.0.0.1", port), _Programme)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://me:geheim@127.0.0.1:{self.server_port}/stream?token=verdeckt"

    def end(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


class _Programme(BaseHTTPRequestHandler):
    server: Radio

    def do_GET(self) -> None:
        self.server.asked += 1
        act = self.server.acts[0] if len(self.server.acts) == 1 else self.server.acts.pop(0)
        with contextlib.suppress(OSError):
            act(self)

    def log_message(self, *args: Any) -> None:
        pass


def encoded(sound: Any = SOUND, *, form: str = "WAV", rate: int = RATE) -> bytes:
    file = BytesIO()
    soundfile.write(
        file, (sound * 32767).astype(np.int16), rate, format=form, subtype=None if form == "MP3" else "PCM_16"
    )
    return file.getvalue()


LONG = encoded(noise(20.0, rate=RATE))  # of what ffmpeg hears before it gives any sound there is less


def sends(data: bytes, *, stalls: bool = False) -> Act:
    """Sound, and then the end of the connection; or nothing more."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data)
        if stalls:
            handler.server.released.wait(60)  # type: ignore[attr-defined]

    return act


def refuses(status: int) -> Act:
    return lambda handler: handler.send_error(status)


@pytest.fixture
def radio() -> Iterator[Callable[..., Radio]]:
    radios: list[Radio] = []

    def start(*acts: Act, **options: Any) -> Radio:
        radios.append(Radio(*acts, **options))
        return radios[-1]

    yield start
    for one in radios:
        one.end()


def listening(url: str, *, stall_seconds: float = 10.0, **options: Any) -> NetworkSource:
    given = {"sample_rate": RATE, "channel": 0, **options}
    return NetworkSource(url, stop=threading.Event(), stall_seconds=stall_seconds, **given)


def heard(source: NetworkSource, until: Callable[[list[Item]], bool]) -> list[Item]:
    """What comes until then, without waiting."""
    items: list[Item] = []
    end = time.monotonic() + 30
    for item in source:
        items.append(item)
        assert time.monotonic() < end, items[-5:]
        if until(items):
            source.stop.set()
    return items


def sound_of(items: list[Item]) -> Any:
    return np.concatenate([item.samples for item in items if isinstance(item, Samples)])


def starts(items: list[Item]) -> list[Start]:
    return [item for item in items if isinstance(item, Start)]


def told(items: list[Item]) -> list[Item]:
    return [item for item in items if not isinstance(item, Samples | Waiting)]


@ffmpeg
@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3"])
def test_a_stream_gives_its_sound(radio: Callable[..., Radio], form: str) -> None:
    items = heard(listening(radio(sends(encoded(form=form))).url), lambda items: isinstance(items[-1], End))
    assert starts(items) == [Start(RATE)]
    found = sound_of(items)
    if form == "MP3":
        assert abs(len(found) - len(SOUND)) < RATE / 4
        assert np.std(found) == pytest.approx(np.std(SOUND), rel=0.2)
    else:
        assert np.array_equal(found, soundfile.read(BytesIO(encoded()), dtype="float32")[0])


@ffmpeg
def test_a_stream_that_breaks_off_is_reported_and_heard_again(radio: Callable[..., Radio]) -> None:
    data = encoded()
    server = radio(sends(data[: len(data) // 2]), refuses(503), refuses(503), sends(data))
    items = heard(listening(server.url), lambda items: len(starts(items)) == 2 and isinstance(items[-1], End))
    kinds = [type(item) for item in told(items)]
    assert kinds == [Start, End, SourceProblem, Solved, Start, End]
    problem = told(items)[2]
    assert isinstance(problem, SourceProblem) and (problem.kind, problem.lasts) == ("vanished", True)
    assert 0.1 < starts(items)[1].lost_seconds < 10
    assert server.asked == 4


@ffmpeg
def test_a_stream_that_stalls_is_opened_again(radio: Callable[..., Radio]) -> None:
    server = radio(sends(LONG, stalls=True), sends(LONG))
    source = listening(server.url, stall_seconds=0.5)
    items = heard(source, lambda items: len(starts(items)) == 2 and isinstance(items[-1], Samples))
    assert max(item.seconds for item in items if isinstance(item, Waiting)) >= 0.5
    assert 0.5 <= starts(items)[1].lost_seconds < 10
    assert not [item for item in items if isinstance(item, SourceProblem)]  # the monitor says that it stalled


@ffmpeg
def test_a_stream_that_is_not_there_is_waited_for(radio: Callable[..., Radio]) -> None:
    port, servers = free_port(), list[Radio]()
    source, items = listening(f"http://me:geheim@127.0.0.1:{port}/stream?token=verdeckt"), list[Item]()
    for item in source:
        items.append(item)
        if isinstance(item, SourceProblem):
            assert "Connection refused" in item.message
            assert item.message.startswith(f"http://127.0.0.1:{port}/stream?… gives no sound")
            servers.append(radio(sends(encoded()), port=port))
        if isinstance(item, Samples):
            source.stop.set()
    assert [type(item) for item in told(items)][:3] == [SourceProblem, Solved, Start]
    assert starts(items)[0].lost_seconds == 0


@ffmpeg
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (refuses(404), "404 Not Found"),
        (refuses(401), "401 Unauthorized"),
        (sends(b"no sound at all " * 9999), "("),
        (
            sends(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"),
            "Invalid data",
        ),
    ],
)
def test_what_is_wrong_with_a_stream_is_said_without_its_password(
    radio: Callable[..., Radio], act: Act, message: str
) -> None:
    items = heard(listening(radio(act).url), lambda items: isinstance(items[-1], SourceProblem))
    (problem,) = [item for item in items if isinstance(item, SourceProblem)]
    assert message in problem.message
    assert "geheim" not in problem.message and "verdeckt" not in problem.message and "[" not in problem.message


@ffmpeg
def test_a_playlist_cannot_name_files_of_this_computer(radio: Callable[..., Radio], tmp_path: Path) -> None:
    (tmp_path / "own.wav").write_bytes(encoded())
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{tmp_path}/own.wav\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{tmp_path}/own.wav'\n",
        f"ffconcat version 1.0\nfile 'file:{tmp_path}/own.wav'\n",
    ):
        items = heard(listening(radio(sends(text.encode())).url), lambda items: isinstance(items[-1], SourceProblem))
        assert not [item for item in items if isinstance(item, Samples)]


@ffmpeg
@pytest.mark.parametrize(
    ("options", "message"),
    [({"sample_rate": 16000}, "has 8000 Hz"), ({"channel": 1}, "does not exist"), ({"channel": (0, 1)}, "1 channel")],
)
def test_a_stream_that_can_never_be_heard_is_refused_at_once(
    radio: Callable[..., Radio], options: dict[str, Any], message: str
) -> None:
    server = radio(sends(encoded()))
    with pytest.raises(MonitorError, match=message) as refusal:
        list(listening(server.url, **options))
    assert "geheim" not in str(refusal.value) and str(refusal.value).startswith("http://127.0.0.1")


@ffmpeg
def test_a_stream_that_becomes_worse_is_a_trouble(radio: Callable[..., Radio]) -> None:
    server = radio(sends(encoded()), sends(encoded(rate=4000)), sends(encoded()))
    items = heard(listening(server.url), lambda items: len(starts(items)) == 2)
    problems = [item.message for item in items if isinstance(item, SourceProblem)]
    assert len(problems) == 1  # told when the first connection ended, and not again


def running(url: str) -> list[Path]:
    """Processes that have the URL among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if url.encode() in path.read_bytes().split(b"\0"):
                found.append(path)
    return found


LISTENS = """
import sys, threading
from auscult.live.network import NetworkSource
url = sys.argv[1].replace(" ", "")
for item in NetworkSource(url, sample_rate=8000, channel=0, stop=threading.Event(), stall_seconds=99):
    print(type(item).__name__, flush=True)
"""


@ffmpeg
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc here")
def test_no_ffmpeg_outlives_its_source_or_its_monitor(radio: Callable[..., Radio]) -> None:
    server = radio(sends(LONG, stalls=True))
    source = listening(server.url)
    for item in source:
        if isinstance(item, Samples):
            assert running(server.url)
            source.stop.set()
    wait_for(lambda: not running(server.url), seconds=5)
    split = server.url.replace("stream", "st ream")  # so that only ffmpeg and its keeper have it among their arguments
    with subprocess.Popen([sys.executable, "-c", LISTENS, split], stdout=subprocess.PIPE) as monitor:
        assert monitor.stdout is not None
        read_until(monitor.stdout, b"Samples")
        assert running(server.url)
        monitor.send_signal(signal.SIGKILL)
    wait_for(lambda: not running(server.url), seconds=5)


@ffmpeg
def test_a_source_that_is_dropped_ends_its_ffmpeg(radio: Callable[..., Radio]) -> None:
    server = radio(sends(LONG, stalls=True))
    items = iter(listening(server.url))
    while not isinstance(next(items), Samples):
        pass
    items.close()  # type: ignore[attr-defined]
    wait_for(lambda: not running(server.url), seconds=5)


def test_without_ffmpeg_there_is_a_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MonitorError, match=r"ffmpeg, which is not installed .*apt install ffmpeg"):
        listening("rtsp://camera.local/stream")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://camera.local:554/1", "rtsp://camera.local:554/1"),
        ("rtsp://me:geheim@camera.local/1", "rtsp://camera.local/1"),
        ("rtsp://me:ge@heim@camera.local/1", "rtsp://camera.local/1"),
        ("rtsp://me:ge/heim@camera.local/1", "rtsp://…"),
        ("rtsp://me:ge?heim@camera.local/1", "rtsp://…"),
        ("rtsp://me:1/heim@camera.local/1", "rtsp://…"),
        ("http://radio/x?token=geheim", "http://radio/x?…"),
        ("http://radio/x#geheim", "http://radio/x?…"),
        ("http://radio/x?mail=a@b&token=geheim", "http://…"),
    ],
)
def test_no_secret_of_a_url_is_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown == SourceOptions(url).shown
    assert "heim" not in shown


@pytest.mark.parametrize(
    "url",
    ["rtsp://", "http:///x", "http://a:geheim@", "http://h:99999/x", "http://h/a b", "http://h/\n-y", "rtsp://[x/1"],
)
def test_what_is_no_url_of_a_stream_is_refused(url: str) -> None:
    options = SourceOptions(url)
    assert options.kind == "stream"
    with pytest.raises(MonitorError, match="give one like rtsp://") as refusal:
        open_source(options, sample_rate=RATE, heard=lambda _: None, stop=threading.Event())
    assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize("text", ["-i", "--help", "file:///etc/passwd", "concat:a|b", "ftp://h/x", "xhttp://h/x"])
def test_only_urls_of_streams_reach_ffmpeg(text: str) -> None:
    assert SourceOptions(text).kind == "file"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (b"first\nrtsp://me:ge%20heim@c/1: Connection refused\n", "Connection refused"),
        (b"[tcp @ 0x55ae] ge heim and ge%20heim\n\n", "… and …"),
        (b"redirected to https://you:more@other/x?token=2 now", "redirected to https://other/x?… now"),
        (b"a\x1b[31mb\xff", "a [31mb\ufffd"),
        (b"", ""),
    ],
)
def test_the_last_line_of_ffmpeg_has_no_secrets(said: bytes, line: str) -> None:
    last = _LastLine()
    last.follow(BytesIO(said))
    assert last.line("rtsp://me:ge%20heim@c/1") == line


class Camera:
    """An RTSP server of one stream, with samples of 16 bits, packed into the connection."""

    def __init__(self, sound: Any) -> None:
        self.data = (sound * 32767).astype(">i2").tobytes()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.methods: list[str] = []
        self.url = f"rtsp://127.0.0.1:{self.server.getsockname()[1]}/stream"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                with connection, contextlib.suppress(OSError, IndexError):
                    self._talk(connection, connection.makefile("rb"))

    def _talk(self, connection: socket.socket, requests: Any) -> None:
        while line := requests.readline():
            method, url = line.decode().split()[:2]
            head = dict(text.split(": ", 1) for text in iter(lambda: requests.readline().decode().strip(), ""))
            self.methods.append(method)
            sdp = f"v=0\r\nm=audio 0 RTP/AVP 96\r\na=rtpmap:96 L16/{RATE}/1\r\na=control:{url}/audio\r\n"
            body = sdp if method == "DESCRIBE" else ""
            more = {
                "OPTIONS": "Public: DESCRIBE, SETUP, PLAY\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
            }.get(method, "Session: 1\r\n")
            connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {head['CSeq']}\r\n{more}\r\n{body}".encode())
            if method == "PLAY":
                self._play(connection)
                return

    def _play(self, connection: socket.socket) -> None:
        for number, start in enumerate(range(0, len(self.data), 320)):
            part = self.data[start : start + 320]
            packet = struct.pack(">BBHII", 0x80, 96, number, start // 2, 7) + part
            connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)


@ffmpeg
def test_a_camera_is_heard_over_rtsp() -> None:
    camera = Camera(SOUND)
    with camera.server:
        items = heard(listening(camera.url), lambda items: isinstance(items[-1], End))
    assert starts(items) == [Start(RATE)]
    found = sound_of(items)
    assert len(found) == pytest.approx(len(SOUND), abs=RATE / 10)
    assert np.allclose(found[:1000], SOUND[:1000], atol=1e-4)
    assert camera.methods[:4] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]


@ffmpeg
@pytest.mark.slow
def test_the_command_hears_a_stream_and_never_tells_its_password(
    radio: Callable[..., Radio],
    detector: Path,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    sound = encoded(pump(30, fault=(10, 16)), rate=16000)
    server = radio(sends(sound), refuses(503))
    options = ["--machine", "left", "--json", "--windows", "--state", tmp_path / "s"]
    monitor = process(detector, server.url, *options)
    assert monitor.stdout is not None
    out = b"".join(read_until(monitor.stdout, b'"vanished"'))
    monitor.terminate()
    rest, err = monitor.communicate(timeout=30)
    text = (out + rest).decode()
    assert monitor.returncode == 0
    assert [alarm["event"] for alarm in lines(text, "alarm")] == ["raised", "cleared"]
    assert lines(text, "start")[0]["source"] == f"http://127.0.0.1:{server.server_port}/stream?…"
    kept = "".join(dumps(event) for event in read_events(tmp_path / "s"))
    for place in (text, err.decode(), kept, json.dumps([path.name for path in tmp_path.rglob("*")])):
        assert "geheim" not in place and "verdeckt" not in place
