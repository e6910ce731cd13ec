"""The link to the broker; it and client.py alone import paho.

What the callbacks of paho's thread see only goes into `events`, a queue that the owner reads: an exception in a
callback would kill that thread silently. QoS 1 throughout: at QoS 2 a denied publish reads as success.
"""

import contextlib
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from fedfin import limits
from fedfin.errors import SettingsError
from fedfin.link.backoff import Backoff
from fedfin.link.broker_url import BrokerUrl
from fedfin.link.client import Client
from fedfin.link.dial import Connection, dial
from fedfin.link.endings import ended_by_broker, is_final, lacking, lost, refused, unanswered
from fedfin.link.link_events import Announced, Arrived, Broken, Down, LinkEvent, Taken, Up
from fedfin.link.login import Login
from fedfin.link.packet_room import PacketRoom
from fedfin.link.proxy import ProxyChoice, ProxyRefusalError, chosen, hint
from fedfin.link.socket_options import acknowledge_now, tune
from fedfin.link.tls import Tls
from fedfin.link.websocket import WebSocketError, WebSocketFaultError

QOS = 1
# Events that may wait for the owner, and their bytes. Then the link stops reading: TCP slows the broker down, and
# memory stays bounded however many send at once, and however large their packets are.
BACKLOG = 32
BACKLOG_BYTES = BACKLOG * (limits.CHUNK_BYTES + limits.PACKET_OVERHEAD_BYTES)
LAST_WORDS_S, END_S = 2.0, 1.0  # that `stop` waits at most: a service has five seconds in all
# Web servers between us and the broker end what is silent for a minute (nginx's `proxy_read_timeout` is 60 s).
WEBSOCKET_KEEPALIVE_S = 30
_SUBSCRIPTIONS = 8  # in one packet: AWS IoT Core takes no more


@dataclass
class Traffic:
    """Bytes of MQTT PUBLISH payloads and topics; packet headers, TCP and TLS framing are not in it."""

    up: int = 0
    down: int = 0


