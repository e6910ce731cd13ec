"""The MQTT client's packets: against a peer that sends them in any pieces."""

import socket
import threading
from collections.abc import Callable, Iterator

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import MQTTErrorCode

from fedfin.link.client import Client

CONNACK = b"\x20\x03\x00\x00\x00"
SECONDS = 5.0


def publish(topic: bytes, payload: bytes, *, token: int = 0, properties: bytes | None = b"") -> bytes:
    """A PUBLISH packet, of QoS 1 where it has a token; of MQTT 3.1.1 where it has no properties."""
    body = len(topic).to_bytes(2, "big") + topic + (token.to_bytes(2, "big") if token else b"")
    body += (b"" if properties is None else bytes([len(properties)]) + properties) + payload
    return bytes([0x32 if token else 0x30]) + length(len(body)) + body


def length(size: int) -> bytes:
    """As MQTT 5, section 1.5.5, writes it."""
    found = b""
    while size >= 128:
        found, size = found + bytes([0x80 | size & 0x7F]), size >> 7
    return found + bytes([size])


class Peer:
    """A broker's end of a socket pair, and a client that is connected over it."""

    def __init__(self, protocol: int) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(SECONDS)
        self.arrived: list[tuple[str, bytes]] = []
        self.taken: list[tuple[int, str]] = []
        self.client = Client(
            lambda: ours, lambda *message: self.arrived.append(message), client_id="a", protocol=protocol
        )
        self.client.on_publish = lambda _, __, token, reason, ___: self.taken.append((token, str(reason)))
        self.client.connect("localhost")
        assert self.client.loop() == MQTTErrorCode.MQTT_ERR_SUCCESS
        self.theirs.recv(1000)
        self.send(CONNACK if protocol == paho.MQTTv5 else b"\x20\x02\x00\x00")
        assert self.client.is_connected()

    def send(self, data: bytes) -> int:
        """To the client, which then reads and answers; its code."""
        self.theirs.sendall(data)
        code = self.client.loop(0.0)
        return code or self.client.loop(0.0)


@pytest.fixture
def connected() -> Iterator[Callable[[int], Peer]]:
    """Makes a peer for a version of MQTT."""
    peers: list[Peer] = []

    def make(protocol: int = paho.MQTTv5) -> Peer:
        peers.append(Peer(protocol))
        return peers[-1]

    yield make
    for peer in peers:
        peer.theirs.close()
        peer.client.disconnect()
        peer.client.loop(0.0)


def test_packets_may_come_in_any_pieces_and_each_is_acknowledged_once(connected: Callable[..., Peer]) -> None:
    """Byte by byte, all at once, and larger than what is read at a time."""
    messages = [(b"a/b", b"", 1), (b"c", b"x" * 130, 2), (b"d", b"y" * 300_000, 0x1234)]
    packets = b"".join(publish(topic, payload, token=token) for topic, payload, token in messages)
    slowly, at_once = connected(), connected()
    for byte in packets[:200]:
        slowly.send(bytes([byte]))
    for peer, rest in ((slowly, packets[200:]), (at_once, packets)):
        sender = threading.Thread(target=peer.theirs.sendall, args=(rest,))
        sender.start()
        while len(peer.arrived) < len(messages):
            assert peer.client.loop(1.0) == MQTTErrorCode.MQTT_ERR_SUCCESS
        sender.join()
        peer.client.loop(0.0)
        assert peer.arrived == [(topic.decode(), payload) for topic, payload, _ in messages]
        assert peer.theirs.recv(1000) == b"\x40\x02\x00\x01\x40\x02\x00\x02\x40\x02\x12\x34"


@pytest.mark.parametrize(
    ("protocol", "packet"),
    [
        (paho.MQTTv5, publish(b"a", b"x", token=7)),
        (paho.MQTTv5, publish(b"a", b"x", token=7, properties=b"\x01\x01")),
        (paho.MQTTv5, publish(b"a", b"x")),
        (paho.MQTTv311, publish(b"a", b"x", token=7, properties=None)),
        (paho.MQTTv311, publish(b"a", b"x", properties=None)),
    ],
    ids=["5", "with properties", "QoS 0", "3.1.1", "3.1.1 QoS 0"],
)
def test_a_message_arrives_whatever_else_its_packet_holds(
    connected: Callable[..., Peer], protocol: int, packet: bytes
) -> None:
    """The frequent kind and the others."""
    peer = connected(protocol)
    peer.send(packet)
    assert peer.arrived == [("a", b"x")]


def test_acknowledgements_come_with_their_tokens_and_reasons(connected: Callable[..., Peer]) -> None:
    """Without a reason, with one that is none, with one, with properties; one for nothing of ours is not told."""
    peer = connected()
    tokens = [peer.client.publish("t", b"x", qos=1).mid for _ in range(4)]
    ends = [b"", b"\x10", b"\x87", b"\x97\x00"]
    for token, end in zip(tokens, ends, strict=True):
        peer.send(b"\x40" + bytes([2 + len(end)]) + token.to_bytes(2, "big") + end)
    peer.send(b"\x40\x02\x77\x77")
    reasons = ["Success", "No matching subscribers", "Not authorized", "Quota exceeded"]
    assert peer.taken == list(zip(tokens, reasons, strict=True))


