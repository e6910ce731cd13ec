"""Two machines with one site's identity: the starts that say by turns that they are here.

A start that was replaced by another one does not come back by itself, unless both run.
"""

import datetime as dt
from dataclasses import dataclass, field

REMIND_S = 60.0
_KEPT = 8  # starts of one site that are remembered: those before are over


@dataclass
class _Starts:
    since: dict[str, float] = field(default_factory=dict)  # by boot, oldest first
    newest: str = ""


class Twins:
    """Of all sites. `clock`: seconds since the epoch."""

    def __init__(self) -> None:
        self._sites: dict[str, _Starts] = {}

    def heard(self, site: str, boot: str, clock: float) -> tuple[float, float] | None:
        """A start of the site is online. Since when it and the other one are, if it takes turns with that."""
        starts = self._sites.setdefault(site, _Starts())
        before, starts.newest = starts.newest, boot
        again = boot in starts.since
        starts.since.setdefault(boot, clock)
        while len(starts.since) > _KEPT:
            del starts.since[next(iter(starts.since))]
        if not again or before == boot or before not in starts.since:
            return None
        return starts.since[boot], starts.since[before]


class Reminder:
    """What people are to read once a minute, however often it is heard."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}  # by name: not before, monotonic

    def due(self, name: str, now: float) -> bool:
        """Whether it is time again."""
        if now < self._at.get(name, now):
            return False
        self._at[name] = now + REMIND_S
        return True


def runs_twice(here: float, there: float) -> str:
    """For people, at either end. Times: seconds since the epoch."""
    one, other = (
        dt.datetime.fromtimestamp(t, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") for t in (here, there)
    )
    return f"runs twice: here since {one}, there since {other}; stop one of them"
