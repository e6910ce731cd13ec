"""What stands before a cluster of brokers: one address for a party, which leads to the first node that answers.

Users have HAProxy or their cloud's; this one does no more than they do with a list of servers and a check by TCP.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

Address = tuple[str, int]
_BYTES = 65_536
_CONNECT_S = 2.0


@contextlib.contextmanager
def balancer(nodes: Sequence[Address]) -> Iterator[int]:
    """The port on loopback, while the context lasts. `nodes`: in the order in which they are tried."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        threading.Thread(target=_accept, args=(server, nodes), daemon=True).start()
        yield int(server.getsockname()[1])


def _accept(server: socket.socket, nodes: Sequence[Address]) -> None:
    with contextlib.suppress(OSError):  # it is closed
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client, nodes), daemon=True).start()


def _serve(client: socket.socket, nodes: Sequence[Address]) -> None:
    for node in nodes:
        try:
            upstream = socket.create_connection(node, _CONNECT_S)
        except OSError:
            continue
        upstream.settimeout(None)
        threading.Thread(target=_copy, args=(upstream, client), daemon=True).start()
        _copy(client, upstream)
        return
    client.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Until either side ends; then both do."""
    with contextlib.suppress(OSError):
        while data := source.recv(_BYTES):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
