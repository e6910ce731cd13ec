"""A batch from the spool: what is in it, what was made of it, and what is kept."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import MsgspecError

from fedfin.errors import InputError
from fedfin_edge.cases.digests import Input, Kept, digest_input
from fedfin_edge.cases.feature_store import Encoded, FeatureStore
from fedfin_edge.cases.worker_messages import Outcome
from fedfin_edge.intake.dicom_header import Header, read_header
from fedfin_edge.intake.encoders import Encoders
from fedfin_edge.intake.identity import Identity
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.records import WITHDRAWN, ImageRecord, Record, ReportRecord
from fedfin_edge.intake.report import Report, unpack
from fedfin_edge.intake.rules import judge
from fedfin_edge.intake_settings import IntakeSettings

_RANK = {"final": 0, "corrected": 1, "withdrawn": WITHDRAWN}


@dataclass(frozen=True)
class Entry:
    """One thing to encode, and what is kept of it if that works."""

    value: Input
    kept: Kept
    record: Record


@dataclass
class Batch:
    """todo: by modality; records: what is to be kept; counts: what became of each, by kind and reason.

    deletions: by which resource a report was given that goes; refusals: objects (hashes) whose newest does not count.
    """

    todo: dict[str, list[Entry]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    deletions: list[bytes] = field(default_factory=list)
    refusals: set[bytes] = field(default_factory=set)

    def read(self, path: Path, identity: Identity, settings: IntakeSettings) -> None:
        """Add what a file of the spool holds."""
        try:
            if path.suffix == ".dicom":
                self._add_image(path, identity, settings)
            elif path.suffix == ".deletion":
                self.deletions.append(path.read_bytes())
            elif path.suffix == ".refusal":
                self._refuse(path.read_bytes())
            else:
                self._add_report(unpack(path.read_bytes()), identity, settings.reports)
        except InputError as error:
            self.counts[f"image: {error}"] += 1
        except MsgspecError:
            self.counts["report: is not readable"] += 1

    def _add_image(self, path: Path, identity: Identity, settings: IntakeSettings) -> None:
        data = path.read_bytes()
        header = read_header(data)
        verdict = judge(header, settings.take)
        if verdict.rule is None:
            self.counts[f"image: {verdict.reason}"] += 1
            return
        modality = settings.take[verdict.rule].modality
        kept = kept_image(data, identity)
        record = image_record(header, identity, modality, verdict.rule, kept)
        self.refusals.discard(record.object)
        self.todo.setdefault(modality, []).append(Entry(path, kept, record))

    def _refuse(self, known: bytes) -> None:
        """What came of it before goes, in this batch too."""
        self.refusals.add(known)
        for modality, entries in self.todo.items():
            self.todo[modality] = [each for each in entries if not _is_of(each.record, known)]

    def _add_report(self, report: Report, identity: Identity, modality: str | None) -> None:
        if modality is None:
            self.counts["report: site.toml names no modality for reports"] += 1
            return
        record = report_record(report, identity)
        if record.digest is None:
            self.records.append(record)
            self.counts["report: withdrawn"] += 1
            return
        self.todo.setdefault(modality, []).append(Entry(report.text, Kept("text", record.digest), record))

    def encode(self, encoders: Encoders, features: FeatureStore) -> None:
        """Make and keep the features of all that has none. Raises BundleError, StateError, FedfinError."""
        for modality, entries in self.todo.items():
            encoder = encoders.digest(modality)
            values = {digest_input(entry.kept): entry.value for entry in entries}
            known = features.known(encoder, values)
            todo = [(digest, value) for digest, value in values.items() if digest not in known]
            outcomes = dict(encoders.encode(modality, todo))
            features.add(encoder, _made(outcomes))
            for entry in entries:
                outcome = outcomes.get(digest_input(entry.kept))
                self._note(entry.record, outcome.reason if outcome and outcome.features is None else "")

    def _note(self, record: Record, reason: str) -> None:
        kind = "image" if isinstance(record, ImageRecord) else "report"
        self.counts[f"{kind}: {reason or 'taken'}"] += 1
        if not reason:
            self.records.append(record)

    def keep(self, store: IntakeStore) -> None:
        """In one transaction, and one for each deletion. Raises StateError."""
        store.record(
            [record for record in self.records if isinstance(record, ImageRecord)],
            [record for record in self.records if isinstance(record, ReportRecord)],
            self.counts,
        )
        if self.refusals:
            self.counts["image: withdrawn"] += store.withdraw_images(self.refusals)
        for each in self.deletions:
            self.counts["report: withdrawn"] += store.withdraw(each)  # counted by the store, if there was one


def _is_of(record: Record, known: bytes) -> bool:
    return isinstance(record, ImageRecord) and record.object == known


def _made(outcomes: Mapping[bytes, Outcome]) -> dict[bytes, Encoded]:
    """Of those that have features, by input digest."""
    return {
        digest: Encoded(outcome.features, outcome.notes)
        for digest, outcome in outcomes.items()
        if outcome.features is not None
    }


def kept_image(data: bytes, identity: Identity) -> Kept:
    """By what the features of a DICOM file's bytes are found."""
    return Kept("image", identity.hash("image", hashlib.sha256(data).digest()))


def image_record(header: Header, identity: Identity, modality: str, rule: int, kept: Kept) -> ImageRecord:
    """What is kept of an image."""
    return ImageRecord(
        object=identity.hash("object", header.sop_instance),
        study=identity.known("study", header.study),
        accession=identity.known("accession", header.accession),
        patient=identity.known("patient", header.patient),
        modality=modality,
        rule=rule,
        series=header.series,
        instance=header.instance,
        digest=kept.digest,
    )


def report_record(report: Report, identity: Identity) -> ReportRecord:
    """What is kept of a report. Sources give no report without accession number or study UID."""
    accession, study = identity.known("accession", report.accession), identity.known("study", report.study)
    owner = identity.owner(report.accession, report.study)
    assert owner is not None
    return ReportRecord(
        owner=owner,
        study=study,
        accession=accession,
        patient=identity.known("patient", report.patient),
        moment=identity.shifted(owner, report.moment),
        rank=_RANK[report.status],
        digest=None if report.status == "withdrawn" else identity.hash("text", report.text.encode()),
    )
