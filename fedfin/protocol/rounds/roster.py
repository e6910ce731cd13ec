"""Who takes part, and who is worth waiting for.

A site that is expected and does not answer by a deadline is silent: it is not waited for again until it offers an
update as fast as a deadline asks, even if the others have closed the round meanwhile. That is proof that it can; a
hello is not, for a site that dies at work in every round says hello in every round. So a dead site costs one deadline
and never more, one that is too slow likewise, and both are welcome all the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fedfin import limits


@dataclass
class Member:
    """One site: whether it let a deadline pass, and since when it is known to be offline."""

    silent: bool = False
    offline_since: float | None = None


class Roster:
    """All sites that were welcomed or answered, in one run of a plan.

    `silent`: what an earlier life of the aggregator knew, by site; `strangers`: whether sites that nobody has
    heard of yet may be waited for, which ends with the first deadline that they miss.
    """

    def __init__(self, silent: Mapping[str, bool], *, strangers: bool) -> None:
        self._members = {site: Member(flag) for site, flag in silent.items()}
        self._declined: set[str] = set()  # known, and not waited for
        self.strangers = strangers

    def __len__(self) -> int:
        return len(self._members) + len(self._declined)

    @property
    def silent(self) -> dict[str, bool]:
        """Whether each site is silent: all that outlives a restart."""
        return {site: member.silent for site, member in sorted(self._members.items())}

    def welcome(self, site: str) -> None:
        """The site said hello and can follow the plan."""
        self._declined.discard(site)
        self._members.setdefault(site, Member()).offline_since = None

    def drop(self, site: str) -> None:
        """The site cannot follow the plan."""
        self._members.pop(site, None)

    def decline(self, site: str) -> None:
        """The site takes no part, and said so: it is no stranger that may still come."""
        self.drop(site)
        self._declined.add(site)

    def delivers(self, site: str) -> None:
        """The site has an update to send, within the time that a round has: it is worth waiting for."""
        self._declined.discard(site)
        self._members[site] = Member()

    def presence(self, site: str, now: float, *, online: bool) -> None:
        """The site's retained state or last will. Of a stranger it says nothing: it may not fit the plan."""
        if (member := self._members.get(site)) is None:
            return
        if online:
            member.offline_since = None
        elif member.offline_since is None:
            member.offline_since = now

    def miss(self, sites: Iterable[str]) -> None:
        """A deadline passed without an answer of these, nor a word from any stranger."""
        self.strangers = False
        for site in sites:
            self._members[site].silent = True

    def expected(self, now: float) -> Iterator[str]:
        """The sites worth waiting for: none that is silent, or offline for longer than a broken link takes."""
        for site, member in self._members.items():
            since = member.offline_since
            if not member.silent and (since is None or now - since < limits.OFFLINE_GRACE_S):
                yield site