@pytest.mark.parametrize(
    ("packet", "refused"),
    [
        (b"\x90\x04\0\x01\0\x01", []),
        (b"\x90\x05\0\x01\0\x01\x02", []),
        (b"\x90\x05\0\x01\0\x01\x87", ["Not authorized"]),
        (b"\x90\x08\0\x01\x04\x1f\0\x01?\x87", ["Not authorized"]),  # with a property, a text
        (b"\xb0\x04\0\x01\0\0", []),
    ],
    ids=["granted", "two granted", "one of two refused", "refused, with a reason", "given up"],
)
def test_a_refused_subscription_is_told_and_a_granted_one_changes_nothing(
    connected: Callable[..., Peer], packet: bytes, refused: list[str]
) -> None:
    """Of several topics each has its reason."""
    peer, told = connected(), []
    peer.client.on_subscribe = lambda _, __, ___, reasons, ____: told.extend(
        str(reason) for reason in reasons if reason.is_failure
    )
    assert peer.send(packet) == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert told == refused
    peer.send(publish(b"a", b"x"))
    assert peer.arrived == [("a", b"x")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x32\xff\xff\xff\xff\x01",  # a length of five bytes
        publish(b"\xff", b"x", token=7),  # a topic that is not UTF-8
        b"\x00\x00",  # a kind of packet that there is none of
        b"\x40\x01\x00",  # an acknowledgement of half a token
    ],
)
def test_what_is_no_packet_ends_the_connection(connected: Callable[..., Peer], data: bytes) -> None:
    """And nothing else: the link connects again."""
    peer = connected()
    assert peer.send(data) == MQTTErrorCode.MQTT_ERR_PROTOCOL
    assert peer.client.socket() is None


def test_no_prefix_of_a_packet_is_taken_for_one(connected: Callable[..., Peer]) -> None:
    """Each may be all that came of a connection."""
    packet = publish(b"a", b"x" * 130, token=7)
    for size in [*range(1, 12), len(packet) - 1]:
        peer = connected()
        assert peer.send(packet[:size]) == MQTTErrorCode.MQTT_ERR_SUCCESS
        assert not peer.arrived
        peer.theirs.close()
        assert peer.client.loop(0.0) == MQTTErrorCode.MQTT_ERR_CONN_LOST


def test_what_waits_is_sent_together_and_in_order(connected: Callable[..., Peer]) -> None:
    """Small messages in one piece; a large one between them is not moved."""
    peer = connected()
    payloads = [b"1", b"2", b"x" * 20_000, b"3", b"4"]
    for payload in payloads:
        peer.client.publish("t", payload, qos=1)
    waiting = [len(packet["packet"]) for packet in peer.client._out_packet]
    peer.client._join()
    assert len(peer.client._out_packet) == 4
    assert len(peer.client._out_packet[0]["packet"]) == sum(waiting[:2])
    peer.client.loop(0.0)
    sent = peer.theirs.recv(100_000)
    assert sent == b"".join(
        b"\x32" + length(6 + len(p)) + b"\x00\x01t" + token.to_bytes(2, "big") + b"\x00" + p
        for token, p in enumerate(payloads, 1)
    )


def test_whatever_other_threads_publish_is_sent_soon(connected: Callable[..., Peer]) -> None:
    """The thread that loops is woken for it, also when it has just sent what waited, or reads meanwhile."""
    peer, over = connected(), threading.Event()
    peer.client.limit_inflight(0)

    def loop() -> None:
        while not over.is_set():
            peer.client.loop(60.0)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        for number in range(500):
            if number % 2:
                peer.theirs.sendall(publish(b"a", b"x"))
            peer.client.publish("t", b"x", qos=1)
            if number % 3:  # all is sent before the next is queued, or a few wait together
                assert peer.theirs.recv(1000).endswith(b"x")
    finally:
        over.set()
        peer.client.publish("t", b"", qos=1)
        thread.join(SECONDS)
    assert not thread.is_alive()


def test_half_a_packet_of_a_connection_that_broke_is_forgotten(connected: Callable[..., Peer]) -> None:
    """The next connection's first packet is read from its own start."""
    peer = connected()
    peer.send(publish(b"a", b"all of it", token=1)[:5])
    ours, peer.theirs = socket.socketpair()
    peer.client._dial = lambda: ours
    peer.theirs.settimeout(SECONDS)
    peer.client.reconnect()
    peer.client.loop()
    peer.send(CONNACK)
    assert peer.client.is_connected()
    peer.send(publish(b"a", b"anew", token=1))
    assert peer.arrived == [("a", b"anew")]
