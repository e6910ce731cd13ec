"""Who may cost the aggregator anything, and how much: a place for each name, and a quota for each kind of message.

Without a roster anyone may call itself anything. So only so many names hold a place, and one that never gave an
update yields it, when it has been quiet for long and another comes. With a roster (`enrolled`) no other name gets one,
and nobody can take that of another. What a name without a place says leaves nothing behind.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fedfin import limits
from fedfin.protocol.messages.joining import Decline, Hello
from fedfin.protocol.messages.manifest import Want
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.transfers import Begin

# Messages at once, and messages a minute from then on.
_QUOTAS: dict[type, tuple[int, int]] = {
    Hello: limits.HELLOS,
    Decline: limits.HELLOS,
    Begin: limits.BEGINS,
    Want: limits.WANTS,
    SiteState: limits.STATES,
}
MINUTE_S = 60.0
_NAMED = 5  # of those whose messages were dropped


class Bucket:
    """Tokens that come back with time: a message takes one."""

    def __init__(self, most: int, per_minute: int, now: float) -> None:
        self._most, self._per_minute, self._left, self._at = most, per_minute, float(most), now

    def take(self, now: float) -> bool:
        """Whether there was one."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_minute / MINUTE_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass
class Place:
    """What is kept of a name: when it was heard of, whether an update of it was accepted, and its quotas."""

    heard: float
    proven: bool = False
    buckets: dict[type, Bucket] = field(default_factory=dict)

    def takes(self, kind: type, now: float) -> bool:
        """Whether a message of this kind is within its quota; kinds without a quota always are."""
        if kind not in _QUOTAS:
            return True
        if kind not in self.buckets:
            self.buckets[kind] = Bucket(*_QUOTAS[kind], now)
        return self.buckets[kind].take(now)


class Gate:
    """`sites`: how many the plan wants; `enrolled`: the only names that may take part, None: any. Times: monotonic."""

    def __init__(self, *, sites: int, enrolled: frozenset[str] | None = None) -> None:
        self._enrolled = enrolled
        self.most = limits.NAMES + limits.NAMES_PER_SITE * sites
        self._places: dict[str, Place] = {}
        self._strangers: dict[type, Bucket] = {}
        self._dropped: Counter[str] = Counter()  # messages, by name; names that had a place only
        self._nameless = 0  # messages of others that were dropped
        self._reported = 0.0

    def enroll(self, sites: frozenset[str]) -> list[str]:
        """From now on these alone may take part; who held a place and may not any more."""
        self._enrolled = sites
        gone = sorted(self._places.keys() - sites)
        for site in gone:
            del self._places[site]
        return gone

    @property
    def unheard(self) -> set[str]:
        """Enrolled, and not heard of yet."""
        return set(self._enrolled or ()) - self._places.keys()

    @property
    def names(self) -> frozenset[str]:
        """Who holds a place."""
        return frozenset(self._places)

    def may(self, site: str) -> bool:
        """Whether the name may ever take part."""
        return self._enrolled is None or site in self._enrolled

    def know(self, sites: Iterable[str], now: float) -> None:
        """Sites of an earlier life, or whose update was accepted: they keep their place."""
        for site in sites:
            self._places.setdefault(site, Place(now)).proven = True

    def knows(self, site: str) -> bool:
        """Whether it holds a place."""
        return site in self._places

    def passes(self, site: str, message: Message, now: float) -> bool:
        """Whether this message is to be heeded: it is within its sender's quota, or that of all strangers together."""
        kind = type(message)
        if (place := self._places.get(site)) is not None:
            place.heard = now
            if place.takes(kind, now):
                return True
            self._dropped[site] += 1
            return False
        if not self.may(site) or not self._bucket(kind, now).take(now):
            self._nameless += 1
            return False
        return True

    def admits(self, site: str, now: float) -> bool:
        """Whether the name has a place, or gets one."""
        if site in self._places:
            return True
        if self._enrolled is not None:
            free = site in self._enrolled
        else:
            free = len(self._places) < self.most or self._make_room(now)
        if free:
            self._places[site] = Place(now)
        else:
            self._nameless += 1
        return free

    def leave(self, site: str) -> None:
        """It cannot take part; what it may ask is still counted while its place is wanted by nobody."""
        if (place := self._places.get(site)) is not None:
            place.proven, place.heard = False, -limits.FORGET_S

    def dropped(self, now: float) -> tuple[int, str] | None:
        """Once a minute, if any were: how many messages were dropped, and names that sent most of them."""
        if now - self._reported < MINUTE_S or not (self._dropped or self._nameless):
            return None
        count, worst = self._dropped.total() + self._nameless, self._dropped.most_common(_NAMED)
        self._dropped.clear()
        self._nameless, self._reported = 0, now
        return count, ", ".join(name for name, _ in worst) or "names without a place"

    def _bucket(self, kind: type, now: float) -> Bucket:
        if kind not in self._strangers:
            self._strangers[kind] = Bucket(self.most, self.most, now)
        return self._strangers[kind]

    def _make_room(self, now: float) -> bool:
        """A name that never gave anything yields its place when it has been quiet for long."""
        quiet = [n for n, p in self._places.items() if not p.proven and now - p.heard >= limits.FORGET_S]
        if quiet:
            del self._places[min(quiet, key=lambda name: self._places[name].heard)]
        return bool(quiet)
