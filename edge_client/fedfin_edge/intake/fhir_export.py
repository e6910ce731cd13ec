"""A FHIR R4 server by Bulk Data Access: all that changed since the last export, as files of resources.

The cursor is the server's time of the last export, moved once all of it is safe; where an export is under way is kept
beside it. So what ends this in between loses nothing: the same export is read again, and what was taken is known. What
reports refer to is in the export too, but for what did not change since: that is read from the server by itself.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from fedfin_edge.intake.bulk_server import BulkServer, ExportOverError
from fedfin_edge.intake.fhir_reader import FhirReader
from fedfin_edge.intake.fhir_resources import (
    UNREADABLE,
    Bundle,
    ExportFile,
    Manifest,
    OperationOutcome,
    Referring,
    Resource,
)
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.http_session import explained
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.reception import Reception
from fedfin_edge.intake_settings import FhirExport as Settings

# Patients and orders, in 130 MB; beyond, each is read by itself when a report refers to it.
MOST_KNOWN = 100_000
_Kind = TypeVar("_Kind", Bundle, OperationOutcome, Referring, Resource)
_DONE = "done "
_FAILURES = frozenset({"error", "fatal"})
_REFERRED = ("Patient", "ServiceRequest")
_REFERENCE = re.compile(r"(?:Patient|ServiceRequest|DiagnosticReport)/[A-Za-z0-9\-.]{1,64}")


class FhirExport:
    """The server of [intake.fhir_export]."""

    def __init__(
        self,
        settings: Settings,
        site: Path,
        folder: IntakeFolder,
        reader: FhirReader,
        reception: Reception,
        store: IntakeStore,
    ) -> None:
        self._server = BulkServer(settings, site)
        self._reader = reader
        self._reception = reception
        self._store = store
        self._identity = folder.identity
        self._codes: dict[str, set[str]] = {}
        for label in folder.settings.resources.labels:
            self._codes.setdefault(label.resource, set()).add(label.code)
        self._wanted = [*(["DiagnosticReport"] if settings.reports else []), *sorted(self._codes)]
        # The accession number of a condition may be that of a report among its evidence.
        self._referred = [*_REFERRED, *(["DiagnosticReport"] if "Condition" in self._codes else [])]
        self._query = {"_type": ",".join(dict.fromkeys([*self._referred, *self._wanted]))}
        if settings.type_filter:
            self._query["_typeFilter"] = ",".join(self._filters())
        self._cursor = f"fhir-export {self._server.base}{self._server.operation} {','.join(self._wanted)}"
        self._status = f"{self._cursor} status"
        self._known: dict[str, Resource] = {}

    def _filters(self) -> Iterator[str]:
        """Any of these: a comma would be one between filters."""
        for kind, codes in sorted(self._codes.items()):
            yield from (f"{kind}?code={quote(code, safe=':/|')}" for code in sorted(codes))

    def poll(self) -> int:
        """How many resources said something new. Raises LinkError, FullError, StateError."""
        if not self._wanted:
            return 0
        with explained(self._server.base):
            self._drop_done()
            status = self._store.progress.cursor(self._status) or self._kick_off()
            try:
                taken = self._take(self._server.wait(status))
            except ExportOverError:
                self._store.progress.set_cursor(self._status, "")
                raise
            self._store.progress.set_cursor(self._status, _DONE + status)
            self._drop_done()
        return taken

    def _drop_done(self) -> None:
        """Let the server drop what is safe here, now or after whatever ended the poll that had just read it."""
        status = self._store.progress.cursor(self._status)
        if status.startswith(_DONE):
            self._server.delete(status.removeprefix(_DONE))
            self._store.progress.set_cursor(self._status, "")

    def _kick_off(self) -> str:
        since = self._store.progress.cursor(self._cursor)
        status = self._server.kick_off(self._query | ({"_since": since} if since else {}))
        self._store.progress.set_cursor(self._status, status)
        return status

    def _take(self, manifest: Manifest) -> int:
        """All of it, and then the cursor: what changed until there the next export need not have."""
        self._known.clear()  # of an export that failed half-way
        taken = 0
        for file in manifest.deleted:
            self._take_deletions(manifest, self._lines(manifest, file))
        for kind in self._query["_type"].split(","):
            for file in (each for each in manifest.output if each.type == kind):
                taken += sum(self._take_line(kind, line) for line in self._lines(manifest, file))
        for file in manifest.error:
            self._count_errors(manifest, self._lines(manifest, file))
        self._known.clear()
        self._store.progress.set_cursor(self._cursor, manifest.transaction_time.isoformat())
        return taken

    def _lines(self, manifest: Manifest, file: ExportFile) -> Iterator[bytes]:
        return self._server.lines(file, with_token=manifest.requires_access_token)

    def _take_deletions(self, manifest: Manifest, lines: Iterable[bytes]) -> None:
        """Bundles of what is to be deleted; of labels a deletion says nothing that could be kept."""
        for line in lines:
            bundle = _decoded(line, Bundle)
            if not bundle.entry:
                self._leave_out(manifest, line, "export: a deletion is not readable")
            for entry in bundle.entry:
                reference = "/".join(entry.request.url.split("/")[-2:])
                if entry.request.method == "DELETE" and reference.startswith("DiagnosticReport/"):
                    self._reader.take_deletion(reference)

    def _take_line(self, kind: str, line: bytes) -> bool:
        """Whether it said something new."""
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()  # before a line, since a line needs all that it refers to
        if kind in self._referred:
            referred = _decoded(line, Resource)
            self._known[f"{kind}/{referred.id}"] = referred
        mark = self._identity.hash("file", line.strip())
        if kind not in self._wanted or self._store.progress.was_seen(mark):
            return False
        resource = _decoded(line, Referring)
        if resource.id and kind in self._codes and self._codes[kind].isdisjoint(_codes(resource)):
            return False  # it says nothing that was asked for, and there may be millions
        self._read_referred(kind, resource)
        (owner,) = self._reader.take([line], self._known)
        self._store.progress.mark_seen(mark, owner)
        return owner is not None

    def _read_referred(self, kind: str, resource: Referring) -> None:
        """What this refers to and the export does not have, since it did not change."""
        references = [*resource.based_on, *(each for of in resource.evidence for each in of.detail)]
        references += [resource.subject] if kind == "DiagnosticReport" else []
        for each in references:
            if _REFERENCE.fullmatch(each.reference) and each.reference not in self._known:
                self._known[each.reference] = self._server.read(each.reference)

    def _count_errors(self, manifest: Manifest, lines: Iterable[bytes]) -> None:
        """What the server could not export."""
        for line in lines:
            if any(issue.severity in _FAILURES for issue in _decoded(line, OperationOutcome).issue):
                self._leave_out(manifest, line, "export: the server could not export something")

    def _leave_out(self, manifest: Manifest, line: bytes, reason: str) -> None:
        """Count it, once for each export."""
        mark = self._identity.hash("file", f"{manifest.transaction_time.isoformat()}\n".encode() + line)
        if not self._store.progress.was_seen(mark):
            self._reception.leave_out(reason)
            self._store.progress.mark_seen(mark)


def _codes(resource: Referring) -> set[str]:
    return {f"{each.system}|{each.code}" for each in resource.code.coding}


def _decoded(line: bytes, kind: type[_Kind]) -> _Kind:
    """An empty one of what is not readable: the reader counts that."""
    try:
        return msgspec.json.decode(line, type=kind)
    except UNREADABLE:
        return kind()
