"""The link to the broker; the one module that imports paho.

What the callbacks of paho's thread see only goes into `events`, a queue that the owner reads: an exception in a
callback would kill that thread silently. QoS 1 throughout: at QoS 2 a denied publish reads as success.
"""

import contextlib
import queue
import random
import re
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fedfin.errors import LinkError, SettingsError
from fedfin.protocol import limits

DEFAULT_PORT = 1883
QOS = 1
OLD_PROTOCOL = "protocol=3.1.1"


@dataclass(frozen=True)
class Up:
    """Connected; no session is kept at the broker, so the owner subscribes again. `chunk_size` fits its packets."""

    chunk_size: int


@dataclass(frozen=True)
class Down:
    """Disconnected; the link tries again by itself."""

    reason: str


@dataclass(frozen=True)
class Arrived:
    """A message."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Taken:
    """The broker acknowledged a publish; `refused` is its reason when it denied it."""

    token: int
    refused: str | None


@dataclass(frozen=True)
class Broken:
    """The link's thread ended with an error; it will not come back."""

    error: str


LinkEvent = Up | Down | Arrived | Taken | Broken


@dataclass(frozen=True)
class BrokerUrl:
    """mqtt://host[:port][?protocol=3.1.1].

    MQTT 5 unless the URL says otherwise. A broker that knows only 3.1.1 should refuse MQTT 5, and then the link
    falls back by itself; amqtt instead waits for ever when the client has a last will, so its URL says it.
    """

    host: str
    port: int
    old: bool = False

    @classmethod
    def parse(cls, url: str) -> "BrokerUrl":
        """Raises SettingsError, with an example, when `url` is not one."""
        example = "write it like mqtt://broker.example:1883"
        shown = repr(re.sub(r"//.*@", "//...@", url))  # a password must not end up in a log
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, DEFAULT_PORT if parts.port is None else parts.port
        except ValueError:
            raise SettingsError(f"broker {shown}: not a URL; {example}") from None
        odd = parts.path.strip("/") or parts.fragment or "@" in parts.netloc or re.search(r"\s", url)
        if parts.scheme != "mqtt" or not host or not port or odd:
            raise SettingsError(f"broker {shown}: only mqtt://HOST[:PORT] is supported; {example}")
        if parts.query not in {"", OLD_PROTOCOL}:
            raise SettingsError(f"broker {shown}: the only option is ?{OLD_PROTOCOL}")
        return cls(host, port, parts.query == OLD_PROTOCOL)


@dataclass
class Traffic:
    """Bytes of MQTT PUBLISH payloads and topics; packet headers, TCP and TLS framing are not in it."""

    up: int = 0
    down: int = 0


def gather(events: "queue.SimpleQueue[Any]", seconds: float, most: int = 64) -> list[Any]:
    """What has come: waits up to `seconds` for the first event, and for no other; at most `most`."""
    found: list[Any] = []
    with contextlib.suppress(queue.Empty):
        found.append(events.get(timeout=seconds))
        while len(found) < most:
            found.append(events.get_nowait())
    return found


