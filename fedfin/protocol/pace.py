"""How much a sender has on its way at once, from how fast the broker took what went before. Pure arithmetic.

On a fast link many large packets under way keep it full. On a slow one every byte under way when the connection
breaks may be lost and paid for again, and so is a packet that arrived in part: so there a second's worth is under way,
in small packets. The same lets word of a new round overtake: nothing waits longer than that second. However large the
packets may be, no more than a window's bytes are under way.
"""

from collections import deque
from dataclasses import dataclass

from fedfin import limits

_AHEAD_S = 1.0  # of the link's rate is under way
_PACKETS = 8  # these bytes are divided into so many packets, where there is room for as large ones
_FIRST_BYTES = 4 * limits.UP_CHUNK_BYTES  # a packet, while the rate is not known; two are under way
_WEIGHT = 0.3  # of the newest measurement in the rate


@dataclass(frozen=True)
class _Packet:
    """One under way; `taken_before`: what the broker had taken in all when it was handed over."""

    size: int
    handed_over: float
    taken_before: int


class Pace:
    """What is under way. Times are seconds of one monotonic clock; sizes are bytes."""

    def __init__(self) -> None:
        self._rate: float | None = None  # bytes per second, once it is measured
        self._under_way: deque[_Packet] = deque()
        self._taken = 0  # bytes so far

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not self._under_way

    @property
    def allowed(self) -> int:
        """Bytes that may be under way in all; at least two packets, so that one travels while one is acknowledged."""
        if self._rate is None:
            return 2 * _FIRST_BYTES
        return int(min(limits.WINDOW_BYTES, max(2 * limits.UP_CHUNK_BYTES, self._rate * _AHEAD_S)))

    def packet(self, room: int) -> int:
        """Bytes that the next packet may carry, of at most `room`; 0 while there is no room for another."""
        under_way = sum(packet.size for packet in self._under_way)
        if len(self._under_way) >= limits.WINDOW or under_way >= self.allowed:
            return 0
        return min(room, self._share, limits.WINDOW_BYTES - under_way)

    @property
    def _share(self) -> int:
        """Of a second's bytes, in one packet."""
        if self._rate is None:
            return _FIRST_BYTES
        return max(limits.UP_CHUNK_BYTES, int(self._rate * _AHEAD_S / _PACKETS))

    def sent(self, size: int, now: float) -> None:
        """A packet was handed over."""
        self._under_way.append(_Packet(size, now, self._taken))

    def taken(self, now: float) -> None:
        """The broker has taken the oldest packet under way."""
        if not self._under_way:
            return
        packet = self._under_way.popleft()
        self._taken += packet.size
        # All that was taken while this packet was on its way: answers that come in one burst do not deceive.
        rate = (self._taken - packet.taken_before) / max(now - packet.handed_over, 1e-3)
        self._rate = rate if self._rate is None else (1 - _WEIGHT) * self._rate + _WEIGHT * rate

    def forget(self) -> None:
        """The connection broke, or the transfer is over. What is known of the link's rate stays."""
        self._under_way.clear()
