"""Reports of what others cause: some a minute, then only how many there were, so that nobody fills a log."""

import time
from collections.abc import Callable
from typing import Any

from fedfin.protocol.rounds.gate import Bucket

Report = Callable[[str, dict[str, Any]], None]
REPORTS = 20, 20  # at once, and a minute from then on


def throttled(report: Report, event: str) -> Report:
    """A reporter that passes on all but too many of this event; the next one says in its reason how many were not."""
    bucket, dropped = Bucket(*REPORTS, time.monotonic()), 0

    def report_some(name: str, facts: dict[str, Any]) -> None:
        nonlocal dropped
        if name != event:
            report(name, facts)
        elif bucket.take(time.monotonic()):
            more = f" (and {dropped} more since)" if dropped else ""
            dropped = 0
            report(name, facts | {"reason": f"{facts['reason']}{more}"})
        else:
            dropped += 1

    return report_some
