"""Where the broker is: mqtts://host[:port], wss://host[:port]/path, or, in the clear, mqtt:// and ws://."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from fedfin.errors import SettingsError

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
WEBSOCKET_PATH = "/mqtt"  # what most brokers call it; RabbitMQ's is /ws
OLD_PROTOCOL = "protocol=3.1.1"


@dataclass(frozen=True)
class BrokerUrl:
    """mqtts://host[:8883] with TLS, mqtt://host[:1883] without; then optionally ?protocol=3.1.1.

    wss://host[:443][/path] and ws://host[:80][/path]: the same over WebSockets; `path` None: without.
    MQTT 5 unless the URL says otherwise. A broker that knows only 3.1.1 should refuse MQTT 5, and then the link
    falls back by itself; amqtt instead waits for ever when the client has a last will, so its URL says it.
    """

    host: str
    port: int
    old: bool = False
    tls: bool = False
    path: str | None = None

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
        if parts.query not in {"", OLD_PROTOCOL}:
            raise SettingsError(f"broker {shown}: the only option is ?{OLD_PROTOCOL}")
        path = (parts.path.rstrip("/") or WEBSOCKET_PATH) if websockets else None
        return cls(host, port, parts.query == OLD_PROTOCOL, parts.scheme in {"mqtts", "wss"}, path)

    @property
    def address(self) -> str:
        """host:port, as messages and the header Host name it: IPv6 in brackets (RFC 3986, section 3.2.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
