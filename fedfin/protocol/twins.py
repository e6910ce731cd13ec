"""Two machines with one site's identity: the starts that say by turns that they are here.

A start that was replaced by another one does not come back by itself, unless both run.
"""

from dataclasses import dataclass, field

REMIND_S = 60.0
_KEPT = 8  # starts of one site that are remembered: those before are over


@dataclass
class _Starts:
    since: dict[str, float] = field(default_factory=dict)  # by boot, oldest first
    newest: str = ""
    remind_at: float = 0.0


class Twins:
    """Of all sites. Times: `now` monotonic, `clock` seconds since the epoch."""

    def __init__(self) -> None:
        self._sites: dict[str, _Starts] = {}

    def heard(self, site: str, boot: str, now: float, clock: float) -> tuple[float, float] | None:
        """A start of the site is online. Since when it and the other one are, if both run; told once a minute."""
        starts = self._sites.setdefault(site, _Starts())
        before, starts.newest = starts.newest, boot
        again = boot in starts.since
        starts.since.setdefault(boot, clock)
        while len(starts.since) > _KEPT:
            del starts.since[next(iter(starts.since))]
        if not again or before == boot or now < starts.remind_at or before not in starts.since:
            return None
        starts.remind_at = now + REMIND_S
        return starts.since[boot], starts.since[before]
