"""A C-ECHO (PS3.7 9.1.5): whether two DICOM applications know and answer each other."""

import ssl
import time

from fedfin.broker.check.finding import Finding, fail, not_reached, passed
from fedfin.files import why

SECONDS = 10.0
_SUCCESS = 0x0000


def echo(
    probe: str,
    host: str,
    port: int,
    *,
    calling: str,
    called: str,
    remedy: str,
    tls: ssl.SSLContext | None = None,
) -> Finding:
    """`calling`, `called`: AE titles, ours and theirs. Needs the extra `hospital`."""
    try:
        from pynetdicom import AE
        from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
    except ModuleNotFoundError:
        return not_reached(probe, "pynetdicom is not installed: pip install 'fedfin[hospital]'")
    where = f"{called} at {host}:{port}" + (" over TLS" if tls else "")
    started = time.monotonic()
    try:
        entity = AE(ae_title=calling)
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = SECONDS
        entity.add_requested_context(Verification)
        association = entity.associate(host, port, ae_title=called, tls_args=(tls, host) if tls else None)
    except (OSError, ValueError) as error:  # its name has no address, a title is none
        return fail(probe, f"{where} cannot be asked ({why(error)})", remedy)
    try:
        if association.is_rejected:
            return fail(
                probe, f"{where} does not take {calling}", f"have it know the AE title {calling}; {remedy}"
            )
        if not association.is_established:
            return fail(probe, f"{where} does not answer", remedy)
        status = association.send_c_echo().get("Status")
    finally:
        association.release() if association.is_established else association.abort()
    if status == _SUCCESS:
        return passed(probe, f"{where} answers {calling} in {(time.monotonic() - started) * 1000:.0f} ms")
    return _failed(probe, where, calling, status, remedy)


def _failed(probe: str, where: str, calling: str, status: int | None, remedy: str) -> Finding:
    """`status`: None where the association was aborted, as Orthanc meets those whom it does not know."""
    if status is None:
        known = f"have it know the AE title {calling}; {remedy}"
        return fail(probe, f"{where} takes {calling}, and breaks off at its C-ECHO", known)
    return fail(probe, f"{where} answers with status {status}", remedy)
