"""The way to the broker, and what it lets us do: the steps of `fedfin broker check`.

Each is asked if what it needs is well: a certificate that has ended is no reason not to look for the host.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedfin.broker.check import check as steps
from fedfin.broker.check.finding import Finding, failed_by, not_reached
from fedfin.broker.check.own_certificate import own_certificate
from fedfin.broker.check.site_folder import read_site_folder
from fedfin.broker.check.target import Target
from fedfin.broker.check.tls_probe import tls
from fedfin.errors import FedfinError, StateError
from fedfin.lock import only_process
from fedfin_edge.site import Site

AT_WORK = (
    "`fedfin edge run` is at work here, under this site's one name; `fedfin edge status` says how it fares"
)


@dataclass(frozen=True)
class _Step:
    """`parts`: the lines that people look for, whatever becomes of it."""

    name: str
    ask: steps.Step
    parts: tuple[str, ...]
    needs: tuple[str, ...] = ()


def broker(site: Site) -> Iterator[Finding]:
    """From our certificate to throughput; a step that needs a failed one is not reached, and says because of what."""
    try:
        target = read_site_folder(site.folder)
    except FedfinError as error:
        yield failed_by("connection", error)
        for part in ("tcp", "tls", "connect", "rights", "packet", "throughput"):
            yield not_reached(part, "connection failed")
        return
    failed: dict[str, str] = {}  # step -> the line that failed in it, or why it was not reached
    for step in _steps(target):
        blamed = next((failed[name] for name in step.needs if name in failed), None)
        if blamed is not None:
            failed[step.name] = blamed
            yield from (not_reached(part, blamed) for part in step.parts)
            continue
        found = []
        for finding in _asked(step, target, site.folder):
            found.append(finding)
            if finding.probe != "clock" or finding.failed:  # that it is well, another check says
                yield finding
        if (first := next((each.probe for each in found if each.failed), None)) is not None:
            failed[step.name] = f"{first} failed"
            yield from _rest(step, found, f"{first} failed")


def _rest(step: _Step, found: list[Finding], because: str) -> Iterator[Finding]:
    """The lines of a step that broke off."""
    for part in step.parts:
        if not any(each.probe.startswith(part) for each in found):
            yield not_reached(part, because)


def _steps(target: Target) -> tuple[_Step, ...]:
    path = ("proxy",) if target.way else ("dns", "tcp")
    return (
        _Step("own", own_certificate, ()),
        _Step("path", steps.path, path),
        _Step("tls", tls, ("tls",), needs=("own", "path")),
        _Step(
            "mqtt", steps.mqtt, ("connect", "rights", "packet", "throughput"), needs=("own", "path", "tls")
        ),
    )


def _asked(step: _Step, target: Target, folder: Path) -> Iterator[Finding]:
    """Sessions only while nothing else has this site's name: the broker would end the older connection."""
    with contextlib.ExitStack() as stack:
        if step.name == "mqtt":
            try:
                stack.enter_context(only_process(folder, "fedfin edge run"))
            except StateError:
                yield from (not_reached(part, AT_WORK) for part in step.parts)
                return
        yield from steps.guarded(step.ask, target)
