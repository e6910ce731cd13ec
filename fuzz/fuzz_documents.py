"""Files that people mail to each other, and the audit log: taken, or a reason."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from fedfin.trust.admission import read_admission
from fedfin.trust.audit_log import AuditLog, read_audit
from fedfin.trust.certificate_requests import read_requests
from fedfin.trust.charter import read_charter
from fedfin.trust.request import read_request
from fuzz.scratch import REFUSED, scratch_file

READERS: tuple[Callable[[Path], object], ...] = (
    read_request,
    read_admission,
    lambda path: read_charter(path.read_text(encoding="utf-8", errors="replace"), str(path)),
    lambda path: list(read_audit(path)),
    AuditLog,
)


def fuzz(data: bytes) -> None:
    """By every reader."""
    path = scratch_file("document", data)
    for read in READERS:
        with contextlib.suppress(REFUSED):
            read(path)
    folder = path.parent / "requests"
    folder.mkdir(exist_ok=True)
    (folder / "request").write_bytes(data)
    with contextlib.suppress(REFUSED):
        read_requests(folder)
