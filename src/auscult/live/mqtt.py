"""MQTT: events under a topic, acknowledged; a status with a last will; reconnection."""

import json
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from auscult.errors import MonitorError
from auscult.live.delivery import DeliveryError

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo

KEEP_ALIVE_SECONDS = 30
ACKNOWLEDGED_SECONDS = 10.0
LONGEST_PAUSE = 30

EXAMPLE = "give HOST[:PORT]/TOPIC, such as broker.local/plant/pump-3, or mqtts://… for TLS"


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """A broker and a topic.

    Args:
        host: of the broker.
        port: 1883, or 8883 with TLS, if none was given.
        topic: of which `/alarm`, `/warning`, `/trouble` and `/status` are the monitor's.
        tls: whether to encrypt, and to check the broker's certificate.
    """

    host: str
    port: int
    topic: str
    tls: bool = False

    @classmethod
    def parse(cls, text: str) -> "MqttAddress":
        """`HOST[:PORT]/TOPIC`, with `mqtts://` before it for TLS.

        Raises:
            MonitorError: if it is not.

        >>> MqttAddress.parse("broker.local/plant/pump-3")
        MqttAddress(host='broker.local', port=1883, topic='plant/pump-3', tls=False)
        """
        try:
            parts = urlsplit(text if "://" in text else f"mqtt://{text}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise MonitorError(f"--mqtt {text.rpartition('@')[2]} is no address; {EXAMPLE}") from error
        topic = unquote(parts.path).strip("/")
        if parts.username or parts.password:
            raise MonitorError(
                "--mqtt must not hold a password, which others could see; set AUSCULT_MQTT_USERNAME and "
                "AUSCULT_MQTT_PASSWORD in the environment"
            )
        if parts.scheme not in ("mqtt", "mqtts") or not host or not topic or set(text) & set("+#?\0"):
            raise MonitorError(f"--mqtt {text} is no address of a broker and a topic without +, # and ?; {EXAMPLE}")
        tls = parts.scheme == "mqtts"
        return cls(host, port or (8883 if tls else 1883), topic, tls)


class Mqtt:
    """Publishes each event once the broker has taken it (QoS 1), and a retained status.

    `TOPIC/status` is `online` while connected, `offline` with a reason after a regular end, and `offline` by the last
    will when the connection breaks. A broker that is not there, now or at the start, is tried again for ever.

    Args:
        address: broker and topic.
        machine_id: for the status.
        username: for the broker, if it wants one.
        password: with it.

    Raises:
        MonitorError: if paho-mqtt is missing.
    """

    def __init__(
        self, address: MqttAddress, *, machine_id: str, username: str | None = None, password: str | None = None
    ) -> None:
        try:
            import paho.mqtt.client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise MonitorError("--mqtt needs the package paho-mqtt: pip install 'auscult[live]'") from error
        self.address, self._machine_id = address, machine_id
        self.name = f"mqtt {address.host}:{address.port}/{address.topic}"
        self._refused = ""
        self._sent: tuple[str, MQTTMessageInfo] | None = None
        self._kept: dict[str, str] = {}
        self._calls: dict[str, Callable[[bytes], None]] = {}
        self._mutex = threading.RLock()  # of what is kept: the newest goes out last
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if username:
            self._client.username_pw_set(username, password)
        if address.tls:
            self._client.tls_set_context(ssl.create_default_context())
        self._client.will_set(self._topic("status"), self._status("offline", "connection lost"), qos=1, retain=True)
        self._client.reconnect_delay_set(1, LONGEST_PAUSE)
        self._client.on_connect = self._connected
        self._client.on_message = self._came
        self._client.connect_async(address.host, address.port, KEEP_ALIVE_SECONDS)
        self._client.loop_start()

    def send(self, key: str, line: str) -> None:
        """Publish one event and wait for the broker's acknowledgement.

        Raises:
            DeliveryError: if there is none.
        """
        if not self._client.is_connected():
            raise DeliveryError(f"the MQTT broker {self._broker} cannot be reached{self._refused}")
        if self._sent is None or self._sent[0] != key:  # else the client itself sends it again
            kind = json.loads(line)["type"]
            self._sent = key, self._client.publish(self._topic(kind), line.encode(), qos=1)
        message = self._sent[1]
        try:
            message.wait_for_publish(ACKNOWLEDGED_SECONDS)
            taken = message.is_published()
        except (RuntimeError, ValueError) as error:
            self._sent = None
            raise DeliveryError(f"the MQTT broker {self._broker} did not get a message ({error})") from error
        if not taken:
            raise DeliveryError(f"the MQTT broker {self._broker} does not acknowledge")
        self._sent = None

    def keep(self, topic: str, payload: str) -> None:
        """Let the broker hold a message for whoever asks: published now, and again after each connection."""
        with self._mutex:
            self._kept[topic] = payload
            if self._client.is_connected():
                self._client.publish(topic, payload, retain=True)

    def keep_again(self) -> None:
        """Publish all that is kept once more."""
        with self._mutex:
            for topic, payload in self._kept.items():
                self._client.publish(topic, payload, retain=True)

    def hear(self, topic: str, call: Callable[[bytes], None]) -> None:
        """Have the payload of each message at a topic, in the client's thread, now and after each connection."""
        with self._mutex:
            self._calls[topic] = call
            if self._client.is_connected():
                self._client.subscribe(topic)

    def close(self) -> None:
        """Leave with a status, which the last will then does not replace."""
        if self._client.is_connected():
            message = self._client.publish(
                self._topic("status"), self._status("offline", "stopped"), qos=1, retain=True
            )
            with suppress(RuntimeError):  # of a connection that breaks just now
                message.wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def _broker(self) -> str:
        return f"{self.address.host}:{self.address.port}"

    def _topic(self, name: str) -> str:
        return f"{self.address.topic}/{name}"

    def _status(self, status: str, reason: str = "") -> str:
        return json.dumps({"type": "status", "status": status, "reason": reason, "machine_id": self._machine_id})

    def _connected(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        """Called by the client's thread after each connection."""
        if reason.is_failure:
            self._refused = f" ({reason})"
        else:
            self._refused = ""
            with self._mutex:
                for topic in self._calls:
                    client.subscribe(topic)
                self.keep_again()
            client.publish(self._topic("status"), self._status("online"), qos=1, retain=True)

    def _came(self, _client: Any, _data: Any, message: Any) -> None:
        with self._mutex:
            call = self._calls.get(message.topic)
        if call is not None:
            call(message.payload)
