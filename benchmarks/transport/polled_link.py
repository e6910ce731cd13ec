"""A link without a thread: one selector drives hundreds of them.

paho's own loop calls select(), which refuses file descriptors from 1024 on, and costs a thread for each client.
paho offers its reads and writes to a loop of one's own; everything else is the Link that sites really use.
"""

import selectors
import ssl
from typing import Any

import paho.mqtt.client as paho

from fedfin import limits
from fedfin.link import mqtt


class PolledLink(mqtt.Link):
    """One client's connection; `selector` watches its socket, with the link as the key's data.

    What it says is in `events`, to be read after each call.
    """

    def __init__(self, url: str, client_id: str, *, selector: selectors.BaseSelector, **options: Any) -> None:
        self._selector = selector
        self._up = False  # there is a socket
        self._full = False  # ... which did not take all that was sent
        super().__init__(url, client_id, **options)

    def open(self) -> None:
        """Connect, unless there is a connection; the outcome arrives as Up or Down."""
        if self._up:
            return
        self._begin()
        try:
            self._client.connect(self._broker.host, self._broker.port, keepalive=limits.KEEPALIVE_S)
            self._up = True
        except OSError as error:
            self._ended = self._cause(error)
            self._tell_down()

    def close(self, last_words: tuple[str, bytes]) -> None:
        """Publish `last_words` (retained) and disconnect."""
        self._stopping.set()
        self._client.publish(*last_words, qos=0, retain=True)
        self._client.disconnect()
        self.flush()

    def ready(self, events: int) -> None:
        """The selector says that the socket can be read or written."""
        if events & selectors.EVENT_WRITE:
            self.flush()
        if events & selectors.EVENT_READ:
            self._client.loop_read()
            while isinstance(sock := self._client.socket(), ssl.SSLSocket) and sock.pending():
                self._client.loop_read()  # TLS has decrypted more than paho took; the selector cannot see it
        self._look()

    def keep_alive(self) -> None:
        """Keepalives, about once a second."""
        self._client.loop_misc()
        self._look()

    def flush(self) -> None:
        """Send what waits; only where the socket is full the selector is asked to watch for room."""
        if self._client.want_write():
            self._client.loop_write()
        full = self._client.want_write()
        if full != self._full and (sock := self._client.socket()) is not None:
            self._full = full
            self._selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE * full, self)
        self._look()

    def _look(self) -> None:
        if self._up and self._client.socket() is None:
            self._up = False
            self._try_older()
            if self._at_once and not self._stopping.is_set():
                self.open()
            else:
                self._tell_down()

    def _wait_for_owner(self, size: int) -> None:
        """The owner takes what there is after each call, in this very thread."""

    def _new_client(self) -> paho.Client:
        client = super()._new_client()
        opened = client.on_socket_open

        def on_open(client: paho.Client, data: Any, sock: Any) -> None:
            if opened is not None:
                opened(client, data, sock)
            self._full = False
            self._selector.register(sock, selectors.EVENT_READ, self)

        def on_close(_: paho.Client, __: Any, sock: Any) -> None:
            self._selector.unregister(sock)

        client.on_socket_open = on_open
        client.on_socket_close = on_close
        return client
