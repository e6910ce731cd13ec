"""Where the broker is: mqtts://host[:port], wss://host[:port]/path, or, in the clear, mqtt:// and ws://."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from fedfin import limits
from fedfin.errors import SettingsError

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
WEBSOCKET_PATH = "/mqtt"  # what most brokers call it; RabbitMQ's is /ws
OLD_PROTOCOL = "protocol=3.1.1"
WEBSOCKET_CHUNK_BYTES = 64 * 1024  # web servers' limits and buffers are made for small messages
_LEAST_KIB, _MOST_KIB = limits.LEAST_CHUNK_BYTES // 1024, limits.MOST_CHUNK_BYTES // 1024


@dataclass(frozen=True)
class BrokerUrl:
    """mqtts://host[:8883] with TLS, mqtt://host[:1883] without; then optionally ?protocol=3.1.1&packet=1024.

    wss://host[:443][/path] and ws://host[:80][/path]: the same over WebSockets; `path` None: without.
    `packet`: the most KiB of data in one packet of ours; None: as usual.
    MQTT 5 unless the URL says otherwise. A broker that knows only 3.1.1 should refuse MQTT 5, and then the link
    falls back by itself; amqtt instead waits for ever when the client has a last will, so its URL says it.
    """

    host: str
    port: int
    old: bool = False
    tls: bool = False
    path: str | None = None
    packet: int | None = None

    @classmethod
    def parse(cls, url: str) -> "BrokerUrl":
        """Raises SettingsError, with an example, when `url` is not one."""
        example = (
            "write it like mqtts://broker.example:8883, wss://broker.example/mqtt or mqtt://127.0.0.1:1883"
        )
        shown = repr(re.sub(r"//.*@", "//...@", url))  # a password must not end up in a log
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, PORTS.get(parts.scheme) if parts.port is None else parts.port
        except ValueError:
            raise SettingsError(f"broker {shown}: not a URL; {example}") from None
        if "@" in parts.netloc:
            raise SettingsError(f"broker {shown}: user and password do not belong into the URL; {example}")
        websockets = parts.scheme in {"ws", "wss"}
        odd = (parts.path.strip("/") and not websockets) or parts.fragment or re.search(r"[^!-~]", url)
        if parts.scheme not in PORTS or not host or not port or odd:
            raise SettingsError(
                f"broker {shown}: only mqtts://HOST[:PORT], wss://HOST[:PORT][/PATH] and, in the clear, mqtt:// and"
                f" ws:// are supported; {example}"
            )
        try:
            old, packet = _options(parts.query)
        except ValueError as error:
            raise SettingsError(f"broker {shown}: {error}") from None
        path = (parts.path.rstrip("/") or WEBSOCKET_PATH) if websockets else None
        return cls(host, port, old, parts.scheme in {"mqtts", "wss"}, path, packet)

    @property
    def chunk_bytes(self) -> int:
        """The most bytes of data in one packet of ours, where the broker takes as much."""
        if self.packet is not None:
            return self.packet * 1024
        return limits.CHUNK_BYTES if self.path is None else WEBSOCKET_CHUNK_BYTES

    @property
    def address(self) -> str:
        """host:port, as messages and the header Host name it: IPv6 in brackets (RFC 3986, section 3.2.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _options(query: str) -> tuple[bool, int | None]:
    """Whether it is MQTT 3.1.1, and a packet's KiB where they are said. Raises ValueError, with the remedy."""
    options = query.split("&") if query else []
    given = {name: value for name, _, value in (option.partition("=") for option in options)}
    old, packet = f"protocol={given.get('protocol')}" == OLD_PROTOCOL, given.get("packet")
    known = {"packet", "protocol"} if old else {"packet"}
    if len(given) < len(options) or not given.keys() <= known:
        raise ValueError(
            f"the only options are {OLD_PROTOCOL} and packet=KIB, each once; write them like"
            f" ?{OLD_PROTOCOL}&packet={_MOST_KIB}"
        )
    if packet is None:
        return old, None
    if not re.fullmatch(r"[0-9]{1,4}", packet) or not _LEAST_KIB <= int(packet) <= _MOST_KIB:
        raise ValueError(f"packet={packet}: write a number of KiB from {_LEAST_KIB} to {_MOST_KIB}")
    return old, int(packet)
