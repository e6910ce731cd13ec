"""The few elements of FHIR R4 resources that the intake reads, as typed structs; all others are passed over.

By msgspec, since the models of all of FHIR bring pydantic and megabytes for a dozen fields.
"""

from datetime import datetime, timezone
from typing import Annotated, Literal

import msgspec

# What a decoder raises for bytes that are no JSON, no UTF-8, or nested too deep.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
WITHDRAWN = frozenset({"entered-in-error", "cancelled"})


class _Element(msgspec.Struct, frozen=True, rename="camel"):
    """Unknown elements are passed over."""


class Coding(_Element, frozen=True):
    """A code of a system."""

    system: str = ""
    code: str = ""


class CodeableConcept(_Element, frozen=True):
    """One meaning in several codes."""

    coding: tuple[Coding, ...] = ()


class Identifier(_Element, frozen=True):
    """A business identifier."""

    system: str = ""
    value: str = ""
    type: CodeableConcept = CodeableConcept()


class Reference(_Element, frozen=True):
    """To another resource, by address or identifier."""

    reference: str = ""
    identifier: Identifier | None = None


class Attachment(_Element, frozen=True):
    """data: base64."""

    content_type: str = ""
    data: str = ""


class Narrative(_Element, frozen=True):
    """div: XHTML."""

    div: str = ""


class Meta(_Element, frozen=True):
    """last_updated: when the server got this version."""

    last_updated: datetime | None = None


class Evidence(_Element, frozen=True):
    """What a condition rests on."""

    detail: tuple[Reference, ...] = ()


class Resource(_Element, frozen=True):
    """What all have that are read here. contained: others that exist within this one alone, referred to by #id."""

    resource_type: str = ""
    id: str = ""
    meta: Meta = Meta()
    identifier: tuple[Identifier, ...] = ()
    contained: "tuple[Resource, ...]" = ()


class DiagnosticReport(Resource, frozen=True):
    """A report on studies."""

    status: str = ""
    issued: datetime | None = None
    based_on: tuple[Reference, ...] = ()
    imaging_study: tuple[Reference, ...] = ()
    subject: Reference = Reference()
    presented_form: tuple[Attachment, ...] = ()
    conclusion: str = ""
    text: Narrative = Narrative()


class Observation(Resource, frozen=True):
    """One finding, or its absence."""

    status: str = ""
    issued: datetime | None = None
    code: CodeableConcept = CodeableConcept()
    based_on: tuple[Reference, ...] = ()
    value_boolean: bool | None = None
    value_integer: int | None = None
    value_codeable_concept: CodeableConcept | None = None


class Condition(Resource, frozen=True):
    """A diagnosis."""

    verification_status: CodeableConcept = CodeableConcept()
    code: CodeableConcept = CodeableConcept()
    evidence: tuple[Evidence, ...] = ()


class Referring(Resource, frozen=True):
    """Of a report or what tells a label: its code, and what tells whose it is."""

    code: CodeableConcept = CodeableConcept()
    based_on: tuple[Reference, ...] = ()
    subject: Reference = Reference()
    evidence: tuple[Evidence, ...] = ()


class Issue(_Element, frozen=True):
    """severity and code: of FHIR's own lists."""

    severity: str = ""
    code: str = ""


class OperationOutcome(_Element, frozen=True):
    """Why something did not work; what it says beyond codes may name patients."""

    resource_type: Literal["OperationOutcome"] = "OperationOutcome"
    issue: tuple[Issue, ...] = ()


class ExportFile(_Element, frozen=True):
    """One of an export's files: resources of a type, one a line. count: how many, where the server says so."""

    type: str
    url: str
    count: int | None = None


class Manifest(_Element, frozen=True):
    """A complete export (Bulk Data Access 2.0.0). transaction_time: all that changed until then is in it."""

    transaction_time: Annotated[datetime, msgspec.Meta(tz=True)]
    requires_access_token: bool
    output: tuple[ExportFile, ...]
    deleted: tuple[ExportFile, ...] = ()
    error: tuple[ExportFile, ...] = ()


class Link(_Element, frozen=True):
    """To another page."""

    relation: str = ""
    url: str = ""


class Request(_Element, frozen=True):
    """What a transaction asks for; of an export's `deleted`: DELETE Type/id."""

    method: str = ""
    url: str = ""


class Entry(_Element, frozen=True):
    """resource: as it is, read by its type."""

    resource: msgspec.Raw = msgspec.Raw(b"{}")
    request: Request = Request()


class Bundle(_Element, frozen=True):
    """What a search finds, page by page."""

    link: tuple[Link, ...] = ()
    entry: tuple[Entry, ...] = ()


def in_utc(moment: datetime | None) -> datetime | None:
    """None of one without a time zone, or that no calendar has there, as year 1 east of Greenwich: servers' "unset"."""
    try:
        return None if moment is None or moment.tzinfo is None else moment.astimezone(timezone.utc)
    except OverflowError:
        return None
