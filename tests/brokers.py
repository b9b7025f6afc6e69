"""A real Mosquitto for the tests of MQTT, and a subscriber."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def wait_for(condition: Callable[[], Any], *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Broker:
    """A real Mosquitto on a free port, which can go away and come back; `persistent` ones remember what they held."""

    def __init__(self, folder: Path, program: str) -> None:
        self.port, self.folder, self.program = free_port(), folder, program
        self.persistent = True
        self.settings = ""  # instead of those below
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.folder / "mosquitto.conf").write_text(
            self.settings
            or f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            f"persistence {str(self.persistent).lower()}\npersistence_location {self.folder}/\n"
        )
        self.process = subprocess.Popen(
            [self.program, "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
        )
        wait_for(self.answers)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("no mosquitto is installed (apt install mosquitto)")
    (tmp_path / "broker").mkdir()
    made = Broker(tmp_path / "broker", program)
    yield made
    made.stop()


class Listener:
    """A subscriber with a session that the broker remembers; of a name of its own, if there are several."""

    def __init__(self, broker: Broker, *topics: str, name: str = "listener") -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self.got: list[tuple[str, dict[str, Any]]] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self.client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics or ("plant/#",)])
        self.client.on_message = lambda _client, _data, message: self.got.append(
            (message.topic, json.loads(message.payload))
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.connect_async("127.0.0.1", broker.port)
        self.client.loop_start()

    def ids(self) -> list[str]:
        return [data["id"] for topic, data in self.got if topic == "plant/pump/alarm"]

    def statuses(self) -> list[tuple[str, str]]:
        return [(data["status"], data["reason"]) for topic, data in self.got if topic == "plant/pump/status"]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
