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


_SESSION = ("connect", "rights", "packet", "throughput")
_WITHOUT_A_TARGET = ("tcp", "tls", *_SESSION)


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
        yield from (not_reached(part, "connection failed") for part in _WITHOUT_A_TARGET)
        return
    walk = _Walk(target, site.folder)
    for step in _steps(target):
        yield from walk.take(step)


class _Walk:
    """Step by step. `_failed`: what was the first line to fail in a step, or in one that it needs."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target, self._folder = target, folder
        self._failed: dict[str, str] = {}

    def take(self, step: _Step) -> Iterator[Finding]:
        """What it finds, or that it was not reached."""
        blamed = next((self._failed[name] for name in step.needs if name in self._failed), None)
        if blamed is not None:
            self._failed[step.name] = blamed
            yield from (not_reached(part, blamed) for part in step.parts)
            return
        found = []
        for finding in _asked(step, self._target, self._folder):
            found.append(finding)
            if finding.probe != "clock" or finding.failed:  # that it is well, another check says
                yield finding
        yield from self._rest(step, found)

    def _rest(self, step: _Step, found: list[Finding]) -> Iterator[Finding]:
        """The lines of a step that broke off."""
        first = next((each.probe for each in found if each.failed), None)
        if first is None:
            return
        self._failed[step.name] = because = f"{first} failed"
        for part in step.parts:
            if not any(each.probe.startswith(part) for each in found):
                yield not_reached(part, because)


def _steps(target: Target) -> tuple[_Step, ...]:
    path = ("proxy",) if target.way else ("dns", "tcp")
    return (
        _Step("own", own_certificate, ()),
        _Step("path", steps.path, path),
        _Step("tls", tls, ("tls",), needs=("own", "path")),
        _Step("mqtt", steps.mqtt, _SESSION, needs=("own", "path", "tls")),
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
