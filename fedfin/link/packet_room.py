"""How large a message may be: by our URL, as the broker announces, as is learned from one that ends the connection.

Where a broker ends it at a large packet without a word, packets of a quarter are tried.
"""

from fedfin import limits
from fedfin.errors import LinkError

_FIXED_BYTES = 16  # of a packet, beside topic and payload


class PacketRoom:
    """Of one link, through all its connections. `chunk_bytes`: of a chunk, while nothing speaks against it."""

    def __init__(self, chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes
        self._max_packet = limits.MOST_PACKET_BYTES
        self._under_way: dict[int, int] = {}  # bytes of messages that are not acknowledged, by token
        self._passed = 0  # bytes of the largest message that a broker has taken

    def forget(self) -> None:
        """What was under way in the connection before is not any more."""
        self._under_way.clear()

    def connected(self, maximum_packet: int | None) -> int:
        """The bytes for a chunk in this broker's packets. `maximum_packet`: bytes; None: it names no limit."""
        self._max_packet = maximum_packet or 2**28
        return max(1024, min(self._chunk_bytes, self._max_packet - limits.PACKET_OVERHEAD_BYTES))

    def check(self, size: int) -> None:
        """Raises LinkError for a message of more than the broker takes: paho would send it again and again."""
        if size + _FIXED_BYTES > self._max_packet:
            raise LinkError(
                f"a message of {size} bytes exceeds the broker's maximum packet of {self._max_packet}"
            )

    def sent(self, token: int, size: int) -> None:
        """A message is under way."""
        self._under_way[token] = size

    def taken(self, token: int) -> None:
        """The broker has acknowledged it."""
        self._passed = max(self._passed, self._under_way.pop(token, 0))

    @property
    def suspect(self) -> int:
        """The bytes of a message under way that may have been too large for the broker; 0: none is unusually large."""
        largest = max(self._under_way.values(), default=0)
        return largest if largest > max(self._passed, limits.LEAST_CHUNK_BYTES) else 0

    def shrink(self) -> None:
        """From the next connection on, smaller chunks."""
        self._chunk_bytes = max(limits.LEAST_CHUNK_BYTES, self._chunk_bytes // 4)
