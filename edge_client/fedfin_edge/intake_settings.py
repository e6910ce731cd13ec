"""[intake] of site.toml: where studies and reports come from, and which of them count (docs/intake.md)."""

from typing import Annotated, Literal

import msgspec

from fedfin.names import Name
from fedfin.settings import pattern

Text = Annotated[str, msgspec.Meta(min_length=1)]
# PS3.5 6.2: letters of the default repertoire (ASCII) without backslash; spaces around it are none of it.
AeTitle = Annotated[
    str,
    pattern(r"^(?! )[ -\[\]-~]{1,16}(?<! )\Z", "an AE title of 1 to 16 ASCII characters without backslash"),
]
# Without user and password: an address goes into events and the status.
Url = Annotated[
    str,
    pattern(
        r"^https?://[^\s/@]+(/\S*)?$",
        "a URL like https://archive.example/dicom-web; user and password have keys of their own",
    ),
]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=1)]
Most = Annotated[int, msgspec.Meta(ge=1)]
Least = Annotated[int, msgspec.Meta(ge=0)]
FhirId = Annotated[str, pattern(r"^[A-Za-z0-9\-.]{1,64}$", "a FHIR id: letters, digits, - and .")]
Hl7Path = Annotated[str, pattern(r"^[A-Z][A-Z0-9]{2}-[1-9]\d?(\.[1-9]\d?)?$", "a place like OBR-3.1")]


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Immutable, and an unknown key is an error."""


class Take(_Closed, frozen=True):
    """A rule: which images count, and as which modality of the site. An empty list asks for nothing.

    Values are compared without regard to case; `sop_class` by UID.
    """

    modality: Name
    dicom_modality: tuple[Text, ...] = ()
    body_part: tuple[Text, ...] = ()
    view_position: tuple[Text, ...] = ()
    sop_class: tuple[Text, ...] = ()
    burned_in: bool = False
    secondary_capture: bool = False


class Listener(_Closed, frozen=True):
    """Where a server listens, and its TLS: PEM files. With `ca`, callers need a certificate that it signed."""

    port: Port
    address: str = ""
    certificate: Text | None = None
    key: Text | None = None
    ca: Text | None = None

    def __post_init__(self) -> None:
        """Refuse half of a pair: it would be plain text where TLS is meant."""
        if (self.certificate is None) != (self.key is None) or (self.ca and self.certificate is None):
            raise ValueError("certificate and key belong together, and ca needs both")


class DicomListener(Listener, frozen=True):
    """The DICOM Storage SCP. `callers`: AE titles that may send; empty: all."""

    ae_title: AeTitle = "FEDFIN"
    callers: tuple[AeTitle, ...] = ()


class Archive(_Closed, frozen=True):
    """The PACS, which the doctor asks with a C-ECHO. `ca`: over TLS, by a certificate of that CA (PEM)."""

    ae_title: AeTitle
    host: Annotated[str, pattern(r"^[^\s@/]+$", "a name or an address")]
    port: Port = 104
    ca: Text | None = None


class Oru(_Closed, frozen=True):
    """Where in an HL7 message ORU^R01 things are.

    `observations`: OBX-3.1 of the parts of a report that count; empty: all that are text.
    """

    accession: Hl7Path = "OBR-3.1"
    study: Hl7Path = "ZDS-1.1"
    patient: Hl7Path = "PID-3.1"
    observations: tuple[Text, ...] = ()


class Web(_Closed, frozen=True):
    """An HTTP server that is polled. Password and token are each in a file of their own."""

    url: Url
    every: Seconds = 60.0
    ca: Text | None = None
    user: Text | None = None
    password_file: Text | None = None
    token_file: Text | None = None


class Dicomweb(Web, frozen=True):
    """QIDO-RS and WADO-RS. `days`: how far back studies are looked for, by their date."""

    days: Most = 7


class CodedLabel(_Closed, frozen=True):
    """FHIR Observations or Conditions of this code, `SYSTEM|CODE`, tell a label."""

    label: Text
    code: Annotated[str, pattern(r"^[^|\s]+\|[^|\s]+$", "SYSTEM|CODE")]
    resource: Literal["Observation", "Condition"] = "Observation"


class Fhir(Web, frozen=True):
    """A FHIR R4 server: its DiagnosticReports, and what `labels` of [intake.resources] name."""

    reports: bool = True


class FhirExport(Web, frozen=True):
    """A FHIR R4 server by Bulk Data Access: the same as `Fhir`, as one export for each poll.

    `group`: only its patients. `type_filter`: the server picks Observations and Conditions by code. `files_at`: other
    servers that files may be fetched from.
    """

    every: Seconds = 3600.0
    reports: bool = True
    group: FhirId | None = None
    type_filter: bool = False
    files_at: tuple[Url, ...] = ()


class Resources(_Closed, frozen=True):
    """What FHIR resources mean, from a server or in files.

    An identifier of the type ACSN, or of `accession_system`, is an accession number; of a patient's identifiers the one
    of `patient_system` counts, else one of the type MR, else the first.
    """

    accession_system: Text | None = None
    patient_system: Text | None = None
    labels: tuple[CodedLabel, ...] = ()


class Folder(_Closed, frozen=True):
    """A folder that is watched: DICOM, HL7 (.hl7) and FHIR (.ndjson, .json) files. `remove`: once each is taken."""

    path: Text
    every: Seconds = 10.0
    remove: bool = False


class LabelTable(_Closed, frozen=True):
    """A table with a row for each accession number, and a column for each label of `cases.labels`."""

    table: Text
    accession: Text = "accession"


class IntakeSettings(_Closed, frozen=True):
    """The section [intake]. `reports`: the modality that reports are; left out: they are not taken.

    `most_queued`, `least_free_mb`: watermarks: beyond them nothing is accepted until there is room again.
    """

    take: tuple[Take, ...] = ()
    reports: Name | None = None
    most_queued: Most = 20_000
    least_free_mb: Least = 1_000
    dicom: DicomListener | None = None
    archive: Archive | None = None
    hl7: Listener | None = None
    oru: Oru = Oru()
    dicomweb: Dicomweb | None = None
    fhir: Fhir | None = None
    fhir_export: FhirExport | None = None
    resources: Resources = Resources()
    folder: Folder | None = None
    labels: LabelTable | None = None
