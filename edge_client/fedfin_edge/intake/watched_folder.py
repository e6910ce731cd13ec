"""A folder that is watched: DICOM files, HL7 messages in files called .hl7, FHIR resources in .json and .ndjson.

A file is taken once; what tells that is a keyed hash of its path, size and time, since names often are patients'.
"""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from fedfin.errors import InputError
from fedfin.files import read_at_most
from fedfin_edge.intake.dicom_header import read_header
from fedfin_edge.intake.fhir_reader import FhirReader
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.folder_access import closed_below, is_open
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.oru import RejectedError, read_oru
from fedfin_edge.intake.reception import MAX_OBJECT, Reception
from fedfin_edge.intake_settings import Folder

SETTLED_S = 5.0  # a file that changed later may still be being written


class WatchedFolder:
    """The folder of [intake.folder]."""

    def __init__(
        self, settings: Folder, site: Path, folder: IntakeFolder, reception: Reception, store: IntakeStore
    ) -> None:
        self._path = site / settings.path
        self._remove = settings.remove
        self._folder = folder
        self._reception = reception
        self._store = store
        self._unreadable: set[bytes] = set()
        self._fhir = FhirReader(folder.settings.resources, folder.identity, reception)

    def poll(self) -> int:
        """Take what is new; how many files. Raises InputError when the folder cannot be used, FullError."""
        if not is_open(self._path):
            raise InputError(
                f"{self._path}: is not a folder that can be read; correct [intake.folder] in site.toml"
            )
        found = stuck = 0
        for path, mark in self._fresh():
            if (data := self._read(path, mark)) is not None:
                stuck += not self._take(path, mark, data)
                found += 1
        if stuck:
            raise InputError(
                f"{self._path}: {stuck} files that were taken cannot be removed; remove them yourself, and let the"
                " intake write there, or set intake.folder.remove = false"
            )
        if closed := closed_below(self._path):
            raise InputError(
                f"{self._path}: {closed} folders in it cannot be read; let the user that the intake runs as read them"
            )
        return found

    def _fresh(self) -> Iterator[tuple[Path, bytes]]:
        """Files that have come to rest and were not taken before, with what they are known by."""
        for path in sorted(self._path.rglob("*")):
            try:
                status = path.stat()
            except OSError:  # it is gone again
                continue
            if not path.is_file() or time.time() - status.st_mtime < SETTLED_S:
                continue
            known_by = os.fsencode(path) + f"\n{status.st_size} {status.st_mtime_ns}".encode()
            mark = self._folder.identity.hash("file", known_by)
            if not self._store.progress.was_seen(mark):
                yield path, mark

    def _read(self, path: Path, mark: bytes) -> bytes | None:
        """None of one that cannot be read, which is tried again: its permissions may be mended; it counts once."""
        try:
            return read_at_most(path, MAX_OBJECT)
        except OSError as error:
            if error.errno == errno.EFBIG:
                self._leave_out(mark, f"is larger than {MAX_OBJECT >> 20} MiB")
            elif mark not in self._unreadable:
                self._unreadable.add(mark)
                self._reception.leave_out("file: cannot be read")
            return None

    def _take(self, path: Path, mark: bytes, data: bytes) -> bool:
        """False when it should be gone and is not. What cannot be used stays."""
        try:
            owners = self._hand_over(data, path.suffix.lower())
        except (InputError, RejectedError) as error:
            self._leave_out(mark, str(error))
            return True
        self._store.progress.mark_seen(mark, *owners)
        return not self._remove or _is_removed(path)

    def _leave_out(self, mark: bytes, reason: str) -> None:
        """Counted by its reason, without its name, and not looked at again."""
        self._reception.leave_out(f"file: {reason}")
        self._store.progress.mark_seen(mark)

    def _hand_over(self, data: bytes, kind: str) -> list[bytes | None]:
        """What each thing in it is about."""
        identity = self._folder.identity
        if kind == ".hl7":
            reports = read_oru(data, self._folder.settings.oru)
            for report in reports:
                self._reception.take_report(report)
            return [identity.owner(report.accession, report.study) for report in reports]
        if kind in {".json", ".ndjson"}:
            return self._fhir.take([data] if kind == ".json" else filter(bytes.strip, data.split(b"\n")))
        header = read_header(data)
        self._reception.take_object(data)
        return [identity.owner(header.accession, header.study)]


def _is_removed(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
