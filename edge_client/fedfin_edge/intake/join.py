"""Images, reports and labels joined into cases, whatever the order in which they came.

What has an accession number belongs to its case. What names only its study belongs to the accession number that
another image or report names together with that study (the lowest, should there be several), else to a case of the
study's own. A case has the patient of its first image; an image or report that names another patient is left out,
since one of the two is wrong.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fedfin_edge.cases.digests import Kept
from fedfin_edge.intake.records import ImageRecord, LabelRecord, Record, ReportRecord


@dataclass
class JoinedCase:
    """A case. patient: a hash, b"" while nothing says whose it is. inputs: by modality; labels: 1.0 or 0.0."""

    patient: bytes
    inputs: dict[str, Kept] = field(default_factory=dict)
    labels: dict[str, float] = field(default_factory=dict)


@dataclass
class Joined:
    """The cases by key, in its order.

    other_patient: reports that were left out, since they name another patient than the image; images_of_other: images,
    since they name another than the first of their case; without_patient: cases, since nothing says whose they are:
    they could be on both sides of a split; labels_without_case: owners of labels, accession numbers or studies, of
    which there is no case.
    """

    cases: dict[bytes, JoinedCase]
    other_patient: int = 0
    images_of_other: int = 0
    without_patient: int = 0
    labels_without_case: int = 0


def join(
    images: Sequence[ImageRecord],
    reports: Sequence[ReportRecord],
    labels: Iterable[LabelRecord],
    *,
    reports_as: str | None,
) -> Joined:
    """`reports_as`: the modality that reports are. Of labels that contradict each other none counts."""
    keys = CaseKeys([*images, *reports])
    joined = Joined({})
    by_case: dict[bytes, list[ImageRecord]] = defaultdict(list)
    for image in images:
        by_case[keys.of(image)].append(image)
    for key, own in by_case.items():
        _add_images(joined, key, sorted(own, key=lambda image: image.order))
    if reports_as is not None:
        for report in sorted(reports, key=lambda report: (report.accession is None, report.owner)):
            _add_report(joined, keys.of(report), report, reports_as)
    found = {key: joined.cases[key] for key in sorted(joined.cases) if joined.cases[key].inputs}
    joined.cases = {key: case for key, case in found.items() if case.patient}
    joined.without_patient = len(found) - len(joined.cases)
    _add_labels(joined, keys, labels)
    return joined


class CaseKeys:
    """To which case an image, a report or an owner of labels belongs."""

    def __init__(self, records: Iterable[Record]) -> None:
        both = {
            (record.study, record.accession)
            for record in records
            if record.study is not None and record.accession is not None
        }
        self._accession_of = dict(sorted(both, reverse=True))

    def of(self, record: Record) -> bytes:
        """The case's key; an image without either is a case of its own."""
        return self.of_study(record.owner)

    def of_study(self, owner: bytes) -> bytes:
        """The case of a study, or of an accession number: these are hashes of two kinds, and never the same."""
        return self._accession_of.get(owner, owner)


def _add_images(joined: Joined, key: bytes, images: list[ImageRecord]) -> None:
    """images: of a case, in their order; the first of each modality counts."""
    patient = next((image.patient for image in images if image.patient is not None), None)
    own = [image for image in images if image.patient in {None, patient}]
    joined.images_of_other += len(images) - len(own)
    case = joined.cases[key] = JoinedCase(patient or b"")
    for image in own:
        case.inputs.setdefault(image.modality, Kept("image", image.digest))


def _add_report(joined: Joined, key: bytes, report: ReportRecord, modality: str) -> None:
    if report.digest is None:
        return
    case = joined.cases.setdefault(key, JoinedCase(b""))
    case.patient = case.patient or report.patient or b""
    if report.patient is not None and report.patient != case.patient:
        joined.other_patient += 1
        return
    case.inputs.setdefault(modality, Kept("text", report.digest))


def _add_labels(joined: Joined, keys: CaseKeys, labels: Iterable[LabelRecord]) -> None:
    values: dict[tuple[bytes, str], set[float]] = defaultdict(set)
    for label in labels:
        if label.value is not None:
            values[keys.of_study(label.owner), label.label].add(label.value)
    joined.labels_without_case = len({key for key, _ in values} - joined.cases.keys())
    for (key, name), found in values.items():
        if key in joined.cases and len(found) == 1:
            joined.cases[key].labels[name] = found.pop()