class Link:
    """One client's connection to the broker, kept up until `stop`.

    `will`: topic, and what makes the bytes for it, asked anew for each connection.
    `events`: the queue for LinkEvents; an owner with other events of its own passes the one it reads.
    `proxy`: None: the environment's, for WebSockets (proxy.py); "none": no proxy, whatever the environment says.
    Raises SettingsError when the URL, or a file that `tls` or `login` names, is wrong.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        *,
        will: tuple[str, Callable[[], bytes]],
        tls: Tls | None = None,
        login: Login | None = None,
        proxy: ProxyChoice = None,
        events: "queue.SimpleQueue[Any] | None" = None,
    ) -> None:
        self._broker = BrokerUrl.parse(url)
        if tls is not None and not self._broker.tls:
            raise SettingsError(
                f"broker {url!r} is without TLS but files for TLS are given; write mqtts:// or wss://"
            )
        self._tls = tls or Tls()
        if self._broker.tls:
            self._tls.context()
        self._proxy = chosen(proxy, self._broker)
        self._login = login
        self._client_id = client_id
        self._will = will
        self._stopping = threading.Event()
        self._protocol = paho.MQTTv311 if self._broker.old else paho.MQTTv5
        self._at_once = False  # whether the next attempt follows without a pause
        self._answered = self._refused = self._failed = False  # in this connection
        self._let_in = False  # in this connection, or an earlier one
        self._room = PacketRoom(self._broker.chunk_bytes)
        self._largest = 0  # bytes of the largest message that may still wait for the owner
        self._wildcards = True
        self._ended = ""  # why the connection came to its end
        self._final = False  # ... for good
        self._down_reported = False  # ... and whether that was reported
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue() if events is None else events
        self.traffic = Traffic()
        self._client = self._new_client()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect; the outcome arrives as Up or Down."""
        self._thread.start()

    def stop(self, last_words: tuple[str, bytes] | None = None) -> None:
        """Publish `last_words` (retained), and disconnect: within LAST_WORDS_S + END_S, whatever the broker does."""
        self._stopping.set()  # from now on events are dropped: nobody takes them
        if last_words is not None and self._client.is_connected():
            # The broker may be gone this very moment; then the last will says it for us.
            with contextlib.suppress(RuntimeError, ValueError):
                self._client.publish(*last_words, qos=QOS, retain=True).wait_for_publish(LAST_WORDS_S)
        self._client.disconnect()
        self._thread.join(END_S)  # it may be in a handshake, which ends by itself (dial.py)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over one message; its token returns in Taken.

        While the link is down the message is dropped and -1 returned: paho's own queue is memory only, and the
        machines ask again for whatever did not arrive.

        Raises LinkError when it exceeds the broker's packet size.
        """
        size = len(topic) + len(payload)
        self._room.check(size)
        client = self._client
        if not client.is_connected():
            return -1
        self.traffic.up += size
        token = client.publish(topic, payload, qos=QOS, retain=retain).mid
        self._room.sent(token, size)
        return token

    def subscribe(self, *topics: str) -> None:
        """Subscribe; a refusal arrives as Taken with a reason."""
        barred = [topic for topic in topics if not self._wildcards and ("+" in topic or "#" in topic)]
        for topic in barred:  # asked, it would end the connection
            self._tell(Taken(-1, f"subscription to {topic}: this broker allows none with wildcards"))
        for packet in _packets([topic for topic in topics if topic not in barred]):
            self._client.subscribe([(topic, QOS) for topic in packet])

    def unsubscribe(self, *topics: str) -> None:
        """Unsubscribe."""
        for packet in _packets(topics):
            self._client.unsubscribe(packet)

    # The link's thread.

    def _run(self) -> None:
        backoff = Backoff()
        try:
            while not self._stopping.is_set():
                stood = self._connection()
                if not self._at_once:
                    self._stopping.wait(backoff.after(stood))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the owner must hear that the link is dead
            self._tell(Broken(f"{type(error).__name__}: {error}"))

    def _connection(self) -> float:
        """One connection to its end; the seconds that it stood."""
        started = time.monotonic()
        try:
            self._begin()
            client = self._client
            client.connect(self._broker.host, self._broker.port, keepalive=self._keepalive_s)
            started = time.monotonic()
            # Not loop_forever: there, publish() writes to the socket from its caller's thread while this one does.
            while client.loop(1.0) == paho.MQTT_ERR_SUCCESS:
                acknowledge_now(client.socket())
            self._try_older()
        except (OSError, ValueError, SettingsError) as error:  # ValueError: no name that DNS could hold
            self._ended = self._cause(error)
            started = time.monotonic()
        self._tell_down()
        return time.monotonic() - started

    def _begin(self) -> None:
        """Nothing is known of the connection that follows.

        It has a client of its own: an old one would send what it had under way again, which the receiver's bitmap may
        not even ask for.
        """
        self._at_once = self._down_reported = False
        self._answered = self._refused = self._failed = self._final = False
        self._room.forget()
        self._ended = unanswered(self._broker.address, before=self._let_in)
        self._client = self._new_client()

    @property
    def _keepalive_s(self) -> int:
        return limits.KEEPALIVE_S if self._broker.path is None else WEBSOCKET_KEEPALIVE_S

    def _dial(self) -> Connection:
        """Raises what dial() does; OSError where `stop` came meanwhile: another link may have our client id by now."""
        connection = dial(self._broker, self._proxy, self._tls.context() if self._broker.tls else None)
        if self._stopping.is_set():
            connection.close()
            raise ConnectionAbortedError("the link was stopped")
        return connection

    def _try_older(self) -> None:
        """Some brokers before MQTT 5 refuse it (below); some, as RabbitMQ 3.10, end the connection without a word.

        The next connection but one tries MQTT 5 again: perhaps it was the network.
        """
        if self._answered or self._failed or self._broker.old:
            return
        silent_before, self._protocol = self._protocol == paho.MQTTv311, paho.MQTTv5
        if not silent_before:
            self._protocol, self._at_once, self._down_reported = paho.MQTTv311, True, True

    def _tell_down(self) -> None:
        if not self._down_reported:
            self._tell(Down(self._ended, self._final))
        self._down_reported = True

    def _tell(self, event: LinkEvent) -> None:
        if not self._stopping.is_set():  # an owner that has stopped the link takes nothing any more
            self.events.put(event)

    def _wait_for_owner(self, size: int) -> None:
        """Before a message of `size` bytes is told.

        Not a queue with an end: the owner puts events of its own into it, and must never wait for itself.
        """
        self._largest = max(size, 0 if self.events.empty() else self._largest)
        while self._backlog_full and not self._stopping.is_set():
            time.sleep(0.001)

    @property
    def _backlog_full(self) -> bool:
        """As if all that wait were as large as the largest. Where nothing waits, one of any size may come."""
        waiting = self.events.qsize()
        return waiting >= BACKLOG or (waiting > 0 and (waiting + 1) * self._largest > BACKLOG_BYTES)

    def _cause(self, error: Exception) -> str:
        if isinstance(error, SettingsError):
            return str(error)
        words, self._final = str(error), Tls.is_revocation(error)
        if isinstance(error, ssl.SSLError):
            words = self._tls.explain(error)
        elif isinstance(error, ConnectionResetError) and self._broker.tls:
            words += "; is it the port for mqtt:// (without s)?"
        elif not isinstance(error, ProxyRefusalError | WebSocketError):
            words += hint(self._broker)
        return f"cannot reach {self._broker.address}: {words}"

    def _new_client(self) -> paho.Client:
        client = Client(
            self._dial,
            self._on_message,
            client_id=self._client_id,
            protocol=self._protocol,
            reconnect_on_failure=False,
            clean_session=None if self._protocol == paho.MQTTv5 else True,
        )
        client.max_inflight_messages_set(limits.WINDOW)
        topic, words = self._will
        client.will_set(topic, words(), qos=QOS, retain=True)
        client.tell_errors(self._on_error)
        if self._login is not None:
            client.username_pw_set(self._login.user, self._login.password())
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = lambda _, __, sock: tune(sock)
        return client

    def _on_connect(self, client: Any, _: Any, __: Any, reason: ReasonCode, properties: Any) -> None:
        if self._stopping.is_set():
            client.disconnect()
            return
        if reason == ReasonCode(PacketTypes.CONNACK, "Unsupported protocol version"):
            self._answered = self._at_once = self._down_reported = True
            self._protocol = paho.MQTTv311
            client.disconnect()
            return
        self._answered = True
        announced = Announced.of(properties) if self._protocol == paho.MQTTv5 else Announced(protocol="3.1.1")
        if (why := str(reason) if reason.is_failure else lacking(announced)) is not None:
            self._refused, self._final = True, is_final(why)
            self._ended = refused(self._broker.address, self._client_id, why)
            if not reason.is_failure:
                client.disconnect()
            return
        self._down_reported, self._let_in = False, True
        self._ended = f"the connection to {self._broker.address} was lost"
        self._wildcards = announced.wildcards
        client.limit_inflight(min(limits.WINDOW, announced.receive_maximum))
        self._tell(Up(self._room.connected(announced.maximum_packet), announced))

    def _on_disconnect(
        self, _: paho.Client, __: Any, flags: paho.DisconnectFlags, reason: ReasonCode, ___: Any
    ) -> None:
        too_large = self._room.suspect
        if flags.is_disconnect_packet_from_server:
            self._final = is_final(str(reason))
            self._ended = ended_by_broker(self._broker.address, self._client_id, str(reason))
            too_large *= str(reason) == "Packet too large"
        elif self._answered and not self._failed and not self._refused:
            silent = str(reason) == "Keep alive timeout"
            too_large *= not silent
            silent_s = self._keepalive_s if silent else 0
            self._ended = lost(self._broker.address, self._client_id, silent_s=silent_s, largest=too_large)
        if too_large:
            self._room.shrink()
        if not self._at_once and (self._answered or self._failed or self._protocol == paho.MQTTv311):
            self._tell_down()

    def _on_error(self, error: Exception) -> None:
        # A client certificate is refused only after the handshake (TLS 1.3), and a web server may say why it ends.
        if isinstance(error, ssl.SSLError | WebSocketError):
            self._failed = not isinstance(error, WebSocketFaultError)
            self._ended = self._cause(error)

    def _on_message(self, topic: str, payload: bytes) -> None:
        self.traffic.down += len(topic) + len(payload)
        self._wait_for_owner(len(payload))
        self._tell(Arrived(topic, payload))

    def _on_publish(self, _: paho.Client, __: Any, token: int, reason: ReasonCode, ___: Any) -> None:
        self._room.taken(token)
        self._tell(Taken(token, str(reason) if reason.is_failure else None))

    def _on_subscribe(self, _: paho.Client, __: Any, token: int, reasons: list[ReasonCode], ___: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._tell(Taken(token, f"subscription: {refused[0]}"))


def _packets(topics: Sequence[str]) -> Iterator[list[str]]:
    """As many as one packet holds, again and again."""
    for start in range(0, len(topics), _SUBSCRIPTIONS):
        yield list(topics[start : start + _SUBSCRIPTIONS])
