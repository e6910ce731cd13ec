"""Where studies and reports come from, as [intake] of site.toml names it: whether each source answers."""

import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, fail, not_reached, passed, warn
from fedfin_edge.doctor.bulk_export import bulk_export
from fedfin_edge.doctor.echo import echo
from fedfin_edge.doctor.labels import labels
from fedfin_edge.intake_settings import DicomListener
from fedfin_edge.site import Site

ANSWER_S = 10.0
HERE = "127.0.0.1"
_START = "start `fedfin edge intake`, or see what its log says"


def intake(site: Site) -> Iterator[Finding]:
    """One line for each source; a site that has a table of its own has none."""
    settings = site.settings.intake
    if settings is None:
        yield not_reached("intake", "site.toml has no [intake]: cases come from the table")
        return
    if settings.dicom is not None:
        yield _dicom(settings.dicom)
    if settings.hl7 is not None:
        yield _listens("reports (HL7)", settings.hl7.address or HERE, settings.hl7.port)
    for probe, web, below in (("archive (DICOMweb)", settings.dicomweb, "studies?limit=1"),
                              ("reports (FHIR)", settings.fhir, "metadata")):  # fmt: skip
        if web is not None:
            ca = None if web.ca is None else site.folder / web.ca
            yield _answers(probe, f"{web.url.rstrip('/')}/{below}", ca)
    if settings.fhir_export is not None:
        yield bulk_export(site, settings.fhir_export)
    if settings.folder is not None:
        yield _folder(site.folder / settings.folder.path)
    if settings.labels is not None:
        yield labels(site, settings.labels)


def _dicom(listener: DicomListener) -> Finding:
    """The way in, as an archive would come: by the name of one that may send."""
    if listener.certificate is not None:
        return _listens("archive sends here (TLS)", listener.address or HERE, listener.port)
    calling = listener.callers[0] if listener.callers else "FEDFIN-DOCTOR"
    where = listener.address or HERE
    return echo(
        "archive sends here", where, listener.port, calling=calling, called=listener.ae_title, remedy=_START
    )


def _listens(probe: str, host: str, port: int) -> Finding:
    try:
        with socket.create_connection((host, port), ANSWER_S):
            return passed(probe, f"port {port} takes connections")
    except OSError as error:
        return fail(probe, f"port {port} does not take connections ({error.strerror or 'no answer'})", _START)


def _answers(probe: str, url: str, ca: Path | None) -> Finding:
    """Whether there is a server; what it may show us, `intake --dry-run` tries with our password."""
    started = time.monotonic()
    try:
        context = ssl.create_default_context(cafile=ca)
        with urllib.request.urlopen(url, timeout=ANSWER_S, context=context) as answer:  # noqa: S310 - http(s)
            code = answer.status
    except urllib.error.HTTPError as error:
        code = error.code
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return fail(probe, f"no answer ({reason})", "correct its URL in [intake], or ask its operator")
    says = f"HTTP {code} in {(time.monotonic() - started) * 1000:.0f} ms"
    if code >= 500:  # noqa: PLR2004 - the server's own trouble
        return warn(probe, says, "ask its operator: it answers with an error of its own")
    return passed(probe, says)


def _folder(path: Path) -> Finding:
    if path.is_dir():
        return passed("watched folder", str(path))
    return fail("watched folder", f"{path}: there is no such folder", "make it, or correct [intake.folder]")
