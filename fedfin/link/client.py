"""paho, over a connection that we made, and with little to do for each packet.

Nearly all packets are PUBLISH and PUBACK of QoS 1 without properties, or grant a subscription. paho asks the kernel
for each packet's first bytes one by one, makes objects of forty entries for properties and reasons that are not there,
and sends each packet by itself; where another thread computes, each call of the kernel waits for the interpreter
again. Here what has come is read together, these packets are taken apart at once, and what waits is sent together. All
else is paho's.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import MalformedPacket  # type: ignore[attr-defined]  # 2.1 has it only there
from paho.mqtt.reasoncodes import ReasonCode

from fedfin.link.dial import Connection

READ_BYTES = 128 * 1024  # that are asked for at once
JOINED_BYTES = 16 * 1024  # of packets that are sent together; a larger one goes by itself
_KIND, _QOS = 0xF0, 0x06  # in a packet's first byte
_PUBLISH, _PUBACK, _SUBACK, _UNSUBACK, _DISCONNECT = 0x30, 0x40, 0x90, 0xB0, 0xE0
_ONCE_OR_MORE = 0x02  # QoS 1
_LENGTH_BYTES = 4  # of a packet's length, at most
_FAILURE = 0x80  # from here on reasons are refusals
_SUCCESS = ReasonCode(PacketTypes.PUBACK, "Success")
_NO_PROPERTIES: Any = None  # our callback looks at none


class Client(paho.Client):
    """`dial` makes the connection; `arrived` is told each message's topic and payload, in the thread that loops."""

    def __init__(
        self, dial: Callable[[], Connection], arrived: Callable[[str, bytes], None], **options: Any
    ) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self._dial, self._arrived = dial, arrived
        self._came = bytearray()  # of a packet that is not whole yet
        self._woken = False  # the loop will look for what waits to be sent before it waits itself
        self.on_message = lambda _, __, message: arrived(message.topic, bytes(message.payload))
        self.on_socket_register_write = _leave_to_the_loop

    def tell_errors(self, tell: Callable[[Exception], None]) -> None:
        """Those that paho logs as errors and then forgets, in the thread that loops."""
        logger = logging.Logger("paho", logging.ERROR)  # noqa: LOG001 - one of its own, outside the hierarchy
        logger.addHandler(_Errors(tell))
        self.enable_logger(logger)

    def limit_inflight(self, count: int) -> None:
        """As CONNACK says; paho's setter wants it before that is known."""
        self._max_inflight_messages = count

    def _create_socket(self) -> Connection:
        """What paho makes knows no proxy with TLS inside; its WebSockets lose what the socket does not take at once."""
        self._came.clear()  # half a packet of the connection before is of no use
        return self._dial()

    # What comes.

    def _packet_read(self) -> MQTTErrorCode:
        """Read once, and handle each packet that is whole; MQTT_ERR_AGAIN where the socket may have no more."""
        try:
            data = self._sock_recv(READ_BYTES)
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_AGAIN
        except OSError as error:
            self._easy_log(paho.MQTT_LOG_ERR, "failed to receive on socket: %s", error)
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        if not data:
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        with self._msgtime_mutex:
            self._last_bytes_received = time.monotonic()
        self._came += data
        self._woken = True  # what is queued meanwhile is sent with the loop's next turn
        code = self._handle_all()
        self._woken = False
        return MQTTErrorCode.MQTT_ERR_AGAIN if not code and len(data) < READ_BYTES else code

    def _handle_all(self) -> MQTTErrorCode:
        """Every whole packet that has come, until one ends the connection."""
        code, end = MQTTErrorCode.MQTT_ERR_SUCCESS, 0
        with memoryview(self._came) as came:
            try:
                while not code and self._sock is not None and (found := _whole(came, end)) is not None:
                    command, (start, end) = came[end], found
                    with came[start:end] as body:
                        code = self._handle(command, body)
            except (MalformedPacket, UnicodeDecodeError) as error:
                self._easy_log(paho.MQTT_LOG_DEBUG, "Received malformed packet: %s", error)
                code = MQTTErrorCode.MQTT_ERR_PROTOCOL
        del self._came[:end]
        return code

    def _handle(self, command: int, body: memoryview) -> MQTTErrorCode:
        if command & _KIND == _PUBACK and len(body) == 2:  # noqa: PLR2004 - a token, and no reason
            return self._acknowledged(int.from_bytes(body, "big"))
        if command & (_KIND | _QOS) == _PUBLISH | _ONCE_OR_MORE and (start := self._payload_start(body)):
            topic_end = 2 + int.from_bytes(body[:2], "big")
            self._arrived(str(body[2:topic_end], "utf-8"), bytes(body[start:]))
            return self._send_puback(int.from_bytes(body[topic_end : topic_end + 2], "big"))
        if command == _UNSUBACK or (command == _SUBACK and self._is_granted(body)):
            return MQTTErrorCode.MQTT_ERR_SUCCESS  # nobody is told
        self._in_packet |= {"command": command, "packet": bytearray(body), "remaining_length": len(body)}
        return self._packet_handle()

    def _payload_start(self, body: memoryview) -> int:
        """Where the payload begins, behind topic and token; 0 where there are properties, or something is wrong."""
        start = 4 + int.from_bytes(body[:2], "big")
        if self._protocol == paho.MQTTv5:  # the length of its properties follows
            start = start + 1 if start < len(body) and body[start] == 0 else 0
        return start if 4 < start <= len(body) else 0  # noqa: PLR2004 - a topic is not empty

    def _is_granted(self, body: memoryview) -> bool:
        """Whether it says so of every topic, and nothing else."""
        start = 2  # behind the token
        if self._protocol == paho.MQTTv5:
            start = len(body) if any(body[2:3]) else 3  # there may be properties between
        return max(body[start:], default=_FAILURE) < _FAILURE

    def _acknowledged(self, token: int) -> MQTTErrorCode:
        with self._out_message_mutex:
            if token in self._out_messages:
                return self._do_on_publish(token, _SUCCESS, _NO_PROPERTIES)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    # What goes.

    def _packet_queue(
        self, command: int, packet: bytes | bytearray, mid: int, qos: int, info: Any = None
    ) -> MQTTErrorCode:
        """For the loop to send, which is woken once for all that waits, if at all."""
        self._out_packet.append(_queued(command, packet, mid, qos, info))
        if self._sockpairW is not None and not self._woken:
            self._woken = True
            with contextlib.suppress(BlockingIOError):  # then it has bytes enough to wake it
                self._sockpairW.send(b"\0")
        self._call_socket_register_write()
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _packet_write(self) -> MQTTErrorCode:
        self._woken = False  # first: what is queued from here on wakes us again
        self._join()
        return super()._packet_write()

    def _join(self) -> None:
        """Make one of the small packets that wait in front: fewer calls of the kernel, and fewer TCP segments."""
        parts: list[bytes | bytearray] = []
        while self._out_packet and _joins(self._out_packet[0]) and sum(map(len, parts)) < JOINED_BYTES:
            first = self._out_packet.popleft()
            parts.append(first["packet"][first["pos"] :])
        if parts:
            self._out_packet.appendleft(_queued(_PUBACK, b"".join(parts), 0, 1, None))


