"""Tells the operator of sites that somebody has copied, and runs twice."""

import datetime as dt
import time

from fedfin.protocol.twins import Twins
from fedfin_aggregator.serve.incoming import Report


class TwinReports:
    """Of all sites; of each once a minute."""

    def __init__(self, report: Report) -> None:
        self._twins, self._report = Twins(), report

    def heard(self, site: str, boot: str) -> None:
        """This start of the site is online."""
        both = self._twins.heard(site, boot, time.monotonic(), time.time())
        if both is not None:
            here, there = (
                dt.datetime.fromtimestamp(t, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") for t in both
            )
            reason = f"runs twice: here since {here}, there since {there}; stop one of them"
            self._report("twins", {"site": site, "reason": reason})
