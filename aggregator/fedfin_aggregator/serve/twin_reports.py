"""Tells the operator, and both machines, of sites and shards that somebody has copied, and runs twice."""

import time
from collections.abc import Callable

from fedfin.protocol.messages.presence import Twin
from fedfin.protocol.shards.shard import is_shard
from fedfin.protocol.twins import Reminder, Twins, runs_twice
from fedfin.protocol.versions import TWINS
from fedfin_aggregator.serve.incoming import Report


class TwinReports:
    """Of all sites and shards.

    The operator hears of each once a minute. The two hear it at each turn: what they are told may get lost, and the
    later one of two that are a shard is to end soon.
    """

    def __init__(self, report: Report, tell: Callable[[str, Twin], None]) -> None:
        self._twins, self._reminder = Twins(), Reminder()
        self._report, self._tell = report, tell

    def heard(self, site: str, boot: str, revision: int) -> None:
        """This start of the site, which speaks this revision of the protocol, is online."""
        both = self._twins.heard(site, boot, time.time())
        if both is None:
            return
        if self._reminder.due(site, time.monotonic()):
            self._report("twins", {"site": site, "reason": runs_twice(*both)})
        if is_shard(site) or revision >= TWINS:  # shards announce none
            self._tell(site, Twin(boot=boot, here=both[0], there=both[1]))
