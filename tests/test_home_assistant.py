"""Home Assistant: devices that appear by themselves, tell of alarms at once, and are known again after anything."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from auscult.errors import MonitorError
from auscult.live.events import Event
from auscult.live.history import History
from auscult.live.home_assistant import HomeAssistant, discovery
from auscult.live.monitor import Monitor
from auscult.live.mqtt import MqttAddress
from auscult.live.screens import Screens
from auscult.live.session import Outputs
from auscult.live.sound import End, Samples, SourceProblem, Start, Waiting
from brokers import Broker, Listener, wait_for
from live_fakes import Loudness, Script, Seen, faulty, watch
from test_live_command import detector, process, pump  # noqa: F401 - a fixture

NAMES = ["pump", "Pumpe 3 (Halle)", "plant/pump#+3", "{{ 7 * 7 }}", "\udcff", "ポンプ", "a" * 300, " ", "a_b", "a b"]


def rendered(payload: dict[str, Any], key: str, state: dict[str, Any]) -> str:
    """What Home Assistant makes of a state by a template of the payload."""
    return jinja2.Environment().from_string(payload[key]).render(value_json=state)


@pytest.mark.parametrize("name", NAMES)
def test_discovery_is_well_formed_whatever_the_name(name: str) -> None:
    messages = discovery(f"plant/{name}", name)
    assert {topic.split("/")[1] + "/" + topic.split("/")[3] for topic in messages} == {
        "binary_sensor/problem", "binary_sensor/trouble", "sensor/score", "sensor/threshold"
    }  # fmt: skip
    for topic, payload in messages.items():
        assert re.fullmatch(r"homeassistant/(binary_sensor|sensor)/[a-zA-Z0-9_-]+/[a-z]+/config", topic)
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,100}", payload["unique_id"])
        assert json.loads(json.dumps(payload)) == payload
        payload["device"]["name"].encode()
        assert payload["device"]["identifiers"] and payload["origin"]["name"] == "auscult"
        assert payload["state_topic"] == f"plant/{name}/state"
    assert len({payload["unique_id"] for payload in messages.values()}) == len(messages)
    assert messages[next(topic for topic in messages if "/problem/" in topic)]["device_class"] == "problem"


def test_ids_of_different_topics_never_meet() -> None:
    """Also where only characters differ that no id can hold, or two monitors watch machines of one name."""
    devices = {next(iter(discovery(f"plant/{name}", "pump"))) for name in NAMES}
    assert len(devices) == len(NAMES)
    assert discovery("plant/pump", "a").keys() == discovery("plant/pump", "b").keys()


def test_templates_read_the_state() -> None:
    by_name = {topic.split("/")[3]: payload for topic, payload in discovery("plant/pump", "pump").items()}
    state = {
        "problem": True, "score": None, "threshold": 0.5, "warning": False, "words": "a 'tone' <3 kHz>", "troubles": []
    }  # fmt: skip
    assert rendered(by_name["problem"], "value_template", state) == "ON"
    assert rendered(by_name["problem"], "value_template", {**state, "problem": False}) == "OFF"
    assert rendered(by_name["trouble"], "value_template", state) == "OFF"
    assert rendered(by_name["trouble"], "value_template", {**state, "troubles": ["silence"]}) == "ON"
    assert rendered(by_name["score"], "value_template", state) == "None"  # for Home Assistant: unknown
    assert rendered(by_name["threshold"], "value_template", state) == "0.5"
    attributes = json.loads(rendered(by_name["problem"], "json_attributes_template", state))
    assert attributes == {"warning": False, "words": "a 'tone' <3 kHz>", "troubles": []}
    status = {"type": "status", "status": "offline", "reason": "connection lost"}
    assert rendered(by_name["score"], "availability_template", status) == "offline"


class Kept:
    """Instead of a broker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: list[dict[str, Any]] = []
        monkeypatch.setattr(HomeAssistant, "keep", self.take)
        monkeypatch.setattr("paho.mqtt.client.Client.loop_start", lambda _: None)

    def take(self, topic: str, payload: str) -> None:
        if topic == "plant/pump/state":
            self.states.append(json.loads(payload))


def device(**options: Any) -> HomeAssistant:
    return HomeAssistant(MqttAddress("127.0.0.1", 9, "plant/pump"), machine_id="pump", **options)


