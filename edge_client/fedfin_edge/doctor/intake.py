"""Where studies and reports come from, as [intake] of site.toml names it: whether each source answers."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, fail, not_reached, passed
from fedfin_edge.doctor.archive import known_archive
from fedfin_edge.doctor.bulk_export import bulk_export
from fedfin_edge.doctor.echo import echo
from fedfin_edge.doctor.labels import labels
from fedfin_edge.doctor.web_sources import ANSWER_S, archive_by_web, reports_by_search
from fedfin_edge.intake.folder_access import closed_below, is_open, may_remove
from fedfin_edge.intake_settings import DicomListener
from fedfin_edge.site import Site

HERE = "127.0.0.1"
_START = "start `fedfin edge intake`, or see what its log says"


def intake(site: Site) -> Iterator[Finding]:
    """One line for each source; a site that has a table of its own has none."""
    settings = site.settings.intake
    if settings is None:
        yield not_reached("intake", "site.toml has no [intake]: cases come from the table")
        return
    if settings.dicom is not None:
        yield _dicom(settings.dicom, site.folder)
    if settings.archive is not None:
        yield known_archive(settings.archive, settings, site.folder)
    if settings.hl7 is not None:
        yield _listens("reports (HL7)", settings.hl7.address or HERE, settings.hl7.port)
    if settings.dicomweb is not None:
        yield archive_by_web(settings.dicomweb, site.folder)
    if settings.fhir is not None:
        yield reports_by_search(settings.fhir, settings.resources.labels, site.folder)
    if settings.fhir_export is not None:
        yield bulk_export(site, settings.fhir_export)
    if settings.folder is not None:
        yield _folder(site.folder / settings.folder.path, remove=settings.folder.remove)
    if settings.labels is not None:
        yield labels(site, settings.labels)


def _dicom(listener: DicomListener, folder: Path) -> Finding:
    """The way in, as an archive would come: by the name of one that may send."""
    probe, where = "archive sends here", listener.address or HERE
    if listener.ca is not None:  # it answers those whose certificate is of that CA, and ours need not be
        return _listens(f"{probe} (TLS)", where, listener.port)
    try:
        tls = _itself(listener, folder)
    except OSError:
        return not_reached(probe, "[intake] failed")
    calling = listener.callers[0] if listener.callers else "FEDFIN-DOCTOR"
    return echo(
        probe, where, listener.port, calling=calling, called=listener.ae_title, remedy=_START, tls=tls
    )


def _itself(listener: DicomListener, folder: Path) -> ssl.SSLContext | None:
    """Trusts the very certificate that site.toml names, whatever host it is for. Raises OSError."""
    if listener.certificate is None:
        return None
    context = ssl.create_default_context(cafile=folder / listener.certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _listens(probe: str, host: str, port: int) -> Finding:
    try:
        with socket.create_connection((host, port), ANSWER_S):
            return passed(probe, f"port {port} takes connections")
    except OSError as error:
        return fail(probe, f"port {port} does not take connections ({error.strerror or 'no answer'})", _START)


def _folder(path: Path, *, remove: bool) -> Finding:
    probe = "watched folder"
    if not is_open(path):
        remedy = "make it, let the user that the intake runs as read it, or correct [intake.folder]"
        return fail(probe, f"{path}: is not a folder that can be read", remedy)
    if remove and not may_remove(path):
        remedy = "let the user that the intake runs as write there, or set intake.folder.remove = false"
        return fail(probe, f"{path}: nothing may be removed from it", remedy)
    if closed := closed_below(path):
        remedy = "let the user that the intake runs as read them"
        return fail(probe, f"{path}: {closed} folders in it cannot be read", remedy)
    return passed(probe, str(path))
