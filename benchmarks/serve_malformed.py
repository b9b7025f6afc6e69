"""Recordings that are none, lie, or come slowly, sent to a server whose monitor goes on; part of `benchmarks.serve`."""

import http.client
import json
import os
import socket
import struct
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serve_process import get, server

UPLOADS, SLOW, CLIENTS = 1000, 20, 4
WAIT_SECONDS = 5.0
"""That an upload may take to come."""

MEMORY_MB = 400.0
LATE_SECONDS = 3.0
"""Targets, at most: growth of all processes' memory, and how far the monitor falls behind the clock."""

Maker = Callable[[bytes, np.random.Generator], tuple[bytes, str]]


def _fuzzed(clip: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """A header with random bytes changed."""
    changed = bytearray(clip)
    for place in rng.integers(0, 44, int(rng.integers(1, 12))):
        changed[place] = int(rng.integers(0, 256))
    return bytes(changed), "audio/wav"


def _lying(clip: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """A header with another rate, number of channels, bits or length than there is."""
    changed = bytearray(clip)
    place, form, values = [
        (22, "<H", (0, 7, 255, 65535)),
        (24, "<I", (0, 1, 100, 4_000_000_000, 2_000_000)),
        (34, "<H", (0, 3, 64, 65535)),
        (40, "<I", (0, 2**31, 2**32 - 2, len(clip) * 2)),
        (16, "<I", (0, 2, 2**31)),
    ][int(rng.integers(0, 5))]
    struct.pack_into(form, changed, place, int(rng.choice(values)))
    return bytes(changed), "audio/wav"


def _cut(clip: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """The beginning of a recording."""
    return clip[: int(rng.integers(0, len(clip) // 2))], "audio/wav"


def _bomb(_: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """A zip that unpacks to a thousand times its size, named a recording."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.wav", bytes(int(rng.integers(10**6, 10**7))))
    return file.getvalue(), "audio/wav"


def _packed(_: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """FLAC of silence: a little file of a long recording."""
    import soundfile

    file = BytesIO()
    soundfile.write(file, np.zeros(16000 * 700 + int(rng.integers(0, 9)), dtype=np.int16), 16000, format="FLAC")
    return file.getvalue(), "audio/flac"


def _other(clip: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Another type of content."""
    kinds = ["text/html", "application/json", "image/png", "multipart/form-data; boundary=x", "audio/wav"]
    kind = kinds[int(rng.integers(0, len(kinds)))]
    return (rng.bytes(5000) if kind == "audio/wav" else clip), kind


MAKERS: dict[str, Maker] = {
    "fuzzed": _fuzzed,
    "lying": _lying,
    "cut": _cut,
    "bomb": _bomb,
    "packed": _packed,
    "other": _other,
}


def malformed(folder: Path, detector: Path, clips: Sequence[Path], *, quick: bool) -> dict[str, Any]:
    """Send them all; what was answered, how memory grew, and how the monitor kept up."""
    source = _long(folder / "life.wav", clips)
    plant = (
        f"[server]\nupload_wait_seconds = {WAIT_SECONDS}\nuploads_per_minute = 100000\n"
        f'[machines.fan]\ndetector = "{detector}"\nsource = "{source}"\nspeed = 1\nreplay = 2026-01-01T00:00:00Z\n'
    )
    with server(folder / "malformed", plant) as port:
        _wait_for_sound(port)
        memory, begun, heard = _memory(port), time.monotonic(), _heard(port)
        late, most, ended = [0.0], [memory], threading.Event()

        def watch() -> None:
            while not ended.wait(0.5):
                late.append(time.monotonic() - begun - (_heard(port) - heard))
                most.append(_memory(port))

        watcher = threading.Thread(target=watch)
        watcher.start()
        answers = _answers(port, [clip.read_bytes() for clip in clips], UPLOADS // (10 if quick else 1))
        slow = _slow(port, SLOW // (4 if quick else 1))
        ended.set()
        watcher.join()
        usable = _upload(port, clips[0].read_bytes(), "audio/wav")[0]
    statuses = Counter(status for status, _, _ in answers)
    wrong = [f"{kind}: {status} {text[:100]}" for status, text, kind in answers if not _fine(status, text)]
    grown = (max(most) - memory) / 1e6
    missed = {
        "answers": bool(wrong),
        "slow senders": any(status != 408 for status in slow),
        "memory": grown > MEMORY_MB,
        "monitor": max(late) > LATE_SECONDS,
        "afterwards": usable != 200,
    }
    return {
        "uploads": len(answers),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "sound_all_the_same": statuses[200],
        "wrong": wrong[:10],
        "slow_senders": slow,
        "memory_grew_mb": round(grown, 1),
        "monitor_late_s": round(max(late), 2),
        "missed": [name for name, is_wrong in missed.items() if is_wrong],
    }


def _fine(status: int, text: str) -> bool:
    """Refused with a reason; or scored, where what was changed left sound all the same."""
    if status == 200:
        return "score" in json.loads(text)
    return 400 <= status < 500 and bool(json.loads(text).get("error"))


def _answers(port: int, clips: list[bytes], count: int) -> list[tuple[int, str, str]]:
    """Status, text and kind of each upload."""
    found: list[tuple[int, str, str]] = []

    def send(client: int) -> None:
        rng = np.random.default_rng(client)
        for number in range(client, count, CLIENTS):
            kind = [*MAKERS][number % len(MAKERS)]
            body, media = MAKERS[kind](clips[number % len(clips)], rng)
            found.append((*_upload(port, body, media), kind))

    threads = [threading.Thread(target=send, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _upload(port: int, body: bytes, media: str) -> tuple[int, str]:
    """One upload by hand, so that any header can be sent."""
    head = f"POST /api/machines/fan/score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=120) as line:
        line.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        answer = http.client.HTTPResponse(line)
        answer.begin()
        return answer.status, answer.read().decode(errors="replace")


def _slow(port: int, count: int) -> list[int]:
    """Clients that send a byte now and then; what they are answered."""
    lines = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(count)]
    head = "POST /api/machines/fan/score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: audio/wav\r\n"
    for line in lines:
        line.sendall(f"{head}Content-Length: 100000\r\n\r\nRIFF".encode())
    for _ in range(int(WAIT_SECONDS)):
        time.sleep(1)
        for line in lines:
            line.sendall(b"x")
    found = []
    for line in lines:
        answer = http.client.HTTPResponse(line)
        answer.begin()
        found.append(answer.status)
        line.close()
    return found


def _long(path: Path, clips: Sequence[Path]) -> Path:
    """A recording that lasts longer than the attack."""
    import soundfile

    sounds = [soundfile.read(clip, dtype="int16") for clip in clips]
    with soundfile.SoundFile(path, "w", sounds[0][1], 1) as file:
        for _ in range(4):
            for sound, _rate in sounds:
                file.write(sound)
    return path


def _heard(port: int) -> float:
    return float(json.loads(get(port, "/api/machines/fan")[1])["heard_seconds"])


def _wait_for_sound(port: int) -> None:
    ends = time.monotonic() + 120
    while _heard(port) == 0 and time.monotonic() < ends:
        time.sleep(0.2)


def _memory(port: int) -> float:
    """Bytes of the server and all its processes, what they share counted once."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdecimal()}
    family = {pid for pid in parents if f":{port}" in _said(pid) or _is_server(pid)}
    for _ in range(4):
        family |= {pid for pid, parent in parents.items() if parent in family}
    return float(sum(map(_proportional, family)))


def _is_server(pid: int) -> bool:
    return "auscult\0serve" in _said(pid) and os.getpid() != pid


def _said(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0
