"""What a service tells systemd (sd_notify(3)): that it is up, what it is at, that it is alive, that it ends.

A datagram of lines to the socket that NOTIFY_SOCKET names. Where nobody set it, as in a shell, nothing is sent.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from fedfin.plain_text import plain_value
from fedfin.trust.audit_log import Report

# Events after which the service is in another state than before (docs/events.md).
STATES = frozenset(
    {
        "connecting",
        "online",
        "offline",
        "joined",
        "round",
        "sending",
        "received",
        "closed",
        "waiting",
        "finished",
        "listening",
        "absorbed",
        "held-up",
    }
)
FACTS = ("round", "task", "port", "waiting")
BEATS = 3  # within the time after which systemd takes a silent service for dead


class Manager:
    """systemd, as far as it listens."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = (
            "\0" + address[1:] if address.startswith("@") else address
        )  # @: Linux's abstract names
        self._every = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 / BEATS
        self._next_beat = 0.0

    def tell(self, *lines: str) -> None:
        """One datagram. What cannot be sent is dropped: the service is more than what is told of it."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto("\n".join(lines).encode(), self._address)

    def beat(self) -> None:
        """All is well; may be called as often as one likes."""
        now = time.monotonic()
        if self._every and now >= self._next_beat:
            self._next_beat = now + self._every
            self.tell("WATCHDOG=1")

    def informed(self, report: Report) -> Report:
        """A reporter that also lets systemd know what the service is at: events, and these facts, nothing else."""
        if not self._address:
            return report

        def tell_and_report(event: str, facts: dict[str, Any]) -> None:
            if event in STATES:
                known = [f"{key} {plain_value(facts[key])}" for key in FACTS if key in facts]
                self.tell(f"STATUS={' '.join([event, *known])}")
            report(event, facts)

        return tell_and_report

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Up from here to the end of the context."""
        self.tell("READY=1")
        try:
            yield
        finally:
            self.tell("STOPPING=1")
