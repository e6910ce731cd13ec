"""What is kept of images and reports: keyed hashes, and by which features are found."""

from dataclasses import dataclass

FHIR = "fhir"  # the source of labels that resources tell
WITHDRAWN = 2  # the highest rank of a report: of two versions at one time the withdrawal counts


@dataclass(frozen=True)
class ImageRecord:
    """One image. All bytes are hashes of 32 bytes; None: the image does not say.

    rule, series, instance: of several images of a case the one counts that has the lowest of these.
    digest: of what it holds, under the site's key.
    """

    object: bytes
    study: bytes | None
    accession: bytes | None
    patient: bytes | None
    modality: str
    rule: int
    series: int
    instance: int
    digest: bytes

    @property
    def order(self) -> tuple[int, int, int, bytes]:
        """Lowest first, whatever the order of arrival was."""
        return (self.rule, self.series, self.instance, self.object)

    @property
    def owner(self) -> bytes:
        """By what it is found: its accession number, else its study, else itself."""
        return self.accession or self.study or self.object


@dataclass(frozen=True)
class ReportRecord:
    """The newest version of one report; digest None: it was withdrawn. moment: shifted (identity.py)."""

    owner: bytes
    study: bytes | None
    accession: bytes | None
    patient: bytes | None
    moment: int
    rank: int
    digest: bytes | None

    @property
    def version(self) -> tuple[int, int, bytes]:
        """Newest highest, whatever the order of arrival was."""
        return (self.moment, self.rank, self.digest or b"")


Record = ImageRecord | ReportRecord


@dataclass(frozen=True)
class LabelRecord:
    """One label of one study, from one source. value: 1.0, 0.0 or None: withdrawn; moment: shifted (identity.py)."""

    owner: bytes
    label: str
    value: float | None
    source: str
    moment: int = 0