class Link:
    """One client's connection to the broker, kept up until `stop`.

    `events`: the queue for LinkEvents; an owner with other events of its own passes the one it reads.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        *,
        will: tuple[str, bytes],
        events: "queue.SimpleQueue[Any] | None" = None,
    ) -> None:
        self._broker = BrokerUrl.parse(url)
        self._client_id = client_id
        self._will = will
        self._retry_now = False
        self._stopping = threading.Event()
        self._protocol = paho.MQTTv311 if self._broker.old else paho.MQTTv5
        self._max_packet = limits.CHUNK_BYTES + limits.PACKET_OVERHEAD_BYTES
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue() if events is None else events
        self.traffic = Traffic()
        self._client = self._new_client()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect; the outcome arrives as Up or Down."""
        self._thread.start()

    def stop(self, last_words: tuple[str, bytes] | None = None) -> None:
        """Publish `last_words` (retained), wait up to 2 s for them, and disconnect."""
        if last_words is not None and self._client.is_connected():
            # The broker may be gone this very moment; then the last will says it for us.
            with contextlib.suppress(RuntimeError, ValueError):
                self._client.publish(*last_words, qos=QOS, retain=True).wait_for_publish(2.0)
        self._stopping.set()
        self._client.disconnect()
        self._thread.join(5.0)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over one message; its token returns in Taken.

        While the link is down the message is dropped and -1 returned: paho's own queue is memory only, and the
        machines ask again for whatever did not arrive.

        Raises LinkError when it exceeds the broker's packet size: paho would send it again and again.
        """
        size = len(topic) + len(payload)
        if size + 16 > self._max_packet:
            raise LinkError(
                f"a message of {size} bytes exceeds the broker's maximum packet of {self._max_packet}"
            )
        if not self._client.is_connected():
            return -1
        self.traffic.up += size
        return self._client.publish(topic, payload, qos=QOS, retain=retain).mid

    def subscribe(self, topic: str) -> None:
        """Subscribe; a refusal arrives as Taken with a reason."""
        self._client.subscribe(topic, qos=QOS)

    def unsubscribe(self, topic: str) -> None:
        """Unsubscribe."""
        self._client.unsubscribe(topic)

    # paho's thread.

    def _run(self) -> None:
        delay = 1.0
        try:
            while not self._stopping.is_set():
                client, self._retry_now = self._client, False
                try:
                    client.connect(self._broker.host, self._broker.port, keepalive=limits.KEEPALIVE_S)
                    started = time.monotonic()
                    client.loop_forever()
                    delay = 1.0 if time.monotonic() - started > limits.KEEPALIVE_S else delay
                except (OSError, socket.gaierror) as error:
                    self.events.put(Down(f"cannot reach {self._broker.host}:{self._broker.port}: {error}"))
                if self._retry_now or self._stopping.is_set():
                    continue
                # Jitter, which paho's own back-off lacks: a fleet must not return in one instant.
                self._stopping.wait(delay * random.uniform(0.5, 1.5))  # noqa: S311 - not for secrecy
                delay = min(delay * 2, 30.0)
        except Exception as error:  # noqa: BLE001 - whatever it is, the owner must hear that the link is dead
            self.events.put(Broken(f"{type(error).__name__}: {error}"))

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=self._protocol,
            reconnect_on_failure=False,
            clean_session=None if self._protocol == paho.MQTTv5 else True,
        )
        client.max_inflight_messages_set(limits.WINDOW)
        topic, payload = self._will
        client.will_set(topic, payload, qos=QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = _no_delay
        return client

    def _on_connect(self, client: paho.Client, _: Any, __: Any, reason: ReasonCode, properties: Any) -> None:
        if reason == ReasonCode(PacketTypes.CONNACK, "Unsupported protocol version"):
            self._protocol = paho.MQTTv311
            self._client, self._retry_now = self._new_client(), True
            client.disconnect()
            return
        if reason.is_failure:
            self.events.put(Down(f"the broker refuses {self._client_id}: {reason}"))
            return
        announced = (
            getattr(properties, "MaximumPacketSize", None) if isinstance(properties, Properties) else None
        )
        self._max_packet = announced or 2**28
        room = self._max_packet - limits.PACKET_OVERHEAD_BYTES
        self.events.put(Up(max(1024, min(limits.CHUNK_BYTES, room))))

    def _on_disconnect(self, client: paho.Client, _: Any, __: Any, reason: ReasonCode, ___: Any) -> None:
        if client is self._client and not self._stopping.is_set():
            self.events.put(Down(str(reason)))

    def _on_message(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        self.traffic.down += len(message.topic) + len(message.payload)
        self.events.put(Arrived(message.topic, bytes(message.payload)))

    def _on_publish(self, _: paho.Client, __: Any, token: int, reason: ReasonCode, ___: Any) -> None:
        self.events.put(Taken(token, str(reason) if reason.is_failure else None))

    def _on_subscribe(self, _: paho.Client, __: Any, token: int, reasons: list[ReasonCode], ___: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self.events.put(Taken(token, f"subscription: {refused[0]}"))


def _no_delay(_: paho.Client, __: Any, sock: Any) -> None:
    # Nagle with TLS: 45 ms per small publish; without, 0.2-0.7 ms (measured).
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
