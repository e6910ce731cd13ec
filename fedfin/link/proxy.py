"""An HTTP proxy on the way to the broker: the tunnel that CONNECT makes (RFC 9110, section 9.3.6)."""

import base64
import os
import re
import socket
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from fedfin.errors import SettingsError
from fedfin.link.broker_url import BrokerUrl
from fedfin.link.login import Login

VARIABLE = "FEDFIN_PROXY_PASSWORD"
NO_PROXY: Final = "none"  # instead of a proxy's URL: go straight, whatever the environment says
ANSWER_BYTES = 16 * 1024  # of the proxy's answer; some send a page with their refusal
_PORT = 3128
_LOGIN = (
    "it refuses our user name or password, or wants one; give --proxy-user and --proxy-password-file"
    " ([proxy] in site.toml)"
)
_BEYOND = "it cannot reach the broker; ask its operator whether the host's name and port are right"
_WHY = {
    400: "it knows no tunnels (CONNECT), so it may be no proxy at all; correct its address",
    401: _LOGIN,  # what tinyproxy says
    403: "it does not allow this; most allow port 443 only, so write wss:// with a broker or a web server there",
    405: "it knows no tunnels (CONNECT), so it may be no proxy at all; correct its address",
    407: _LOGIN,
    502: _BEYOND,
    503: _BEYOND,
    504: _BEYOND,
}


class ProxyRefusalError(OSError):
    """The proxy makes no tunnel; the text says why."""


@dataclass(frozen=True)
class Proxy:
    """Where it is, and who we are to it. The password is read anew for each connection, and is in no message."""

    host: str
    port: int
    login: Login | None = None

    @classmethod
    def parse(cls, url: str, user: str | None = None, password_file: Path | None = None) -> "Proxy":
        """From http://HOST[:3128]. Raises SettingsError, which shows no password, for anything else."""
        if "@" in url:
            raise SettingsError(
                "the proxy's user and password do not belong into its URL; give the user by itself and the password in"
                f" a file, or in the variable {VARIABLE}"
            )
        host, port = _place(url)
        login = None if user is None else Login(user, password_file, VARIABLE)
        return cls(host, port, login)

    @property
    def address(self) -> str:
        """host:port, as messages name it."""
        return f"{self.host}:{self.port}"

    def tunnel(self, host: str, port: int, seconds: float) -> socket.socket:
        """A connection through it. Raises OSError, SettingsError."""
        try:
            connection = socket.create_connection((self.host, self.port), seconds)
        except OSError as error:
            raise ProxyRefusalError(f"the proxy {self.address} does not answer: {error}") from None
        try:
            connection.sendall(self._request(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
            self._check(_answer(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def _request(self, target: str) -> bytes:
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.login is not None:
            pair = f"{self.login.user}:{self.login.password()}".encode()
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
        return "\r\n".join([*lines, "", ""]).encode()

    def _check(self, answer: bytes) -> None:
        status = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
        if status is None:
            raise ProxyRefusalError(f"what answers at {self.address} is no HTTP proxy; correct its address")
        code = int(status[1])
        if code // 100 != 2:  # noqa: PLR2004 - any 2xx is a tunnel
            why = _WHY.get(code, "ask its operator")
            raise ProxyRefusalError(f"the proxy {self.address} makes no tunnel (HTTP {code}): {why}")


ProxyChoice = Proxy | Literal["none"] | None  # None: the environment's


def choose(url: str | None, user: str | None, password_file: Path | None) -> ProxyChoice:
    """What a setting or an option says. Raises SettingsError."""
    if url is None or url == NO_PROXY:
        if user is not None or password_file is not None:
            raise SettingsError("a proxy's user or password file is given without its URL; give both")
        return NO_PROXY if url == NO_PROXY else None
    if user is None and password_file is not None:
        raise SettingsError("the proxy's password file is given without its user; give both")
    return Proxy.parse(url, user, password_file)


@dataclass(frozen=True)
class _KnownLogin(Login):
    """A user whose password came with the environment variable that names the proxy."""

    known: str = field(default="", repr=False)

    def password(self) -> str:
        """The one that came with it."""
        return self.known


def chosen(choice: ProxyChoice, broker: BrokerUrl) -> Proxy | None:
    """The proxy that is used on the way to this broker. Raises SettingsError."""
    return None if choice == NO_PROXY else choice or _of_environment(broker)


def _of_environment(broker: BrokerUrl) -> Proxy | None:
    """For WebSockets, as for web pages: HTTPS_PROXY (HTTP_PROXY without TLS), unless NO_PROXY lists the host.

    MQTT without WebSockets is not the web: it takes a proxy only where one is named. Raises SettingsError.
    """
    if broker.path is None or urllib.request.proxy_bypass(broker.host):
        return None
    url = urllib.request.getproxies_environment().get("https" if broker.tls else "http")
    if not url:
        return None
    login, _, rest = url.removeprefix("http://").rpartition("@")
    host, port = _place(f"http://{rest}")
    user, _, password = login.partition(":")
    known = _KnownLogin(unquote(user), known=unquote(password)) if login else None
    return Proxy(host, port, known)


def hint(broker: BrokerUrl) -> str:
    """What to say beside a connection that failed, where the environment names a proxy that was not used."""
    variable = next((name for name in ("HTTPS_PROXY", "https_proxy") if os.environ.get(name)), None)
    if variable is None or broker.path is not None:
        return ""
    return (
        f"; {variable} names a proxy, which mqtts:// takes only where --proxy ([proxy] in site.toml) says so"
    )


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if parts.scheme != "http" or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(f"the proxy's URL is not like http://proxy.example:{_PORT}; correct it")
    return host, port


def _answer(connection: socket.socket) -> bytes:
    """The head of its answer, byte by byte: what comes after it is the broker's."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte or len(head) == ANSWER_BYTES:
            return head
        head += byte
    return head
