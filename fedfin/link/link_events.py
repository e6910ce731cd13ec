"""What a link tells its owner, and how the owner takes it."""

import contextlib
import queue
from dataclasses import dataclass
from typing import Any

from fedfin import limits

GATHERED_BYTES = 64 * limits.CHUNK_BYTES  # of messages that an owner takes together, but for the last of them


@dataclass(frozen=True)
class Announced:
    """What the broker says of itself when it lets us in (MQTT 5, section 3.2.2.3); the defaults are its silence.

    `maximum_packet`: bytes; None: it names no limit. `protocol`: MQTT's version.
    """

    protocol: str = "5"
    maximum_packet: int | None = None
    receive_maximum: int = 65_535
    maximum_qos: int = 2
    retain_available: bool = True
    session_expiry_s: int = 0
    wildcards: bool = True

    @classmethod
    def of(cls, properties: Any) -> "Announced":
        """As CONNACK's properties say; those that are not there are the broker's silence."""
        names = {
            "maximum_packet": "MaximumPacketSize",
            "receive_maximum": "ReceiveMaximum",
            "maximum_qos": "MaximumQoS",
            "retain_available": "RetainAvailable",
            "session_expiry_s": "SessionExpiryInterval",
            "wildcards": "WildcardSubscriptionAvailable",
        }
        found = {
            field: getattr(properties, name) for field, name in names.items() if hasattr(properties, name)
        }
        return cls(**found)


@dataclass(frozen=True)
class Up:
    """Connected; no session is kept at the broker, so the owner subscribes again. `chunk_size` fits its packets."""

    chunk_size: int
    announced: Announced = Announced()


@dataclass(frozen=True)
class Down:
    """Disconnected; the link tries again by itself. `final`: that is of no use before somebody has done something."""

    reason: str
    final: bool = False


@dataclass(frozen=True)
class Arrived:
    """A message."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Taken:
    """The broker acknowledged a publish; `refused` is its reason when it denied it."""

    token: int
    refused: str | None


@dataclass(frozen=True)
class Broken:
    """The link's thread ended with an error; it will not come back."""

    error: str


LinkEvent = Up | Down | Arrived | Taken | Broken


def gather(events: "queue.SimpleQueue[Any]", seconds: float, most: int = 64) -> list[Any]:
    """What has come: waits up to `seconds` for the first event alone; at most `most`, and GATHERED_BYTES."""
    found: list[Any] = []
    with contextlib.suppress(queue.Empty):
        found.append(events.get(timeout=seconds))
        size = _size(found[0])
        while len(found) < most and size < GATHERED_BYTES:
            found.append(events.get_nowait())
            size += _size(found[-1])
    return found


def _size(event: Any) -> int:
    """Bytes, where they count."""
    return len(event.payload) if isinstance(event, Arrived) else 0
