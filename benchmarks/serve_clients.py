"""Clients that send clips to a server, one after the other, for so many seconds; run by `serve` as a process."""

import http.client
import itertools
import json
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    """Send, and print latencies in seconds and what went wrong."""
    port, clients, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    clips = [Path(name).read_bytes() for name in sys.argv[4:]]
    latencies: list[float] = []
    errors: list[str] = []
    begun = time.perf_counter()
    threads = [
        threading.Thread(target=_send, args=(port, clips[place:] + clips[:place], begun + seconds, latencies, errors))
        for place in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - begun
    sys.stdout.write(json.dumps({"latencies": latencies, "errors": errors, "seconds": spent}))


def _send(port: int, clips: list[bytes], until: float, latencies: list[float], errors: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"content-type": "audio/wav"}
    for clip in itertools.cycle(clips):
        if time.perf_counter() >= until:
            break
        begun = time.perf_counter()
        try:
            connection.request("POST", "/api/machines/fan/score", body=clip, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            errors.append(repr(error))
            connection.close()
            continue
        latencies.append(time.perf_counter() - begun)
        if answer.status != 200:
            errors.append(f"{answer.status}: {content[:200]!r}")
    connection.close()


if __name__ == "__main__":
    main()
