"""FHIR R4 resources into reports and labels; those that belong together are read together."""

import base64
import binascii
import hashlib
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from fedfin.errors import InputError
from fedfin_edge.intake.batch import report_record
from fedfin_edge.intake.fhir_resources import (
    UNREADABLE,
    WITHDRAWN,
    CodeableConcept,
    Condition,
    DiagnosticReport,
    Identifier,
    Observation,
    Reference,
    Resource,
    in_utc,
)
from fedfin_edge.intake.identity import Identity
from fedfin_edge.intake.reception import Reception
from fedfin_edge.intake.records import FHIR, LabelRecord, ReportRecord
from fedfin_edge.intake.report import Report, Status
from fedfin_edge.intake.spool import FullError
from fedfin_edge.intake_settings import Resources

_STATUS: dict[str, Status] = {
    "final": "final", "amended": "corrected", "corrected": "corrected", "appended": "corrected",
    **dict.fromkeys(WITHDRAWN, "withdrawn"),
}  # fmt: skip
_TEXTS = {"text/plain", "text/html", "text/rtf", "application/rtf"}
_CHARSETS = {
    "utf-8": "utf-8", "us-ascii": "utf-8", "utf-16": "utf-16", "iso-8859-1": "cp1252", "windows-1252": "cp1252",
    "iso-8859-2": "iso8859-2", "iso-8859-15": "iso8859-15", "gb18030": "gb18030", "gbk": "gb18030",
    "shift_jis": "cp932", "iso-2022-jp": "iso2022_jp_ext", "euc-kr": "euc_kr", "big5": "big5",
}  # fmt: skip
_UID_SYSTEM, _UID = "urn:dicom:uid", "urn:oid:"
# Present, positive, yes: LOINC answers, SNOMED CT, HL7 v2-0136 and ObservationInterpretation; and their opposites.
_YES = {"LA9633-4", "LA33-6", "52101004", "10828004", "373066001", "Y", "POS", "confirmed"}
_NO = {"LA9634-2", "LA32-8", "2667000", "260385009", "373067005", "N", "NEG", "refuted"}


@dataclass
class _Found:
    """What is kept of resources at once. given: which report each gave, by what the resource is known."""

    labels: list[LabelRecord] = field(default_factory=list)
    given: list[tuple[bytes, ReportRecord]] = field(default_factory=list)


