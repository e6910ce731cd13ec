"""Whose an address is (RFC 6454): scheme, host and port, all that is ever named of another's address."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_HOST = re.compile(r"[a-z0-9.:-]{1,253}")


class Origin(NamedTuple):
    """As text without path and query, in which a patient may be named; a host that is none is not repeated."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        if not _HOST.fullmatch(self.host):
            return "which is none"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.port is None else f"{self.scheme}://{host}:{self.port}"


def origin(url: str) -> Origin:
    """Of an address; of what is none, an origin that no server has."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return Origin(parts.scheme, parts.hostname or "", port)
    except ValueError:
        return Origin("", "", None)
