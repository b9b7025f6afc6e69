"""Home Assistant by MQTT: each machine a device that appears by itself, with problem, score and threshold."""

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from auscult import __version__
from auscult.errors import MonitorError
from auscult.live.events import Event, dumps
from auscult.live.mqtt import Mqtt, MqttAddress

DISCOVERY_PREFIX = "homeassistant"
"""Topic below which Home Assistant looks for devices, and says when it starts."""

SCORE_SECONDS = 10.0
"""The score is told at most this often; a change of the state at once."""

ATTRIBUTES = (
    "{{ {'warning': value_json.warning, 'words': value_json.words, 'troubles': value_json.troubles} | tojson }}"
)

ENTITIES: dict[str, tuple[str, dict[str, Any]]] = {
    "problem": (
        "binary_sensor",
        {
            "name": "Problem",
            "device_class": "problem",
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
            "json_attributes_template": ATTRIBUTES,
        },
    ),
    "trouble": (
        "binary_sensor",
        {
            "name": "Trouble",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "value_template": "{{ 'ON' if value_json.troubles else 'OFF' }}",
        },
    ),
    "score": ("sensor", {"name": "Score", "state_class": "measurement", "value_template": "{{ value_json.score }}"}),
    "threshold": (
        "sensor",
        {"name": "Threshold", "entity_category": "diagnostic", "value_template": "{{ value_json.threshold }}"},
    ),
}
"""Name of each entity -> its component, and what is said of it besides topics, ids and the device."""


class HomeAssistant(Mqtt):
    """The outputs of `Mqtt`, and a screen that keeps a device of Home Assistant up to date.

    `TOPIC/state` holds, retained, whether there is an alarm (`problem`) or a `warning`, the last score, the threshold,
    the `words` of what was raised, and the `troubles` that keep the machine from being heard. Each entity has a
    discovery message of its own, which every version of Home Assistant reads; one message for a whole device would
    need 2024.11.

    Args:
        address: broker and topic; the topic makes the ids, so it must be another for each machine of a broker.
        machine_id: name of the device.
        prefix: of discovery.
        score_seconds: see `SCORE_SECONDS`.
        clock: in seconds, for that.
        username: for the broker, if it wants one.
        password: with it.

    Raises:
        MonitorError: if paho-mqtt is missing, or the prefix can be no topic.
    """

    def __init__(
        self,
        address: MqttAddress,
        *,
        machine_id: str,
        prefix: str = DISCOVERY_PREFIX,
        score_seconds: float = SCORE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        if not prefix or set(prefix) & set("+#\0"):
            raise MonitorError(
                f"AUSCULT_HOME_ASSISTANT_PREFIX is {prefix!r}; give a topic without + and #, such as {DISCOVERY_PREFIX}"
            )
        super().__init__(address, machine_id=machine_id, username=username, password=password)
        self._score_seconds, self._clock = score_seconds, clock
        self._score: float | None = None
        self._threshold: float | None = None
        self._words: dict[str, str] = {}  # of the alarm and the warning that are raised
        self._said, self._told = "", -math.inf  # the state that was told last, and when
        for topic, payload in discovery(address.topic, machine_id, prefix=prefix).items():
            self.keep(topic, json.dumps(payload))
        self.hear(f"{prefix}/status", self._greet)

    def window(self, window: Mapping[str, Any], *, heard: float, state: str) -> None:
        """A window was heard."""
        self._score, self._threshold = window["score"], window["threshold"]
        self._tell(state, score=True)

    def event(self, event: Event) -> None:
        """Something new happened: its words are kept, the state comes with the window."""
        self._words[event.kind] = str(event.details.get("words") or "") if event.phase == "raised" else ""

    def waiting(self, state: str) -> None:
        """No sound comes, so that nothing is known about the machine."""
        self._score = None
        self._tell(state.removesuffix(", waiting for sound"), score=False)

    def _tell(self, state: str, *, score: bool) -> None:
        """Publish what has changed: the state at once, the score not too often."""
        now = self._clock()
        if state == self._said and not (score and now - self._told >= self._score_seconds):
            return
        self._said, self._told = state, now
        level, _, rest = state.partition("TROUBLE: ")
        payload = {
            "problem": level.startswith("ALARM"),
            "score": self._score,
            "threshold": self._threshold,
            "warning": level.startswith(("ALARM", "warning")),
            "words": self._words.get("alarm") or self._words.get("warning") or "",
            "troubles": rest.split(", ") if rest else [],
        }
        self.keep(self._topic("state"), dumps(payload))

    def _greet(self, payload: bytes) -> None:
        """Home Assistant has started: it may know nothing."""
        if payload == b"online":
            self.keep_again()


def discovery(topic: str, machine_id: str, *, prefix: str = DISCOVERY_PREFIX) -> dict[str, dict[str, Any]]:
    """The discovery messages of a machine: topic -> payload.

    Args:
        topic: of the machine; ids are made of it, as of several monitors of one detector each has its own.
        machine_id: any name.
        prefix: of discovery.

    >>> sorted(discovery("plant/pump 3", "Pumpe 3"))[0]
    'homeassistant/binary_sensor/auscult_plant_pump_3_6c78362a2e/problem/config'
    """
    digest = hashlib.sha256(topic.encode("utf-8", "backslashreplace")).hexdigest()[:10]
    device = f"auscult_{_safe(topic)}_{digest}"
    shared = {
        "state_topic": f"{topic}/state",
        "availability_topic": f"{topic}/status",
        "availability_template": "{{ value_json.status }}",
        "device": {
            "identifiers": [device],
            "name": machine_id.encode("utf-8", "replace").decode(),
            "manufacturer": "auscult",
            "model": "Machine",
            "sw_version": __version__,
        },
        "origin": {"name": "auscult", "sw_version": __version__},
    }
    messages = {}
    for name, (component, entity) in ENTITIES.items():
        payload = {**entity, "unique_id": f"{device}_{name}", **shared}
        if "json_attributes_template" in entity:
            payload["json_attributes_topic"] = shared["state_topic"]
        messages[f"{prefix}/{component}/{device}/{name}/config"] = payload
    return messages


def _safe(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", text)[:40].strip("_")
