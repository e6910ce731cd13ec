"""Bytes of one direction by layer."""

from dataclasses import astuple, dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Layers:
    """From the inside out.

    payload: application messages; mqtt: topics, headers, acknowledgements, pings; tls: records, handshake; tcp: headers
    of TCP and IPv4, acknowledgements, repeats; segments: how many.
    """

    payload: float = 0
    mqtt: float = 0
    tls: float = 0
    tcp: float = 0
    segments: float = 0

    @property
    def total(self) -> float:
        """What an operator of the line would count, but for Ethernet."""
        return self.payload + self.mqtt + self.tls + self.tcp

    def __add__(self, other: "Layers") -> "Layers":
        return Layers(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "Layers") -> "Layers":
        return self + other.times(-1)

    def times(self, factor: float) -> "Layers":
        """Of so many."""
        return Layers(*(factor * value for value in astuple(self)))


class Both(NamedTuple):
    """Up: from the site to the broker; down: back."""

    up: Layers
    down: Layers

    def plus(self, other: "Both") -> "Both":
        """Direction by direction."""
        return Both(self.up + other.up, self.down + other.down)

    def times(self, factor: float) -> "Both":
        """Of so many."""
        return Both(self.up.times(factor), self.down.times(factor))


NOTHING = Both(Layers(), Layers())
