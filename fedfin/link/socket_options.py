"""What we ask of the kernel for a connection's socket, TLS's or a WebSocket's below."""

import socket
from typing import Any

from fedfin.link.websocket import WebSocket

# Data that stays unacknowledged this long means that the path is gone (a NAT forgot us, a cable was pulled), which
# keepalive alone would notice only after one to two minutes.
UNACKNOWLEDGED_MS = 30_000


def tune(sock: Any) -> None:
    """Once, when it is open. The socket is TLS's own when there is TLS; it passes options on."""
    sock = _tcp(sock)
    if isinstance(sock, socket.socket):
        # Nagle with TLS: 45 ms per small publish; without, 0.2-0.7 ms (measured).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)


def acknowledge_now(sock: Any) -> None:
    """Send the TCP acknowledgement of what was just read.

    mosquitto's own default is Nagle: its next small packet waits for that acknowledgement, and Linux puts it off by
    40 ms. A site met that twice a round (measured: 0.14 s for a round of one site, 0.10 s without).
    The kernel forgets the option, so it is set again each time.
    """
    sock = _tcp(sock)
    if isinstance(sock, socket.socket) and hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _tcp(sock: Any) -> Any:
    return sock.socket if isinstance(sock, WebSocket) else sock
