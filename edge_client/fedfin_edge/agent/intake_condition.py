"""How an intake fares: from its folder alone, whether or not it is at work; nothing in it is of a patient."""

import msgspec

from fedfin.lock import is_at_work
from fedfin_edge.agent.status import Problem, read_status
from fedfin_edge.intake.spool import SPOOL, queue_of, refusal_of
from fedfin_edge.site import Site


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """`started`: when its last life began, seconds since the epoch; None: it had none.

    `queued`: files that are safe and not encoded yet; `aside`: those that ended the process that read them.
    `refusing`: why senders are refused, as it is now, at work or not; "": there is room.
    `exit_code`: with which it ended; None: it is at work, was killed, or never started.
    """

    at_work: bool
    started: float | None
    queued: int
    aside: int
    refusing: str
    last_error: Problem | None
    exit_code: int | None


def condition(site: Site) -> Condition | None:
    """None: site.toml has no [intake]."""
    settings = site.settings.intake
    if settings is None:
        return None
    status = read_status(site.intake_path)
    spool = site.intake_path / SPOOL
    queue = queue_of(spool)
    return Condition(
        at_work=is_at_work(site.intake_path),
        started=status.started if status else None,
        queued=queue.waiting,
        aside=queue.aside,
        refusing=refusal_of(spool, most_queued=settings.most_queued, least_free_mb=settings.least_free_mb),
        last_error=status.last_error if status else None,
        exit_code=status.exit_code if status else None,
    )
