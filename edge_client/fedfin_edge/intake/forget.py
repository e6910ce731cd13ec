"""Forget a study or a patient: every trace at this site that FedFIN has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import MsgspecError

from fedfin.errors import InputError
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.case_table import read_cases, write_cases
from fedfin_edge.intake.dicom_header import read_header
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.join import CaseKeys
from fedfin_edge.intake.records import ImageRecord, Record, ReportRecord
from fedfin_edge.intake.released import drop_released
from fedfin_edge.intake.report import unpack
from fedfin_edge.intake.spool import all_spooled
from fedfin_edge.site import Site


@dataclass(frozen=True)
class Forgotten:
    """How much there was. fixed: cases of the case table that training reads."""

    images: int
    reports: int
    labels: int
    spooled: int
    fixed: int

    @property
    def any(self) -> bool:
        """Whether there was anything."""
        return bool(self.images or self.reports or self.labels or self.spooled or self.fixed)


def forget(
    site: Site, folder: IntakeFolder, kind: Literal["accession", "patient"], name: str, *, bar: bool
) -> Forgotten:
    """Take it out of spool, store, case table and features, and out of their free pages.

    bar: its accession numbers, as keyed hashes, stay behind, so that they are not taken again.
    """
    wanted = folder.identity.hash(kind, name)
    with folder.batch(), folder.open_store() as store:
        spooled = _forget_spooled(folder, kind, wanted)
        scope = _find(store, kind, wanted)
        fixed = _forget_fixed(site, scope.cases, wanted)
        labels = sum(label.owner in scope.owners for label in store.labels())
        objects = [image.object for image in scope.images]
        store.forget(objects, scope.owners, bar=scope.accessions if bar else ())
        with FeatureStore(site.features_path, durable=True) as features:
            drop_released(site, store, features)
            features.scrub()
        store.scrub()
    return Forgotten(len(scope.images), len(scope.reports), labels, spooled, fixed)


@dataclass(frozen=True)
class _Scope:
    """What is to go. cases: keys; owners: of reports, labels and marks, accession numbers or studies."""

    images: list[ImageRecord]
    reports: list[ReportRecord]
    cases: set[bytes]
    owners: set[bytes]
    accessions: set[bytes]


def _find(store: IntakeStore, kind: str, wanted: bytes) -> _Scope:
    """All of this accession number, with what names only its study; or all of this patient."""
    images, reports = store.images(), store.reports()
    keys = CaseKeys(images, reports)

    def is_meant(record: Record) -> bool:
        return (record.patient if kind == "patient" else keys.of(record)) == wanted

    images, reports = list(filter(is_meant, images)), list(filter(is_meant, reports))
    records: list[Record] = [*images, *reports]
    cases = {keys.of(record) for record in records} | {wanted}
    studies = {record.study for record in records if record.study is not None}
    accessions = {record.accession for record in records if record.accession is not None}
    accessions |= {wanted} if kind == "accession" else set()
    owners = accessions | {report.owner for report in reports}
    return _Scope(
        images,
        reports,
        cases,
        owners | {study for study in studies if keys.of_study(study) in cases},
        accessions,
    )


def _forget_spooled(folder: IntakeFolder, kind: str, wanted: bytes) -> int:
    """The service may be writing there: nothing but these files is touched."""
    found = [path for path in all_spooled(folder.spool_path) if wanted in _owners(folder, kind, path)]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _owners(folder: IntakeFolder, kind: str, path: Path) -> Iterator[bytes]:
    """Of what waits in the spool: whose it is, by accession number or patient."""
    try:
        data = path.read_bytes()
        record = read_header(data) if ".dicom" in path.suffixes else unpack(data)
    except (InputError, MsgspecError, FileNotFoundError):
        return
    if kind == "accession":
        yield folder.identity.hash("accession", record.accession)
    else:
        yield folder.identity.hash("patient", record.patient)


def _forget_fixed(site: Site, cases: set[bytes], patient: bytes) -> int:
    """Rewrite the case table without these cases, and without this patient's."""
    kept = read_cases(site)
    gone = {key for key, case in kept.items() if key in cases or case.patient == patient}
    if gone:
        write_cases(site, {key: case for key, case in kept.items() if key not in gone})
    return len(gone)