def test_a_change_is_told_at_once_and_the_score_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, now = Kept(monkeypatch), [0.0]
    home = device(clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        home.window({"score": second / 100, "threshold": 0.5}, heard=second, state="normal")
    assert [state["score"] for state in kept.states] == [0.0, 0.1, 0.2]
    home.event(Event("warning", "w", "raised", 0.0, 25.0, "pump", {"words": "some tone"}))
    home.window({"score": 0.4, "threshold": 0.5}, heard=25, state="warning")
    home.event(Event("alarm", "a", "raised", 0.0, 26.0, "pump", {"words": "a tone"}))
    home.window({"score": 0.9, "threshold": 0.5}, heard=26, state="ALARM")
    home.event(Event("warning", "w", "cleared", 0.0, 27.0, "pump", {}))
    home.window({"score": None, "threshold": 0.5}, heard=27, state="ALARM + TROUBLE: silence, dropout")
    home.event(Event("alarm", "a", "cleared", 0.0, 28.0, "pump", {}))
    home.window({"score": 0.1, "threshold": 0.5}, heard=28, state="normal")
    told = [(state["problem"], state["warning"], state["words"], state["troubles"]) for state in kept.states[3:]]
    assert told == [
        (False, True, "some tone", []),
        (True, True, "a tone", []),
        (True, True, "a tone", ["silence", "dropout"]),
        (False, False, "", []),
    ]


def test_a_monitor_tells_of_alarms_troubles_and_that_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, seen = Kept(monkeypatch), Seen()
    monitor = Monitor(Loudness(), watch(), history=History(None), screen=Screens.of(seen, [device(), object()]))
    gone = SourceProblem("vanished", "it is gone")
    monitor.run(Script([Start(1000), Samples(faulty(20, (8, 12))), Waiting(1.0), gone, Waiting(2.0), End()]))
    assert seen.windows and seen.named("alarm") == [("alarm", "raised"), ("alarm", "cleared")]
    assert [state["problem"] for state in kept.states] == [False, True, False, False]
    assert [state["troubles"] for state in kept.states][-2:] == [[], ["vanished"]]
    assert kept.states[-1]["score"] is None and kept.states[-1]["threshold"] == 0.2
    assert kept.states[1]["words"] == "1000 samples"


def test_without_a_broker_or_with_an_impossible_prefix_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MonitorError, match="give --mqtt"):
        Outputs(home_assistant=True).check()
    monkeypatch.setenv("AUSCULT_HOME_ASSISTANT_PREFIX", "home/#")
    with pytest.raises(MonitorError, match="give a topic without"):
        Outputs(mqtt="127.0.0.1/plant/pump", home_assistant=True).remote("pump")


class Home(Listener):
    """What Home Assistant would see: the last retained messages, and how often each came."""

    def __init__(self, broker: Broker, name: str = "home") -> None:
        super().__init__(broker, "plant/#", "homeassistant/+/+/+/config", name=name)

    def last(self, topic: str) -> dict[str, Any]:
        return next((data for place, data in reversed(self.got) if place == topic), {})

    def devices(self) -> set[str]:
        return {topic for topic, _ in self.got if topic.startswith("homeassistant/")}

    @property
    def state(self) -> dict[str, Any]:
        return self.last("plant/pump/state")

    @property
    def status(self) -> str:
        return str(self.last("plant/pump/status").get("status"))


def test_a_broker_without_memory_gets_everything_again_and_so_does_who_is_born(broker: Broker) -> None:
    broker.persistent = False
    broker.start()
    home = HomeAssistant(MqttAddress("127.0.0.1", broker.port, "plant/pump"), machine_id="pump")
    home.window({"score": 0.25, "threshold": 0.5}, heard=1, state="normal")
    first = Home(broker)
    wait_for(lambda: first.status == "online" and first.state and len(first.devices()) == 4)
    first.close()
    broker.stop()
    broker.start()
    second = Home(broker, "second")
    wait_for(lambda: second.status == "online" and second.state and len(second.devices()) == 4)
    assert second.devices() == first.devices() == set(discovery("plant/pump", "pump"))
    assert (second.state["score"], second.state["problem"]) == (0.25, False)
    second.got.clear()
    second.client.publish("homeassistant/status", "offline")
    second.client.publish("homeassistant/status", "online")
    wait_for(lambda: second.state and len(second.devices()) == 4)
    home.close()
    wait_for(lambda: second.status == "offline")
    second.close()


KILLED = """
import sys, time
from auscult.live.home_assistant import HomeAssistant
from auscult.live.mqtt import MqttAddress
home = HomeAssistant(MqttAddress("127.0.0.1", int(sys.argv[1]), "plant/pump"), machine_id="pump")
home.window({"score": 0.25, "threshold": 0.5}, heard=1, state="ALARM")
time.sleep(60)
"""


def test_the_last_will_tells_of_a_killed_monitor(broker: Broker) -> None:
    broker.start()
    seen = Home(broker)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(broker.port)]) as running:
        wait_for(lambda: seen.status == "online" and seen.state)
        running.send_signal(signal.SIGKILL)
    wait_for(lambda: seen.status == "offline")
    assert seen.last("plant/pump/status")["reason"] == "connection lost"
    seen.close()


@pytest.mark.slow
def test_the_command_tells_home_assistant(broker: Broker, detector: Path, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    broker.start()
    seen = Home(broker)
    options = ["--machine", "left", "--rate", "16000", "--format", "f32le", "--state", tmp_path / "s"]
    mqtt = ["--mqtt", f"127.0.0.1:{broker.port}/plant/pump", "--home-assistant"]
    running = process(detector, "-", *options, *mqtt)
    assert running.stdin is not None
    running.stdin.write(pump(16, fault=(10, 16)).tobytes())
    running.stdin.flush()
    wait_for(lambda: seen.state.get("problem"), seconds=60)
    assert seen.status == "online" and seen.state["words"]
    running.stdin.write(pump(14).tobytes())
    running.stdin.flush()
    wait_for(lambda: not seen.state["problem"])
    running.kill()
    wait_for(lambda: seen.status == "offline")
    running.communicate()
    seen.close()
