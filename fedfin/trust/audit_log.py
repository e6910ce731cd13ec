"""What was done, line by line, each holding the hash of the one before.

So nothing can be changed, or taken out of the middle, unseen. Cutting off the end
shows only to who noted an earlier head; `audit` prints it.

    {"n":3,"time":"2026-11-27T09:30:01Z","event":"sending","facts":{...},"before":"5f...","hash":"a1..."}

`hash` is the SHA-256 of the line without it.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fedfin.errors import StateError
from fedfin.files import flush_folder
from fedfin.utc import timestamp

AUDIT = "audit.jsonl"
FIRST = "0" * 64
Report = Callable[[str, dict[str, Any]], None]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line."""

    n: int
    time: str
    event: str
    facts: dict[str, Any]
    before: str
    hash: str = ""

    def hashed(self) -> "Entry":
        """With its hash."""
        plain = msgspec.structs.replace(self, hash="")
        digest = hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()
        return msgspec.structs.replace(self, hash=digest)


def read_audit(path: Path) -> Iterator[Entry]:
    """The entries, checked one by one. Raises StateError at the first line that does not follow."""
    number, before = 0, FIRST
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                entry = _entry(line)
                if entry is None or (entry.n, entry.before) != (number, before) or entry.hashed() != entry:
                    raise StateError(
                        f"{path}, line {number}: it was changed, or lines before it were taken out; the lines above it"
                        " are as they were written"
                    )
                before = entry.hash
                yield entry
    except FileNotFoundError:
        raise StateError(f"{path}: there is no audit log yet; it begins with the first start") from None
    except OSError as error:
        raise StateError(f"{path}: cannot read it ({error.strerror}); check permissions") from None


class AuditLog:
    """For appending. Raises StateError when what is there is damaged: that must not be covered up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._n, self._before = 0, FIRST
        self._handle: int | None = None
        if path.exists():
            self._drop_torn_line()
            for entry in read_audit(path):
                self._n, self._before = entry.n, entry.hash

    def _drop_torn_line(self) -> None:
        """The one that a crash cut in the middle: it was never whole, so nothing had followed from it."""
        with self._path.open("rb+") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 2**20))
            tail = stream.read()
            stream.truncate(size - len(tail) + tail.rfind(b"\n") + 1)

    def add(self, event: str, facts: dict[str, Any], *, durable: bool = True) -> None:
        """One more line; `durable`: on the disk when this returns, else with the next that is. Raises StateError."""
        entry = Entry(self._n + 1, timestamp(), event, facts, self._before).hashed()
        try:
            if self._handle is None:
                self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                flush_folder(self._path.parent)
            os.write(self._handle, msgspec.json.encode(entry, order="deterministic") + b"\n")
            if durable:
                os.fsync(self._handle)
        except OSError as error:
            raise StateError(
                f"{self._path}: cannot write it ({error.strerror}); check permissions and free space"
            ) from None
        self._n, self._before = entry.n, entry.hash


def audited(report: Report, log: AuditLog, events: Mapping[str, bool]) -> Report:
    """A reporter that also writes these events into the log, before anybody hears of them; and whether durably."""

    def write_and_report(event: str, facts: dict[str, Any]) -> None:
        if event in events:
            log.add(event, facts, durable=events[event])
        report(event, facts)

    return write_and_report


def _entry(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
