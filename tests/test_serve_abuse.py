"""The server and what nobody sends by mistake: an error with a reason, and all goes on as before."""

import asyncio
import base64
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from auscult.live.serve import access, server, work
from auscult.live.serve.access import Access, Refusal
from auscult.live.serve.desk import BusyError, Desk
from auscult.live.serve.guard import Guard
from auscult.live.serve.service import Service
from auscult.live.serve.settings import ServerTable
from auscult.live.serve.work import Answer
from serve_fakes import BEGIN, alarm, desk, served, small_detector

NOTE = {"machine": "fan", "incident": "fan-1", "verdict": "normal"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Service]]:
    """A server without a token, and two alarms, the sound of one of which is damaged."""
    state = tmp_path_factory.mktemp("state")
    with served(small_detector(tmp_path_factory.mktemp("detector")), state) as (client, service):
        for number in (1, 2):
            alarm(state, "fan", number, time=BEGIN + 600 * number, flac=b"fLaC and no more", score=9.0 + number)
        yield client, service


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("/", {"host": "[::1"}, 421),
        ("/api/status", {"origin": "http://["}, 403),
        ("/api/incidents/fan-1/sound", {"range": f"bytes={'9' * 5000}-"}, 200),
        ("/api/incidents?cursor=" + cursor(f'[1{"0" * 40}, "a"]'), {}, 200),
        ("/api/incidents?cursor=" + cursor('[1, "\\ud800"]'), {}, 422),
        ("/api/incidents/fan-1/evidence", {}, 422),
    ],
)
def test_odd_questions_are_answered(
    house: tuple[TestClient, Service], address: str, headers: dict[str, str], status: int
) -> None:
    answer = house[0].get(address, headers=headers)
    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json()["error"]


def test_numbers_that_no_note_has_are_refused(house: tuple[TestClient, Service]) -> None:
    client, service = house
    for number in (999, 10**30):
        assert client.post(f"/api/notes/{number}/undo", json={}).status_code == 422
        decision = {"note": number, "threshold": 4.0}
        assert client.post("/api/machines/fan/threshold", json=decision).status_code == 422
    assert service.thresholds.decided("fan") is None


@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_undone_in_any_order_no_threshold_of_a_note_that_was_taken_back_returns(
    house: tuple[TestClient, Service], order: tuple[int, int]
) -> None:
    client, service = house
    live = service.machines["fan"].live
    before, notes = live.threshold, list[int]()
    for incident, threshold in (("fan-1", 7.0), ("fan-2", 8.0)):
        notes.append(client.post("/api/notes", json={**NOTE, "incident": incident}).json()["note"]["number"])
        client.post("/api/machines/fan/threshold", json={"note": notes[-1], "threshold": threshold})
    client.post(f"/api/notes/{notes[order[0]]}/undo", json={})
    assert live.threshold == (7.0 if order[0] == 1 else 8.0)
    client.post(f"/api/notes/{notes[order[1]]}/undo", json={})
    assert live.threshold == before and service.thresholds.decided("fan") is None


def test_who_guesses_from_many_addresses_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MOST_CLIENTS", 10)
    rule = Access("the-right-token")
    for number in range(100):
        assert isinstance(rule.log_in("wrong", "", f"10.0.0.{number}"), Refusal)
    assert len(rule._wrong) <= 10


# Connections


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    status = 200 if scope["method"] == "GET" else 405
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


@contextlib.contextmanager
def running(app: Any) -> Iterator[int]:
    """The port of a server that speaks with others as ours does."""
    config = uvicorn.Config(
        app, http=server.Patient, ws="none", lifespan="off", log_level="error", timeout_keep_alive=1
    )
    found = uvicorn.Server(config)
    listening = server._bound("127.0.0.1", 0)
    thread = threading.Thread(target=found.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        found.should_exit = True
        thread.join()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server with little patience, that says hi."""
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    with running(_hello) as found:
        yield found


def test_the_head_of_an_answer_alone_can_be_asked_for() -> None:
    """As those do who watch that a server is there."""
    guard = Guard(_hello, Access(None), ServerTable())
    with running(guard) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for _ in range(2):  # a body would be the beginning of the second answer
            line.sendall(b"HEAD /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += line.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"content-length: 2\r\n" in answer


@pytest.mark.parametrize("asked", [0, 2])
@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nhos"])
def test_who_never_ends_the_head_of_a_request_is_sent_away(port: int, asked: int, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for _ in range(asked):
            line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\nhi"):
                answer += line.recv(4096)
        line.sendall(begun)
        with contextlib.suppress(ConnectionResetError):
            assert line.recv(4096) == b""


def test_who_does_not_read_an_answer_is_sent_away_and_who_reads_slowly_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UNREAD_SECONDS", 0.5)
    gone = threading.Event()

    async def endless(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        over = asyncio.ensure_future(_disconnected(receive))
        while not over.done():
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
            await asyncio.sleep(0.01)
        gone.set()

    with running(endless) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        for _ in range(10):
            time.sleep(0.1)
            assert line.recv(2**24)
        assert not gone.is_set()
        assert gone.wait(10), "the answer waits for ever"


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


# The desk


def test_a_task_that_fails_in_a_way_that_nobody_foresaw_is_answered_and_the_desk_goes_on() -> None:
    for _ in range(3):
        assert "KeyError" in desk().give(_odd).result(timeout=60).error
    assert desk().give(_well).result(timeout=60).content == "well"


@pytest.mark.slow
def test_a_task_that_hangs_without_using_the_processor_is_ended() -> None:
    assert "too much time" in desk().give(_hang).result(timeout=60).error
    assert desk().give(_well).result(timeout=60).content == "well"


def test_a_full_desk_takes_no_more() -> None:
    full = Desk(1, most=0)
    try:
        with pytest.raises(BusyError, match="try again"):
            asyncio.run(full.ask(_well))
    finally:
        full.close()


def _odd() -> Answer:
    return work._guarded(lambda: {}["nothing"])


def _well() -> Answer:
    return work._guarded(lambda: "well")


def _hang() -> Answer:
    work.WALL_SECONDS = 1
    return work._guarded(lambda: time.sleep(120))
