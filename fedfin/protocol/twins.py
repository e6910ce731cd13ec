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
    remind_at: dict[str, float] = field(default_factory=dict)  # by boot: each of the two is to hear of it
    newest: str = ""


class Twins:
    """Of all sites. Times: `now` monotonic, `clock` seconds since the epoch."""

    def __init__(self) -> None:
        self._sites: dict[str, _Starts] = {}

    def heard(self, site: str, boot: str, now: float, clock: float) -> tuple[float, float] | None:
        """A start of the site is online. Since when it and the other one are, if both run; for each once a minute."""
        starts = self._sites.setdefault(site, _Starts())
        before, starts.newest = starts.newest, boot
        again = boot in starts.since
        starts.since.setdefault(boot, clock)
        while len(starts.since) > _KEPT:
            oldest = next(iter(starts.since))
            del starts.since[oldest]
            starts.remind_at.pop(oldest, None)
        if not again or before == boot or before not in starts.since or now < starts.remind_at.get(boot, now):
            return None
        starts.remind_at[boot] = now + REMIND_S
        return starts.since[boot], starts.since[before]


def runs_twice(here: float, there: float) -> str:
    """For people, at either end. Times: seconds since the epoch."""
    one, other = (
        dt.datetime.fromtimestamp(t, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") for t in (here, there)
    )
    return f"runs twice: here since {one}, there since {other}; stop one of them"
