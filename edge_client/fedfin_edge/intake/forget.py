"""Forget a study or a patient: every trace at this site that FedFIN has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import MsgspecError

from fedfin.errors import InputError
from fedfin.files import drop_halves
from fedfin.lock import is_at_work
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.batch import image_record, kept_image, report_record
from fedfin_edge.intake.case_table import read_cases, write_cases
from fedfin_edge.intake.dicom_header import read_header
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.identity import Identity
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.join import CaseKeys
from fedfin_edge.intake.records import ImageRecord, Record, ReportRecord
from fedfin_edge.intake.released import drop_released
from fedfin_edge.intake.report import unpack
from fedfin_edge.intake.spool import all_spooled, drop_half_written
from fedfin_edge.site import Site

Named = Literal["accession", "patient"]


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


def forget(site: Site, folder: IntakeFolder, kind: Named, name: str, *, bar: bool) -> Forgotten:
    """Take it out of spool, store, case table and features, and out of their free pages.

    bar: its accession numbers and studies, as keyed hashes, stay behind, so that they are not taken again.
    """
    wanted = folder.identity.hash(kind, name)
    with folder.batch(), folder.open_store() as store:
        _drop_half_written(site, folder)
        scope = _find(store, _spooled(folder), kind, wanted)
        # A kill may have left features of what waits: no record is of them yet.
        store.release(scope.spooled.values())
        # The service may be writing there: nothing but these files is touched.
        for path in scope.spooled:
            path.unlink(missing_ok=True)
        fixed = _forget_fixed(site, scope.owners, wanted)
        labels = sum(label.owner in scope.owners for label in store.labels())
        store.forget([image.object for image in scope.images], scope.owners, bar=bar)
        with FeatureStore(site.features_path, durable=True) as features:
            drop_released(site, store, features)
            features.scrub()
        store.scrub()
    return Forgotten(len(scope.images), len(scope.reports), labels, len(scope.spooled), fixed)


def _drop_half_written(site: Site, folder: IntakeFolder) -> None:
    """A kill may have left part of anybody's image, or a copy of the case table, which whoever holds the batch writes.

    A service at work has cleared its spool when it started: what is half there it writes now.
    """
    drop_halves(site.table_path)
    if not is_at_work(folder.path):
        drop_half_written(folder.spool_path)


@dataclass(frozen=True)
class _Scope:
    """What is to go. owners: accession numbers and studies, which cases, reports, labels and marks are of."""

    images: list[ImageRecord]
    reports: list[ReportRecord]
    spooled: dict[Path, Record]
    owners: set[bytes]


def _find(store: IntakeStore, spooled: Mapping[Path, Record], kind: Named, wanted: bytes) -> _Scope:
    """All of this accession number, or all of this patient, with what names only its study.

    What waits in the spool is looked at together with what is kept: either may name the other's study.
    """
    images, reports = store.images(), store.reports()
    records: list[Record] = [*images, *reports, *spooled.values()]
    keys = CaseKeys(records)
    cases = {keys.of(each) for each in records if each.patient == wanted} if kind == "patient" else {wanted}

    def is_meant(record: Record) -> bool:
        if kind == "patient" and record.patient is not None:
            return record.patient == wanted
        return keys.of(record) in cases

    meant = list(filter(is_meant, records))
    studies = {each.study for each in meant if each.study is not None and keys.of_study(each.study) in cases}
    return _Scope(
        images=list(filter(is_meant, images)),
        reports=list(filter(is_meant, reports)),
        spooled={path: record for path, record in spooled.items() if is_meant(record)},
        owners=cases | studies | {each.owner for each in meant},
    )


def _spooled(folder: IntakeFolder) -> dict[Path, Record]:
    """What waits in the spool, as it would be kept; without what cannot be read."""
    found = {path: _record(path, folder.identity) for path in all_spooled(folder.spool_path)}
    return {path: record for path, record in found.items() if record is not None}


def _record(path: Path, identity: Identity) -> Record | None:
    """Of an image without what the rules would say."""
    try:
        data = path.read_bytes()
        if ".dicom" in path.suffixes:
            return image_record(read_header(data), identity, "", 0, kept_image(data, identity))
        return report_record(unpack(data), identity)
    except (InputError, MsgspecError, FileNotFoundError):
        return None


def _forget_fixed(site: Site, cases: set[bytes], patient: bytes) -> int:
    """Rewrite the case table without these cases, and without this patient's."""
    kept = read_cases(site)
    gone = {key for key, case in kept.items() if key in cases or case.patient == patient}
    if gone:
        write_cases(site, {key: case for key, case in kept.items() if key not in gone})
    return len(gone)
