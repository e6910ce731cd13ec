"""All checks in the order in which one needs another. What needs a failed one is not asked, nor blamed."""

from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, failed_by, not_reached, passed
from fedfin.errors import (
    BundleError,
    FedfinError,
    InputError,
    LinkError,
    MissingExtraError,
    SettingsError,
    StateError,
)
from fedfin_edge.doctor.broker import broker
from fedfin_edge.doctor.cases import cases
from fedfin_edge.doctor.check import Check, MachineCheck
from fedfin_edge.doctor.clock import clock
from fedfin_edge.doctor.disk import disk
from fedfin_edge.doctor.identity import identity
from fedfin_edge.doctor.intake import intake
from fedfin_edge.doctor.intake_room import intake_room
from fedfin_edge.doctor.intake_section import intake_section
from fedfin_edge.doctor.jetson import jetson
from fedfin_edge.doctor.memory import memory
from fedfin_edge.doctor.plan import plan
from fedfin_edge.doctor.processors import processors
from fedfin_edge.doctor.secrets import secrets
from fedfin_edge.doctor.versions import intake_versions, versions
from fedfin_edge.site import SETTINGS, Site, open_site

MACHINE = (
    MachineCheck("versions", versions, MissingExtraError.exit_code),
    MachineCheck("clock", clock, FedfinError.exit_code),
    MachineCheck("disk", disk, FedfinError.exit_code),
    MachineCheck("memory", memory, FedfinError.exit_code),
    MachineCheck("processors", processors, FedfinError.exit_code),
    MachineCheck("jetson", jetson, FedfinError.exit_code),
)


def _encoders(site: Site) -> Iterator[Finding]:
    """Its module loads onnxruntime, which may be what is lacking."""
    from fedfin_edge.doctor.encoders import encoders

    yield from encoders(site)


SITE = (
    Check("secrets", secrets, SettingsError.exit_code),
    Check("encoders", _encoders, BundleError.exit_code, needs=("versions",)),
    Check("cases", cases, InputError.exit_code, needs=("disk",)),
    Check("intake's versions", intake_versions, MissingExtraError.exit_code),
    Check("[intake]", intake_section, SettingsError.exit_code),
    Check("intake's room", intake_room, FedfinError.exit_code),
    Check("intake", intake, InputError.exit_code, needs=("intake's versions",)),
    Check("keys", identity, StateError.exit_code),
    Check("broker", broker, LinkError.exit_code),
    Check("plan", plan, SettingsError.exit_code, needs=("encoders",)),
)
Found = tuple[Finding, int]  # with the exit code of the command, if it is the first to fail


def examine(folder: Path) -> Iterator[Found]:
    """Each finding as soon as it is known."""
    failed: set[str] = set()
    for check in MACHINE:
        for finding in check.ask(folder):
            if finding.failed:
                failed.add(check.name)
            yield finding, check.exit_code
    try:
        site = open_site(folder)
    except SettingsError as error:
        yield failed_by(SETTINGS, error), error.exit_code
        for each in SITE:
            yield not_reached(each.name, f"{SETTINGS} failed"), each.exit_code
        return
    yield passed(SETTINGS, f"{site.settings.site} of {site.settings.federation}"), 0
    for each in SITE:
        for finding in _asked(each, site, failed):
            if finding.failed:
                failed.add(each.name)
            yield finding, each.exit_code


def _asked(check: Check, site: Site, failed: set[str]) -> Iterator[Finding]:
    if (blamed := next((name for name in check.needs if name in failed), None)) is not None:
        yield not_reached(check.name, f"{blamed} failed")
        return
    try:
        yield from check.ask(site)
    except FedfinError as error:
        yield failed_by(check.name, error)
