"""From the host's name to a TCP connection."""

import socket
import time
from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, fail, passed
from fedfin.link.broker_url import BrokerUrl
from fedfin.link.dial import CONNECT_S, reach
from fedfin.link.proxy import Proxy

Address = tuple[str, int]


def resolve(broker: BrokerUrl) -> tuple[Finding, list[str]]:
    """DNS; the addresses."""
    try:
        found = socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or "not a name that DNS could hold"
        remedy = "correct the host's name in the URL, or ask for an entry in DNS (or /etc/hosts)"
        return fail("dns", f"{broker.host} does not resolve ({words})", remedy), []
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    return passed("dns", f"{broker.host} is {', '.join(addresses)}"), addresses


def connect(broker: BrokerUrl, addresses: list[str]) -> Iterator[Finding]:
    """TCP, as the link does it: one address that answers is enough."""
    problems = []
    for address in addresses:
        started = time.monotonic()
        try:
            with socket.create_connection((address, broker.port), CONNECT_S):
                took = (time.monotonic() - started) * 1000
                yield passed("tcp", f"{address} port {broker.port} answers in {took:.1f} ms")
                return
        except OSError as error:
            problems.append(f"{address} port {broker.port}: {_words(error)}")
    yield fail(
        "tcp", "; ".join(problems), "start the broker, correct the port, or open it in the firewalls between"
    )


def tunnel(broker: BrokerUrl, proxy: Proxy) -> Finding:
    """Through a proxy, which resolves the broker's name itself."""
    try:
        reach(broker, proxy).close()
    except OSError as error:
        says, _, remedy = str(error).partition("; ")
        return fail("proxy", says, remedy or "correct --proxy, or ask its operator")
    return passed("proxy", f"{proxy.address} makes a tunnel to {broker.address}")


def _words(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S:.0f} s, as if a firewall drops it"
    return error.strerror or str(error)
