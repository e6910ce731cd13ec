"""The few elements of FHIR R4 resources that the intake reads, as typed structs; all others are passed over.

By msgspec, since the models of all of FHIR bring pydantic and megabytes for a dozen fields.
"""

from datetime import datetime, timezone

import msgspec

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
    """What all have that are read here."""

    resource_type: str = ""
    id: str = ""
    meta: Meta = Meta()
    identifier: tuple[Identifier, ...] = ()


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


class Link(_Element, frozen=True):
    """To another page."""

    relation: str = ""
    url: str = ""


class Entry(_Element, frozen=True):
    """resource: as it is, read by its type."""

    resource: msgspec.Raw = msgspec.Raw(b"{}")


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
