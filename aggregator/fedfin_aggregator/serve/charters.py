"""Charters while an aggregator serves: a new one is obeyed, and published for the sites."""

from collections.abc import Callable

from fedfin.protocol.messages.message import Message
from fedfin.protocol.rounds.events import Enrolled
from fedfin.trust.channel import AggregatorEnd, Change
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.serve.incoming import Report


class Charters:
    """`feed` tells the machine, `post` a site (name, channel, message); `publish` keeps a text at the broker."""

    def __init__(
        self,
        rounds: Rounds,
        channel: AggregatorEnd,
        report: Report,
        *,
        feed: Callable[[Enrolled], None],
        post: Callable[[str, str, Message], None],
        publish: Callable[[bytes], object],
    ) -> None:
        self._rounds, self._channel, self._report = rounds, channel, report
        self._feed, self._post, self._publish = feed, post, publish
        rounds.case_caps = channel.case_caps

    def publish(self) -> None:
        """The one that holds, if there is any."""
        if (text := self._channel.charter_text) is not None:
            self._publish(text)

    def refresh(self) -> None:
        """Obey a new one, if there is: removed sites hear it, the others get the new keys."""
        if (change := self._channel.refresh()) is None:
            return
        removed = ", ".join(change.removed)
        if not change.problem:
            self._obey(change)
        self._report("charter", {"number": change.number, "removed": removed, "reason": change.problem})

    def _obey(self, change: Change) -> None:
        self._rounds.case_caps = self._channel.case_caps
        reason = f"charter {change.number} does not list this site; ask the coordinator why"
        self._feed(Enrolled(self._channel.enrolled or frozenset(), reason))
        self.publish()
        if change.removed and (keys := self._channel.group_keys) is not None:
            for site in self._channel.case_caps:
                self._post(site, "dn/ctl", keys)