class FhirReader:
    """Reads resources, and hands over what they say."""

    def __init__(
        self, settings: Resources, identity: Identity, reception: Reception, *, server: str = ""
    ) -> None:
        """server: whose resources these are, where it may say later which of them it has deleted."""
        self._settings = settings
        self._identity = identity
        self._reception = reception
        self._server = server.rstrip("/")
        self._begun: dict[bytes, list[bytes | None]] = {}

    def take(
        self, resources: Iterable[bytes | msgspec.Raw], known: dict[str, Resource] | None = None
    ) -> list[bytes | None]:
        """JSON resources, together with those they refer to; `known`: more of these, by type and id.

        Raises FullError, StateError.

        Returns of each the hash of the accession number or study that it told something about; else None. Where there
        was no room for all, the same resources go on where they ended: an export may hold more than the queue does.
        """
        raw = list(resources)
        others = ChainMap(dict(referable(raw)), known or {})
        fingerprint = hashlib.sha256(b"\n".join(raw)).digest()
        owners = self._begun.pop(fingerprint, [])
        found = _Found()
        try:
            for each in raw[len(owners) :]:
                owners.append(self._take_or_leave_out(each, others, found))
        except FullError:
            self._begun = {fingerprint: owners}
            raise
        finally:
            self._reception.take_labels(found.labels)
            self._reception.remember(found.given)
        return owners

    def _take_or_leave_out(
        self, raw: bytes | msgspec.Raw, others: Mapping[str, Resource], found: _Found
    ) -> bytes | None:
        try:
            return self._take_one(raw, others, found)
        except InputError as error:
            self._reception.leave_out(f"report: {error}")
        except UNREADABLE:
            self._reception.leave_out("report: is not readable as FHIR R4")
        return None

    def _take_one(
        self, raw: bytes | msgspec.Raw, others: Mapping[str, Resource], found: _Found
    ) -> bytes | None:
        common = msgspec.json.decode(raw, type=Resource)
        kind = common.resource_type
        others = ChainMap({f"#{each.id}": each for each in common.contained}, dict(others))
        if kind == "DiagnosticReport":
            resource = msgspec.json.decode(raw, type=DiagnosticReport)
            report = self.read_report(resource, others)
            if report is None:
                return None
            if self._server:
                mark = self.mark_of(f"DiagnosticReport/{resource.id}")
                found.given.append((mark, report_record(report, self._identity)))
            self._reception.take_report(report)
            return self._identity.owner(report.accession, report.study)
        if kind == "Observation":
            labels = list(self._observed(msgspec.json.decode(raw, type=Observation), others))
        elif kind == "Condition":
            labels = list(self._diagnosed(msgspec.json.decode(raw, type=Condition), others))
        else:
            return None
        found.labels += labels
        return labels[0].owner if labels else None

    def take_deletion(self, reference: str) -> None:
        """The server has deleted this: the report that it gave goes. Raises FullError."""
        self._reception.take_deletion(self.mark_of(reference))

    def mark_of(self, reference: str) -> bytes:
        """By what a resource of this server is known, by type and id."""
        return self._identity.hash("file", f"fhir {self._server}/{reference}")

    def read_report(self, report: DiagnosticReport, others: Mapping[str, Resource]) -> Report | None:
        """None of one that is not final yet. Raises InputError for one that names no study, or has no time or text."""
        if report.status not in _STATUS:
            return None
        status = _STATUS[report.status]
        accession = self._accession(report, report.based_on, others)
        study = next((uid for each in report.imaging_study for uid in _study_uid(each)), "")
        moment = in_utc(report.meta.last_updated or report.issued)
        text = "" if status == "withdrawn" else _text(report)
        if not accession and not study:
            raise InputError("names no study: no accession number, no study UID")
        if moment is None:
            raise InputError("has no time: meta.lastUpdated and issued are missing")
        if status != "withdrawn" and not text:
            raise InputError("has no text in presentedForm, conclusion or text")
        return Report(accession, study, self._patient(report.subject, others), moment, status, text)

    def _observed(self, observation: Observation, others: Mapping[str, Resource]) -> Iterator[LabelRecord]:
        moment = observation.meta.last_updated or observation.issued
        accession = self._accession(observation, observation.based_on, others)
        value = (
            _observed_value(observation)
            if _STATUS.get(observation.status) not in {None, "withdrawn"}
            else None
        )
        yield from self._labels("Observation", observation.code, accession, moment, value)

    def _diagnosed(self, condition: Condition, others: Mapping[str, Resource]) -> Iterator[LabelRecord]:
        references = [detail for each in condition.evidence for detail in each.detail]
        accession = self._accession(condition, references, others)
        value = _coded_value(condition.verification_status)
        yield from self._labels("Condition", condition.code, accession, condition.meta.last_updated, value)

    def _labels(
        self,
        resource: str,
        code: CodeableConcept,
        accession: str,
        moment: datetime | None,
        value: float | None,
    ) -> Iterator[LabelRecord]:
        owner, moment = self._identity.known("accession", accession), in_utc(moment)
        if owner is None or moment is None:
            return
        codes = {f"{each.system}|{each.code}" for each in code.coding}
        for label in self._settings.labels:
            if label.resource == resource and label.code in codes:
                yield LabelRecord(owner, label.label, value, FHIR, self._identity.shifted(owner, moment))

    def _accession(
        self, resource: Resource, references: Iterable[Reference], others: Mapping[str, Resource]
    ) -> str:
        """Its own, or that of what it is based on."""
        identifiers = [*resource.identifier]
        for each in references:
            identifiers += [each.identifier] if each.identifier is not None else []
            identifiers += self._referred(each, others)
        return next((each.value.strip() for each in identifiers if self._is_accession(each)), "")

    def _referred(self, reference: Reference, others: Mapping[str, Resource]) -> Sequence[Identifier]:
        """Identifiers of what is referred to, also by this server's own address, or in a certain version."""
        name = reference.reference.removeprefix(f"{self._server}/").partition("/_history/")[0]
        return others[name].identifier if name in others else ()

    def _is_accession(self, identifier: Identifier) -> bool:
        return _has_type(identifier, "ACSN") or (
            bool(identifier.system) and identifier.system == self._settings.accession_system
        )

    def _patient(self, subject: Reference, others: Mapping[str, Resource]) -> str:
        """As DICOM's Patient ID has it; "" where nothing but the server's own number is known."""
        found = [subject.identifier] if subject.identifier is not None else []
        found += self._referred(subject, others)
        system = self._settings.patient_system
        if system is not None:
            return next((each.value for each in found if each.system == system), "")
        return next((each.value for each in found if _has_type(each, "MR")), found[0].value if found else "")


def referable(raw: Iterable[bytes | msgspec.Raw]) -> Iterator[tuple[str, Resource]]:
    """Patients and orders, by how others refer to them."""
    for each in raw:
        try:
            resource = msgspec.json.decode(each, type=Resource)
        except UNREADABLE:
            continue
        if resource.resource_type in {"ServiceRequest", "Patient", "DiagnosticReport"}:
            yield f"{resource.resource_type}/{resource.id}", resource


def _has_type(identifier: Identifier, code: str) -> bool:
    return any(each.code == code for each in identifier.type.coding)


def _study_uid(reference: Reference) -> Iterator[str]:
    if reference.identifier is not None and reference.identifier.system == _UID_SYSTEM:
        yield reference.identifier.value.removeprefix(_UID)


def _text(report: DiagnosticReport) -> str:
    """What was presented as text, else the conclusion, else the narrative."""
    presented = [
        each for each in report.presented_form if each.content_type.partition(";")[0].lower() in _TEXTS
    ]
    try:
        texts = [
            base64.b64decode(each.data, validate=True).decode(_charset(each.content_type), "replace")
            for each in presented
        ]
    except (binascii.Error, ValueError):
        raise InputError("has a presentedForm that is not base64") from None
    return "\n".join(filter(str.strip, texts)) or report.conclusion.strip() or report.text.div.strip()


def _charset(content_type: str) -> str:
    """Of a text, UTF-8 where it names none (RFC 2046). Raises InputError for one that is not known."""
    parameters = [each.strip().lower() for each in content_type.split(";")[1:]]
    named = next((each[8:].strip('"') for each in parameters if each.startswith("charset=")), "utf-8")
    if named not in _CHARSETS:
        raise InputError("has a presentedForm in a character set that is not known")
    return _CHARSETS[named]


def _observed_value(observation: Observation) -> float | None:
    if observation.value_boolean is not None:
        return float(observation.value_boolean)
    if observation.value_integer in {0, 1}:
        return float(observation.value_integer or 0)
    concept = observation.value_codeable_concept
    return None if concept is None else _coded_value(concept)


def _coded_value(concept: CodeableConcept) -> float | None:
    codes = {each.code for each in concept.coding}
    return 1.0 if codes & _YES else 0.0 if codes & _NO else None
