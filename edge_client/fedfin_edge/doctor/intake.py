"""Where studies and reports come from, as [intake] of site.toml names it: whether each source answers."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, fail, failed_by, not_reached, passed, warn
from fedfin.errors import FedfinError
from fedfin_edge.doctor.archive import known_archive
from fedfin_edge.doctor.bulk_export import bulk_export
from fedfin_edge.doctor.echo import echo
from fedfin_edge.doctor.labels import labels
from fedfin_edge.intake.folder_access import closed_below, is_open, may_remove
from fedfin_edge.intake_settings import DicomListener, Web
from fedfin_edge.site import Site

ANSWER_S = 10.0
HERE = "127.0.0.1"
_REFUSALS = frozenset({401, 403})
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
    for probe, web, below in (("archive (DICOMweb)", settings.dicomweb, "studies?limit=1"),
                              ("reports (FHIR)", settings.fhir, "metadata")):  # fmt: skip
        if web is not None:
            yield _answers(probe, web, site.folder, below)
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


def _answers(probe: str, web: Web, folder: Path, below: str) -> Finding:
    """Whether the server answers what the intake asks in the intake's own way: its user, CA and no proxy."""
    try:
        from fedfin_edge.intake.http_session import explained, open_session
    except ModuleNotFoundError:
        return not_reached(probe, "requests is not installed: pip install 'fedfin[hospital]'")
    started = time.monotonic()
    try:
        with explained(web.url), open_session(web, folder) as session:
            code = session.get(f"{web.url.rstrip('/')}/{below}", timeout=ANSWER_S).status_code
    except FedfinError as error:
        return failed_by(probe, error)
    says = f"HTTP {code} in {(time.monotonic() - started) * 1000:.0f} ms"
    return _judged(probe, code, says)


def _judged(probe: str, code: int, says: str) -> Finding:
    if code in _REFUSALS:
        return fail(probe, says, "check user, password or token in [intake], and their rights at the server")
    if code >= 500:  # noqa: PLR2004 - the server's own trouble
        return warn(probe, says, "ask its operator: it answers with an error of its own")
    if code >= 400:  # noqa: PLR2004 - there, but perhaps not what was meant
        return warn(probe, says, "look whether its URL in [intake] is right; else ask its operator")
    return passed(probe, says)


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
