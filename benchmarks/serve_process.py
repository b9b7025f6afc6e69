"""A server in a process of its own, and one request to it; what the parts of `benchmarks.serve` share."""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def server(folder: Path, plant: str) -> Iterator[int]:
    """A server of a plant's TOML text; its port."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plant.toml").write_text(plant, encoding="utf-8")
    command = [sys.executable, "-m", "auscult", "serve", "--config", str(folder / "plant.toml"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        port = int(line.rsplit(":", 1)[1].strip(" /\n"))
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield port
    finally:
        process.terminate()
        process.wait(30)


def get(port: int, path: str) -> tuple[int, bytes, float]:
    """Status, content and seconds of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begun = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - begun
    connection.close()
    return answer.status, content, seconds