class _Errors(logging.Handler):
    """Tells the exceptions among what is logged."""

    def __init__(self, tell: Callable[[Exception], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and record.args and isinstance(record.args[0], Exception):
            self._tell(record.args[0])


def _leave_to_the_loop(*_: Any) -> None:
    """That there is such a callback keeps publish() from writing to the socket in its caller's thread.

    Two threads that write at once may put one packet into the middle of another.
    """


def _whole(came: memoryview, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and ends, if all of it is there. Raises MalformedPacket."""
    size = shift = 0
    for start in range(at + 1, min(at + 1 + _LENGTH_BYTES, len(came))):
        size |= (came[start] & 0x7F) << shift
        shift += 7
        if not came[start] & 0x80:
            end = start + 1 + size
            return (start + 1, end) if end <= len(came) else None
    if len(came) > at + _LENGTH_BYTES:
        raise MalformedPacket("a packet's length has more than four bytes")
    return None


def _queued(command: int, packet: bytes | bytearray, mid: int, qos: int, info: Any) -> Any:
    """As paho has them."""
    return {
        "command": command,
        "mid": mid,
        "qos": qos,
        "pos": 0,
        "to_process": len(packet),
        "packet": packet,
        "info": info,
    }


def _joins(packet: Any) -> bool:
    """Whether it is small, and paho has nothing to do when it is sent."""
    kind = packet["command"] & _KIND
    followed = kind == _DISCONNECT or (kind == _PUBLISH and not packet["qos"])
    return not followed and packet["to_process"] <= JOINED_BYTES
