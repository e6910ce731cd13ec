"""MQTT over WebSockets (RFC 6455): the client's end, as a socket that does not block.

paho has one, which loses what it could not send at once: at 256 KiB it stands still for ever. This one keeps it.
"""

import base64
import contextlib
import hashlib
import os
import re
import socket
import ssl
import struct

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
FRAME_BYTES = 64 * 1024  # of one frame of ours; a message of MQTT may take several
HEAD_BYTES = 16 * 1024  # of the server's answer
READ_BYTES = 64 * 1024
BINARY, CONTINUATION, CLOSE, PING, PONG = 2, 0, 8, 9, 10
CONTROL_BYTES = 125  # of a control frame's payload
_FINAL, _MASKED = 0x80, 0x80
_FAULT = 1011
_CLOSED = {
    1001: "it goes away",
    1002: "we broke the protocol of WebSockets",
    1008: "we broke a rule of its",
    1009: "our message is too big for it",
    _FAULT: "it met an error of its own",
    1012: "it restarts",
    1013: "it has too much to do",
}


class WebSocketError(OSError):
    """What is there speaks no WebSockets, or ended them; the text says what it said."""


class WebSocketFaultError(WebSocketError):
    """The server failed (code 1011): RabbitMQ 3.10 does at MQTT 5, which it does not know."""


class WebSocket:
    """Over a connected socket, with TLS or without; `send` and `recv` as a socket's that does not block."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._out = bytearray()  # frames that are not yet sent, ...
        self._framed = 0  # ... and what the last of them holds of the caller's bytes
        self._in = bytearray()  # read and not taken apart
        self._left = 0  # of the data frame at the beginning of `_in`

    def handshake(self, host: str, path: str) -> None:
        """While the socket still blocks. Raises WebSocketError, OSError."""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt"]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        head = self._head().decode("latin-1")
        status = re.match(r"HTTP/1\.1 (\d{3})", head)
        if status is None:
            raise WebSocketError("what answers there is no web server; is it the port for mqtts://?")
        if status[1] != "101":
            why = "correct the path in the URL, the web server's rule for it, or what it passes that on to"
            raise WebSocketError(f"no WebSockets at {path} (HTTP {status[1]}); {why}")
        wanted = base64.b64encode(hashlib.sha1(f"{key}{GUID}".encode()).digest()).decode()  # noqa: S324 - RFC 6455
        accepted = re.search(r"^sec-websocket-accept:\s*(\S+)", head, re.IGNORECASE | re.MULTILINE)
        if accepted is None or accepted[1] != wanted:
            raise WebSocketError("the web server's answer is not to our request; is a cache between?")

    def send(self, data: bytes | bytearray) -> int:
        """How many bytes were sent. Raises BlockingIOError: call again, later, with the same bytes."""
        if not self._framed:
            part = bytes(data[:FRAME_BYTES])
            self._out += _frame(BINARY, part)
            self._framed = len(part)
        self._flush()
        sent, self._framed = self._framed, 0
        return sent

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes of the data frames; none: the server ends. Raises BlockingIOError, WebSocketError."""
        while not (self._left and self._in):
            if not self._next_frame() and not self._read():
                return b""
        taken = min(size, self._left, len(self._in))
        data = bytes(self._in[:taken])
        del self._in[:taken]
        self._left -= taken
        return data

    def pending(self) -> int:
        """Bytes that are here although the kernel has none."""
        inside = self.socket.pending() if isinstance(self.socket, ssl.SSLSocket) else 0
        return inside + len(self._in)

    def fileno(self) -> int:
        """Of the socket."""
        return self.socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self.socket.setblocking(flag)

    def close(self) -> None:
        """As a socket's."""
        self.socket.close()

    def _head(self) -> bytes:
        """Byte by byte: what comes after it is MQTT's."""
        head = b""
        while not head.endswith(b"\r\n\r\n") and len(head) < HEAD_BYTES:
            byte = self.socket.recv(1)
            if not byte:
                break
            head += byte
        return head

    def _flush(self) -> None:
        while self._out:
            sent = self.socket.send(self._out)
            del self._out[:sent]

    def _read(self) -> bool:
        """More bytes; False at the end."""
        data = self.socket.recv(READ_BYTES)
        self._in += data
        return bool(data)

    def _next_frame(self) -> bool:
        """Take apart the head of the next frame, or a whole control frame; False: more bytes are needed."""
        if self._left or len(self._in) < 2:  # noqa: PLR2004 - a head has two bytes at least
            return False
        opcode, size = self._in[0] & 0x0F, self._in[1] & 0x7F
        if self._in[1] & _MASKED:
            raise WebSocketError("the server masks its frames, which it must not (RFC 6455, section 5.1)")
        extended = {126: 2, 127: 8}.get(size, 0)
        start = 2 + extended
        if len(self._in) < start:
            return False
        if extended:
            size = int.from_bytes(self._in[2:start], "big")
        if opcode in {BINARY, CONTINUATION}:
            del self._in[:start]
            self._left = size
            return True
        return self._control(opcode, start, size)

    def _control(self, opcode: int, start: int, size: int) -> bool:
        if size > CONTROL_BYTES or opcode not in {CLOSE, PING, PONG}:
            raise WebSocketError("the server sends frames that are not of MQTT over WebSockets")
        if len(self._in) < start + size:
            return False
        payload = bytes(self._in[start : start + size])
        del self._in[: start + size]
        if opcode == CLOSE:
            failed = int.from_bytes(payload[:2], "big") == _FAULT
            raise (WebSocketFaultError if failed else WebSocketError)(_farewell(payload))
        if opcode == PING:
            self._answer_ping(payload)
        return True

    def _answer_ping(self, payload: bytes) -> None:
        """At once if nothing of ours is half sent, else behind it."""
        self._out += _frame(PONG, payload)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._flush()  # otherwise it goes out with what is sent next


def _frame(opcode: int, payload: bytes) -> bytes:
    """Masked, as a client's must be."""
    size = len(payload)
    if size < 126:  # noqa: PLR2004 - RFC 6455, section 5.2
        head = struct.pack("!BB", _FINAL | opcode, _MASKED | size)
    elif size < 2**16:
        head = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, size)
    mask = os.urandom(4)
    return head + mask + _masked(payload, mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    """Exclusive or as one large number: a loop over bytes takes 8 ms for 64 KiB."""
    size = len(payload)
    stream = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def _farewell(payload: bytes) -> str:
    """What a close frame says."""
    code = int.from_bytes(payload[:2], "big") if payload else 1005
    words = _CLOSED.get(code, "without a reason" if code in {1000, 1005} else "for a reason of its own")
    return f"the server ended the WebSocket (code {code}): {words}"
