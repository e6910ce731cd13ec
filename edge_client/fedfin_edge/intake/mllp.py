"""HL7 v2 over MLLP (minimal lower layer protocol, HL7 v2.5 appendix C): a server that answers each message.

AA only after the message's reports are safe in the spool; AE for a message that cannot be used; AR for a kind that is
not for us, and where there is no room: the sender keeps it and tries again.
"""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fedfin.errors import FedfinError, InputError, StateError
from fedfin.files import why
from fedfin_edge.intake.oru import RejectedError, read_oru
from fedfin_edge.intake.reception import Reception
from fedfin_edge.intake.server_tls import server_context
from fedfin_edge.intake.spool import FullError
from fedfin_edge.intake_settings import Listener, Oru

MAX_MESSAGE = 16 << 20
_START, _END = b"\x0b", b"\x1c\r"
CONNECTIONS = 20  # at a time; a message is in memory until it is on the disk
_HANDSHAKE_S = 10.0
_SILENT_S = 60  # after which the system asks a sender whether it still is there
_BLOCK = 1 << 16


class Mllp:
    """A server in threads of its own; a context manager."""

    def __init__(self, settings: Listener, places: Oru, folder: Path, reception: Reception) -> None:
        self._settings = settings
        self._places = places
        self._tls = server_context(settings, folder)
        self._reception = reception
        self._server: _Server | None = None

    def __enter__(self) -> "Mllp":
        """Listen. Raises StateError when the port cannot be had."""
        try:
            self._server = _Server((self._settings.address, self._settings.port), self._tls, self.answer)
        except OSError as error:
            raise StateError(
                f"cannot listen for HL7 at port {self._settings.port} ({why(error)}); choose another in [intake.hl7],"
                " or stop what listens there"
            ) from None
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, message: bytes) -> bytes:
        """The acknowledgement of one message."""
        try:
            for report in read_oru(message, self._places):
                self._reception.take_report(report)
        except RejectedError as error:
            return acknowledge(message, "AR", str(error))
        except FullError as error:
            return acknowledge(message, "AR", f"{error}; try again later")
        except InputError as error:
            self._reception.leave_out(f"report: {error}")
            return acknowledge(message, "AE", str(error))
        except FedfinError:
            return acknowledge(message, "AR", "the store cannot be written; try again later")
        except Exception:  # noqa: BLE001  without an answer its sender would send it for ever, and nothing behind it
            self._reception.leave_out("report: FedFIN failed")
            return acknowledge(message, "AE", "cannot be read: please report this to FedFIN's developers")
        return acknowledge(message, "AA", "")


def acknowledge(message: bytes, code: str, reason: str) -> bytes:
    """MSH and MSA for a message (HL7 v2.5, 2.9.2); of the message only what identifies it to its sender."""
    segment = message[:4096].lstrip().split(b"\r", 1)[0].split(b"\n", 1)[0].decode("latin-1")
    separator = segment[3] if segment.startswith("MSH") and len(segment) > 3 else "|"  # noqa: PLR2004
    sent = [*segment.split(separator), *[""] * 12][:12] if segment.startswith("MSH") else [""] * 12
    now = datetime.now(timezone.utc).strftime("%Y%m%d%H%M%S+0000")
    header = ["MSH", sent[1] or "^~\\&", sent[4], sent[5], sent[2], sent[3], now, "", "ACK^R01^ACK"]
    header += [now, sent[10] or "P", sent[11] or "2.5"]
    answer = ["MSA", code, sent[9], *([reason] if reason else [])]
    return "".join(separator.join(fields) + "\r" for fields in (header, answer)).encode("latin-1", "replace")


class _Server(socketserver.ThreadingTCPServer):
    """A connection each thread."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
        answer: Callable[[bytes], bytes],
    ) -> None:
        self.tls = tls
        self.answer = answer
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, _Connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection whose sender was switched off ends some time, and makes room."""
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_S)
        return connection, address

    def verify_request(self, *_: object) -> bool:
        """Whether there is room; one too many is closed at once, and its sender tries again."""
        return self._room.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The whole life of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is its sender's: it sends again what has no answer."""


class _Connection(socketserver.BaseRequestHandler):
    """Messages and answers, one after the other."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        connection = self.request
        if self.server.tls is not None:
            connection.settimeout(_HANDSHAKE_S)
            connection = self.server.tls.wrap_socket(connection, server_side=True)
            connection.settimeout(None)
        with contextlib.closing(connection):
            for message in read_messages(connection.recv):
                connection.sendall(_START + self.server.answer(message) + _END)


def read_messages(receive: Callable[[int], bytes]) -> Iterator[bytes]:
    """The messages between VT and FS; what is outside of them is left out. Ends at one that is too long.

    FS is followed by CR, but some senders wait for their answer first, or send LF; no text holds an FS.
    """
    block = b""
    while more := receive(_BLOCK):
        block += more
        while (end := block.find(_END[:1])) >= 0:
            message, block = block[:end], block[end + 1 :]
            yield message[message.rfind(_START) + 1 :]
        if len(block) > MAX_MESSAGE:
            return
