"""Whose turn it is to send: what keeps an aggregator's memory flat however many sites have an update at once.

At most `limits.SENDERS` sites send at a time; the others stand in line, first come, first served, and simply get
their answer later. A sender that falls silent yields its place when others wait, and stands in line again when it
asks; what it had sent is kept. So a site that died in its upload holds up nobody for longer than SILENCE_S.
"""

from fedfin import limits


class Admission:
    """The line. Times in seconds, monotonic."""

    def __init__(self, senders: int = limits.SENDERS) -> None:
        self._senders = senders
        self._heard: dict[str, float] = {}  # the sites whose turn it is, and when each was last heard of
        self._line: dict[str, None] = {}  # the others, in order of arrival

    def ask(self, site: str, now: float) -> bool:
        """Whether the site may send now; if not, it stands in line, where asking again changes nothing."""
        if site not in self._heard and (self._line or len(self._heard) >= self._senders):
            self._line.setdefault(site)
            return False
        self._heard[site] = now
        return True

    def heard(self, site: str, now: float) -> None:
        """A chunk of the site came."""
        if site in self._heard:
            self._heard[site] = now

    def leave(self, site: str) -> None:
        """The site has nothing to send any more, or is gone."""
        self._heard.pop(site, None)
        self._line.pop(site, None)

    def next(self, now: float) -> list[str]:
        """The sites whose turn has come, which have waited for an answer."""
        if self._line and len(self._heard) >= self._senders:
            self._heard = {site: at for site, at in self._heard.items() if now - at < limits.SILENCE_S}
        called = list(self._line)[: max(0, self._senders - len(self._heard))]
        for site in called:
            del self._line[site]
            self._heard[site] = now
        return called
