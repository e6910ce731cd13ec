"""Whose turn it is to send: what keeps an aggregator's memory flat however many sites have an update at once.

At most `limits.SENDERS` sites send at a time; the others stand in line, first come, first served, and simply get
their answer later. A sender that falls silent, or sends next to nothing, yields its place when others wait, and stands
in line again when it asks; what it had sent is kept. So a site that died in its upload holds up nobody for longer than
SILENCE_S, and neither does one that only asks, again and again.
"""

from dataclasses import dataclass

from fedfin import limits


@dataclass
class Turn:
    """Of a site that may send: what came of it, in bytes, and since when that is counted."""

    since: float
    size: int = 0

    def is_idle(self, now: float) -> bool:
        """Whether too little came in SILENCE_S; if enough, counting begins anew."""
        if now - self.since < limits.SILENCE_S:
            return False
        idle = self.size < limits.LEAST_BYTES
        if not idle:
            self.since, self.size = now, 0
        return idle


class Admission:
    """The line. Times in seconds, monotonic."""

    def __init__(self, senders: int = limits.SENDERS) -> None:
        self._senders = senders
        self._turns: dict[str, Turn] = {}  # the sites whose turn it is
        self._line: dict[str, None] = {}  # the others, in order of arrival

    def ask(self, site: str, now: float) -> bool:
        """Whether the site may send now; if not, it stands in line, where asking again changes nothing."""
        if site in self._turns:
            return True
        if self._line or len(self._turns) >= self._senders:
            self._line.setdefault(site)
            return False
        self._turns[site] = Turn(now)
        return True

    def came(self, site: str, size: int) -> None:
        """So many bytes of the site came, which were not here yet."""
        if site in self._turns:
            self._turns[site].size += size

    def leave(self, site: str) -> None:
        """The site has nothing to send any more, or is gone."""
        self._turns.pop(site, None)
        self._line.pop(site, None)

    def next(self, now: float) -> list[str]:
        """The sites whose turn has come, which have waited for an answer."""
        if self._line and len(self._turns) >= self._senders:
            self._turns = {site: turn for site, turn in self._turns.items() if not turn.is_idle(now)}
        called = list(self._line)[: max(0, self._senders - len(self._turns))]
        for site in called:
            del self._line[site]
            self._turns[site] = Turn(now)
        return called
