"""WebSockets' frames: against a peer that sends them in any pieces."""

import socket
from collections.abc import Iterator

import pytest

from fedfin.link.websocket import PING, WebSocket, WebSocketError


@pytest.fixture
def ends() -> Iterator[tuple[WebSocket, socket.socket]]:
    """Ours, which does not block, and the server's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(5.0)
    with ours, theirs:
        yield WebSocket(ours), theirs


def received(websocket: WebSocket, theirs: socket.socket, data: bytes) -> bytes:
    """What comes of `data` when it arrives byte by byte."""
    found = b""
    for byte in data:
        theirs.sendall(bytes([byte]))
        try:
            found += websocket.recv(1000)
        except BlockingIOError:
            continue
    return found


def test_frames_may_come_in_any_pieces(ends: tuple[WebSocket, socket.socket]) -> None:
    """Of all three lengths, continued, empty, with a pong between."""
    frames = [b"\x02\x03abc", b"\x80\x00", b"\x8a\x01x", b"\x82\x7e\x01\x00" + b"y" * 256, b"\x82\x01z"]
    frames.append(b"\x82\x7f" + (70_000).to_bytes(8, "big") + b"w" * 70_000)
    assert received(*ends, b"".join(frames)) == b"abc" + b"y" * 256 + b"z" + b"w" * 70_000


def test_a_ping_is_answered_with_its_own_bytes(ends: tuple[WebSocket, socket.socket]) -> None:
    """Masked, as a client must."""
    websocket, theirs = ends
    assert received(websocket, theirs, bytes([0x80 | PING, 2]) + b"hi") == b""
    answer = theirs.recv(100)
    assert answer[:2] == b"\x8a\x82"
    assert bytes(a ^ b for a, b in zip(answer[6:], answer[2:6], strict=False)) == b"hi"


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"\x82\x81\0\0\0\0x", "masks its frames"),
        (b"\x81\x01x", "not of MQTT"),
        (b"\x89\x7e\x01\x00", "not of MQTT"),
        (b"\x88\x02\x03\xf1", "code 1009.*too big"),
    ],
)
def test_what_a_server_must_not_send_and_its_farewell_end_it(
    ends: tuple[WebSocket, socket.socket], frame: bytes, words: str
) -> None:
    """With words."""
    with pytest.raises(WebSocketError, match=words):
        received(*ends, frame)


def test_what_the_socket_does_not_take_at_once_goes_out_later_and_whole(
    ends: tuple[WebSocket, socket.socket],
) -> None:
    """The same bytes are given again until they are gone, in frames of 64 KiB."""
    websocket, theirs = ends
    data, sent, wire, refused = bytes(range(256)) * 8192, 0, b"", 0
    while sent < len(data):
        try:
            sent += websocket.send(data[sent:])
        except BlockingIOError:
            refused += 1
            wire += theirs.recv(2**16)
    theirs.settimeout(0.2)
    while len(wire) < len(data) + 32 * 14:
        wire += theirs.recv(2**20)
    assert refused
    assert _unframed(wire) == data


def _unframed(wire: bytes) -> bytes:
    found = b""
    while wire:
        assert wire[:2] == b"\x82\xff"
        size, mask = int.from_bytes(wire[2:10], "big"), wire[10:14]
        found += bytes(byte ^ mask[i % 4] for i, byte in enumerate(wire[14 : 14 + size]))
        wire = wire[14 + size :]
    return found
