"""pynetdicom's server of DICOM associations, with bounds on what one caller may take.

pynetdicom reads a PDU as long as its header says it is, up to 4 GiB, and waits for its rest without end; and it makes
the TLS handshake of one caller before it looks at the next.
"""

import socket
import socketserver
import threading
import time
from typing import Any

from pynetdicom import evt
from pynetdicom.transport import ThreadedAssociationServer

# PS3.8 9.3: a P-DATA-TF PDU is as long as we allow, 16 KiB; an A-ASSOCIATE-RQ with all of 128 contexts under 400 KiB.
MAX_PDU = 1 << 20
CONNECTIONS = (
    40  # at a time; beyond pynetdicom's own limit, which can only refuse a caller that has said who it is
)
_HANDSHAKE_S = 10.0
SILENT_S = 60.0  # within a PDU
END_S = 1.0  # an association that takes longer to end is left behind: systemd gives the service ten seconds


class AssociationServer(ThreadedAssociationServer):
    """As pynetdicom's; each caller's handshake is in a thread of its own, and has an end."""

    daemon_threads = True  # the end of the process waits for nobody's handshake

    def __init__(self, *args: Any, **options: Any) -> None:
        self._beginning = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(*args, **options)

    def shutdown(self) -> None:
        """Stop, close the port, and abort what is open: an archive may keep an association for hours.

        pynetdicom's wants to be one that `start_server` made, and leaves them open.
        """
        socketserver.BaseServer.shutdown(self)
        self.server_close()
        established = [each for each in self.active_associations if each.is_established]
        for each in established:
            each.abort(block=False)
        until = time.monotonic() + END_S
        for each in established:
            each.join(max(0.0, until - time.monotonic()))

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection, without TLS yet."""
        assert self.socket is not None  # it listens
        return self.socket.accept()

    def verify_request(self, *_: object) -> bool:
        """Whether there is room; one too many is closed at once, and its sender tries again."""
        return len(self.active_associations) < CONNECTIONS and self._beginning.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Until the association, a thread of pynetdicom's, has begun."""
        try:
            super().process_request_thread(self._secured(request), client_address)
        except OSError:  # no handshake: who it is cannot be known
            self.shutdown_request(request)
        finally:
            self._beginning.release()

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self.ssl_context is not None:
            connection.settimeout(_HANDSHAKE_S)
            connection = self.ssl_context.wrap_socket(connection, server_side=True)
        connection.settimeout(SILENT_S)
        return connection


def end_with_process(event: evt.Event) -> None:
    """For EVT_CONN_OPEN, before its threads start: pynetdicom lets the process end only after its callers have."""
    event.assoc.dul.daemon = True


def bound_pdus(event: evt.Event) -> None:
    """For EVT_CONN_OPEN, before anything is read: a PDU that says it is longer than MAX_PDU ends its connection."""
    transport = event.assoc.dul.socket
    assert transport is not None  # it is open
    receive = transport.recv

    def receive_bounded(size: int) -> bytearray:
        if size > MAX_PDU:
            raise OSError("a PDU is too long")  # pynetdicom closes the connection
        return receive(size)

    # Where pynetdicom asks for a PDU by its length.
    transport.recv = receive_bounded  # type: ignore[assignment, method-assign]
