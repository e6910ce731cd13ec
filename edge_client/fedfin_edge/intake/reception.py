"""What sources hand over: judged by its header, then safe in the spool before the source gets its answer."""

from collections.abc import Iterable

from fedfin_edge.intake.dicom_header import Header, read_header
from fedfin_edge.intake.identity import Identity
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.records import LabelRecord, ReportRecord
from fedfin_edge.intake.report import Report, pack
from fedfin_edge.intake.rules import Verdict, judge
from fedfin_edge.intake.spool import Spool
from fedfin_edge.intake_settings import IntakeSettings

MAX_OBJECT = 256 << 20  # bytes: it is in memory until it is on the disk


class Reception:
    """Any thread may call."""

    def __init__(
        self, settings: IntakeSettings, identity: Identity, spool: Spool, store: IntakeStore
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._spool = spool
        self._store = store

    def take_object(self, data: bytes) -> Verdict:
        """A DICOM file's bytes; what the rules say. What does not count never touches the disk.

        An object that was taken, and of which the archive now sends what does not count, goes with the next batch.
        Raises InputError for what is not DICOM, FullError where there is no room.
        """
        header = read_header(data)
        verdict = self.judge_header(header)
        if verdict.rule is not None:
            self._spool.put("dicom", data)
        elif self._store.has_image(known := self._identity.hash("object", header.sop_instance)):
            self._spool.put("refusal", known)
        return verdict

    def judge_header(self, header: Header) -> Verdict:
        """What the rules say of it; what does not count is counted."""
        verdict = judge(header, self._settings.take)
        if verdict.rule is None:
            self._store.count(f"image: {verdict.reason}")
        return verdict

    def take_report(self, report: Report) -> None:
        """Raises FullError where there is no room."""
        self._spool.put("report", pack(report))

    def remember(self, given: Iterable[tuple[bytes, ReportRecord]]) -> None:
        """Which report each of a server's resources gave: the server may delete it one day."""
        self._store.remember(given)

    def take_deletion(self, mark: bytes) -> None:
        """What this resource gave goes, with the next batch. Raises FullError where there is no room."""
        self._spool.put("deletion", mark)

    def take_labels(self, labels: Iterable[LabelRecord]) -> None:
        """They hold nothing to encode: they are kept at once."""
        self._store.update_labels(labels)

    def leave_out(self, reason: str) -> None:
        """Count what a source brought and could not be used."""
        self._store.count(reason)
