"""Whether the archive (PACS) knows this site and answers it: the way out, beside the intake's way in."""

import ssl
from pathlib import Path

import msgspec

from fedfin.broker.check.finding import Finding, fail, failed_by
from fedfin.errors import SettingsError
from fedfin.files import why
from fedfin.settings import explain
from fedfin_edge.doctor.echo import echo
from fedfin_edge.intake.server_tls import load_own
from fedfin_edge.intake_settings import AeTitle, Archive, DicomListener, IntakeSettings

_PROBE = "archive answers"
_REMEDY = "correct AE title, host and port, or ask its operator to let this machine in"


def archive_at(place: str) -> Archive:
    """Of the option --pacs. Raises SettingsError for what is not AE@HOST:PORT."""
    title, _, where = place.partition("@")
    host, _, port = where.rpartition(":")
    try:
        return msgspec.convert({"ae_title": title, "host": host, "port": port}, Archive, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"--pacs {place}: {explain(str(error), Archive)}; write AE@HOST:PORT, as in ARCHIVE@pacs.example:104"
        ) from None


def our_title(text: str) -> str:
    """Of the option --calling. Raises SettingsError."""
    try:
        return msgspec.convert(text, AeTitle)
    except msgspec.ValidationError as error:
        raise SettingsError(f"--calling {text}: {explain(str(error), str)}") from None


def archive(place: Archive, *, calling: str, tls: ssl.SSLContext | None = None) -> Finding:
    """`calling`: our AE title there."""
    host = place.host.strip("[]")
    return echo(_PROBE, host, place.port, calling=calling, called=place.ae_title, remedy=_REMEDY, tls=tls)


def known_archive(place: Archive, settings: IntakeSettings, folder: Path) -> Finding:
    """Of [intake.archive], by the title that the intake has. Paths start at `folder`."""
    listener = settings.dicom or DicomListener(port=place.port)
    try:
        tls = _context(place, listener, folder)
    except SettingsError as error:
        return failed_by(_PROBE, error)
    except OSError as error:
        return fail(
            _PROBE, f"cannot use {folder / (place.ca or '')} ({why(error)})", "correct intake.archive.ca"
        )
    return archive(place, calling=listener.ae_title, tls=tls)


def _context(place: Archive, listener: DicomListener, folder: Path) -> ssl.SSLContext | None:
    """Trusts its CA alone, and shows our certificate where the listener has one."""
    if place.ca is None:
        return None
    context = ssl.create_default_context(cafile=folder / place.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_own(context, listener, folder)
    return context
