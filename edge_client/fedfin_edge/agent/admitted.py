"""The agent of a site that was admitted: it signs and seals, and writes down what it does."""

from collections.abc import Callable
from pathlib import Path

from fedfin.protocol.topics import Topics
from fedfin.trust.audit_log import AUDIT, AuditLog, audited
from fedfin.trust.site_channel import SiteChannel
from fedfin_edge.agent.agent import Agent
from fedfin_edge.agent.update import Report
from fedfin_edge.site import Site
from fedfin_edge.tasks.task_process import TaskProcess

# Events in the audit log, and whether they are on the disk before anything else happens. What is sent is in the outbox
# before, durably: if its line is lost, it is sent, and written down, once more.
AUDITED = {
    "joined": True,
    "sending": False,
    "received": False,
    "charter": True,
    "dropped": True,
    "finished": True,
    "bad-message": False,
}


def admitted_agent(
    site: Site,
    report: Report,
    *,
    keep_deltas: Path | None = None,
    again: bool = False,
    tasks: TaskProcess | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Agent:
    """As Agent. Raises StateError, SettingsError, EvictedError when the site is not admitted, or not any more."""
    channel = SiteChannel(site.trust_path, site.settings.site, Topics(site.settings.federation))
    log = AuditLog(site.trust_path / AUDIT)
    log.add("start", {"site": site.settings.site, "charter": channel.charter.number})
    return Agent(
        site,
        audited(report, log, AUDITED),
        channel=channel,
        keep_deltas=keep_deltas,
        again=again,
        tasks=tasks,
        beat=beat,
    )
