"""Outputs: each event at least once at each of them, whatever fails."""

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from auscult.cli.display.messages import print_error, print_lines, print_notes, print_warning
from auscult.errors import MonitorError
from auscult.live import delivery as delivery_module
from auscult.live.delivery import Delivery, DeliveryError
from auscult.live.events import Event, dumps, iso
from auscult.live.history import History, read_events
from auscult.live.json_lines import JsonLines
from auscult.live.monitor import Monitor
from auscult.live.mqtt import Mqtt, MqttAddress
from auscult.live.sound import End, Samples, Start
from auscult.live.summary import MonitorSummary
from auscult.live.terminal import Terminal
from auscult.live.webhook import Webhook
from brokers import Broker, Listener, free_port, wait_for
from live_fakes import Loudness, Script, delivering, event, faulty, watch


class Receiver:
    """An output that fails when it is told to."""

    name = "receiver"

    def __init__(self) -> None:
        self.got: list[str] = []
        self.failing = False

    def send(self, key: str, line: str) -> None:
        if self.failing:
            raise DeliveryError("nobody is there")
        self.got.append(key)

    def close(self) -> None:
        pass


def test_a_delivery_tries_again_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(delivery_module, "REPORTED_SECONDS", 0.1)
    history, receiver = delivering(tmp_path, "receiver"), Receiver()
    delivery = Delivery(receiver, history)
    receiver.failing = True
    history.record([event(1)])
    delivery.start()
    wait_for(lambda: delivery.problem)
    assert delivery.problem == "nobody is there; it is tried again, nothing is lost"
    history.record([event(2), event(3)])
    receiver.failing = False
    wait_for(lambda: len(receiver.got) == 3)
    assert receiver.got == ["pump-1:raised", "pump-2:raised", "pump-3:raised"]
    assert delivery.problem is None
    assert delivery.close(seconds=1) == 0
    history.close()


def test_what_was_not_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    history, receiver = delivering(tmp_path, "receiver"), Receiver()
    receiver.failing = True
    history.record([event(number) for number in range(50)])
    delivery = Delivery(receiver, history)
    delivery.start()
    assert delivery.close(seconds=0.1) == 50
    history.close()
    again, receiver = delivering(tmp_path, "receiver"), Receiver()
    delivery = Delivery(receiver, again)
    delivery.start()
    assert delivery.close(seconds=10) == 0
    assert receiver.got == [f"pump-{number}:raised" for number in range(50)]
    again.close()


