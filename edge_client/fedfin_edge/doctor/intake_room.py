"""Whether the intake would accept anything now, by what waits and by its disk."""

from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, fail, passed
from fedfin_edge.intake.spool import SPOOL, queue_of, refusal_of
from fedfin_edge.intake.watermarks import QUEUE_FULL
from fedfin_edge.site import Site

_PROBE = "intake's room"


def intake_room(site: Site) -> Iterator[Finding]:
    """One line; nothing for a site without [intake]."""
    settings = site.settings.intake
    if settings is None:
        return
    spool = site.intake_path / SPOOL
    says = f"{queue_of(spool).waiting:,} of {settings.most_queued:,} files wait"
    refusal = refusal_of(spool, most_queued=settings.most_queued, least_free_mb=settings.least_free_mb)
    if refusal == QUEUE_FULL:
        yield fail(
            _PROBE, f"{says}: senders are refused", "start `fedfin edge intake`, or see what its log says"
        )
    elif refusal:
        yield fail(
            _PROBE,
            f"fewer than {settings.least_free_mb:,} MB are free where {site.intake_path} is: senders are refused",
            "free space there, or lower intake.least_free_mb in site.toml",
        )
    else:
        yield passed(_PROBE, says)