class Hook(HTTPServer):
    """A receiver of webhooks that answers with the next status of a list, at last with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.got = list(statuses), list[tuple[str, dict[str, str], dict[str, Any]]]()
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_port}/hook?secret=1"


class _Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.got.append((self.command, dict(self.headers), body))
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Callable[..., Hook]]:
    servers: list[Hook] = []

    def start(*statuses: int) -> Hook:
        servers.append(Hook(*statuses))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_webhook_gets_json_and_its_url_stays_a_secret(hook: Callable[..., Hook]) -> None:
    server = hook()
    webhook = Webhook(server.url, authorization="Bearer x")
    webhook.send(event(1).key, dumps(event(1).to_json()))
    ((_, headers, body),) = server.got
    assert body == event(1).to_json()
    assert headers["Idempotency-Key"] == "pump-1:raised"
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer x", "application/json")
    assert "secret" not in webhook.name


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_an_answer_other_than_2xx_is_no_delivery(hook: Callable[..., Hook], status: int) -> None:
    server = hook(status)
    with pytest.raises(DeliveryError, match=str(status)):
        Webhook(server.url).send("key", "{}")
    assert len(server.got) == 1


@pytest.mark.parametrize(("head", "taken"), [(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", True), (b"HT", False)])
def test_a_receiver_that_drips_its_answer_holds_nothing_up(
    head: bytes, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auscult.live.webhook.TIMEOUT_SECONDS", 0.3)
    ended = threading.Event()

    def drip() -> None:
        connection, _ = server.accept()
        connection.sendall(head)
        while not ended.wait(0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                break
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, daemon=True).start()
        webhook, start = Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/"), time.monotonic()
        with nullcontext() if taken else pytest.raises(DeliveryError, match=r"does not answer within 0\.3 s"):
            webhook.send("key", "{}")
        assert time.monotonic() - start < 2
        ended.set()


def test_a_webhook_that_is_not_there_is_no_delivery() -> None:
    with pytest.raises(DeliveryError, match="cannot be reached"):
        Webhook(f"http://127.0.0.1:{free_port()}/").send("key", "{}")


@pytest.mark.parametrize("url", ["", "hook", "ftp://host/x", "file:///etc/passwd", "http://", "http://h:99999/x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(MonitorError, match="give one like"):
        Webhook(url)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host/a", MqttAddress("host", 1883, "a")),
        ("host:99/a/b", MqttAddress("host", 99, "a/b")),
        ("mqtts://host/a/", MqttAddress("host", 8883, "a", tls=True)),
        ("[::1]:99/a", MqttAddress("::1", 99, "a")),
    ],
)
def test_addresses_of_brokers(text: str, address: MqttAddress) -> None:
    assert MqttAddress.parse(text) == address


@pytest.mark.parametrize("text", ["", "host", "host/", "/a", "host/a/#", "host/+/b", "host:x/a", "http://host/a"])
def test_what_is_no_broker_is_refused(text: str) -> None:
    with pytest.raises(MonitorError, match=r"give HOST\[:PORT\]/TOPIC"):
        MqttAddress.parse(text)


def test_a_password_on_the_command_line_is_refused() -> None:
    with pytest.raises(MonitorError, match="AUSCULT_MQTT_PASSWORD"):
        MqttAddress.parse("mqtt://me:secret@host/a")


@pytest.mark.slow
def test_mqtt_delivers_with_a_status_and_a_last_will(broker: Broker) -> None:
    broker.start()
    listener = Listener(broker)
    output = Mqtt(MqttAddress("127.0.0.1", broker.port, "plant/pump"), machine_id="pump")
    wait_for(lambda: ("online", "") in listener.statuses())
    output.send(event(1).key, dumps(event(1).to_json()))
    wait_for(lambda: listener.ids() == ["pump-1"])
    output._client.socket().shutdown(socket.SHUT_RDWR)  # the connection breaks without a good-bye
    wait_for(lambda: ("offline", "connection lost") in listener.statuses())
    wait_for(lambda: listener.statuses()[-1] == ("online", ""))
    output.close()
    wait_for(lambda: listener.statuses()[-1] == ("offline", "stopped"))
    listener.close()


def outage(broker: Broker, history: History, *, seconds: float) -> None:
    """The broker comes late, goes away and comes back, and events never stop."""
    output = Mqtt(MqttAddress("127.0.0.1", broker.port, "plant/pump"), machine_id="pump")
    delivery = Delivery(output, history)
    history.deliver_to([output.name])
    delivery.start()
    number = 0

    def happen() -> None:
        nonlocal number
        number += 1
        history.record([event(number)])
        delivery.wake()

    happen()
    time.sleep(1.5)
    broker.start()
    listener = Listener(broker)
    wait_for(listener.ids)
    happen()
    wait_for(lambda: len(set(listener.ids())) == 2)
    broker.stop()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        happen()
        time.sleep(seconds / 10)
    broker.start()
    happen()
    wait_for(lambda: len(set(listener.ids())) == number, seconds=90)
    assert delivery.close(seconds=10) == 0
    listener.close()
    assert set(listener.ids()) == {f"pump-{place}" for place in range(1, number + 1)}
    history.close()
    assert history.folder is not None
    assert [data["id"] for data in read_events(history.folder)] == [f"pump-{n}" for n in range(1, number + 1)]


@pytest.mark.slow
def test_a_broker_that_goes_away_gets_all_it_missed(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "LONGEST_PAUSE", 1.0)
    outage(broker, History(tmp_path / "s"), seconds=2.0)


@pytest.mark.slow
def test_a_broker_that_goes_away_for_a_minute_gets_all_it_missed(broker: Broker, tmp_path: Path) -> None:
    outage(broker, History(tmp_path / "s"), seconds=60.0)


def test_json_lines_are_written_once_even_if_the_stream_fails_between() -> None:
    class Failing(io.StringIO):
        full = False

        def flush(self) -> None:
            if self.full:
                raise OSError(28, "No space left on device")

    refusals: list[OSError] = []
    stream = Failing()
    lines = JsonLines(stream, windows=True, refused=refusals.append)
    lines.send("a", '{"a": 1}')
    stream.full = True
    for _ in range(2):
        with pytest.raises(DeliveryError, match="No space left"):
            lines.send("b", '{"b": 1}')
        lines.window({"score": 1.0}, heard=1.0, state="normal")
    stream.full = False
    lines.send("b", '{"b": 1}')
    lines.window({"score": float("inf")}, heard=1.0, state="normal")
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"a": 1},
        {"b": 1},
        {"type": "window", "heard_seconds": 1.0, "score": None},
    ]
    assert len(refusals) == 2


def shown(*, live: bool, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    ticks = iter(range(10_000))

    def fail(error: OSError) -> None:
        raise error

    screen = Terminal(
        stream, threshold=0.2, spread=0.02, name="pump", live=live, refused=fail, clock=lambda: next(ticks) * 1.0
    )
    sound = faulty(100, (30, 40))
    monitor = Monitor(Loudness(), watch(), history=History(None), screen=screen, wall=lambda: 1.7e9)
    monitor.run(Script([Start(1000), Samples(sound), Samples(sound * 0), End()]))
    screen.waiting("normal, waiting for sound")
    screen.end({"heard_seconds": 200.0, "windows": 3, "scored": 2, "highest": 0.5, "alarms": 1, "troubles": 0})
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_the_terminal_shows_a_trend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = shown(live=True)
    assert "▃▃▃▃" in text or "▄▄▄▄" in text
    assert "!!!!" in text
    assert "????" in text
    assert "ALARM raised: score" in text
    assert "TROUBLE: dropout, silence" in text
    assert "!" in shown(live=True, encoding="ascii")


def test_where_nothing_was_scored_there_is_no_highest_score() -> None:
    stream = io.StringIO()
    refused: list[OSError] = []
    screen = Terminal(stream, threshold=0.2, spread=0.02, name="pump", live=False, refused=refused.append)
    screen.end({**asdict(MonitorSummary(windows=3)), "heard_seconds": 12.0})
    assert stream.getvalue() == "0:00:12 heard, 0 of 3 windows scored, 0 alarms, 0 troubles\n"


def test_without_a_terminal_there_are_plain_lines() -> None:
    text = shown(live=False)
    assert "\r" not in text
    lines = text.splitlines()
    assert next(line for line in lines if "heard," in line).startswith("pump: 0:00:01 heard, 1 of 1 windows scored")
    assert any("2023-11-14T22:13:20.000Z  ALARM raised: score" in line for line in lines)
    assert lines[-1] == "0:03:20 heard, 2 of 3 windows scored, highest score 0.500, 1 alarms, 0 troubles"


def test_times_are_utc() -> None:
    assert iso(1.7e9) == "2023-11-14T22:13:20.000Z"


def test_names_of_strangers_give_the_terminal_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "fan\x1b]0;mine\x07\x9b2J"
    stream = io.StringIO()
    screen = Terminal(stream, threshold=0.2, spread=0.02, name=hostile, live=True, refused=print)
    screen.window({"score": 0.1}, heard=2.0, state="normal")
    screen.event(Event("trouble", "1", "raised", 1.7e9, 2.0, hostile, {"kind": "file", "message": hostile}))
    for show in (print_error, print_warning, print_lines, lambda text: print_notes([text])):
        show(hostile)
    said = capsys.readouterr()
    for text in (stream.getvalue(), said.out, said.err):
        assert "fan" in text and not set(text) & set("\x1b\x07\x9b")
