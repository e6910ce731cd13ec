"""Where an intake is at work: its key, its store, its spool, and that one process at a time changes them."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedfin.encoders.bundle import ImageRecipe, TextRecipe, read_manifest
from fedfin.errors import SettingsError, StateError
from fedfin.files import make_folder, open_private
from fedfin_edge.intake.identity import Identity, open_identity
from fedfin_edge.intake.intake_database import STORE
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.spool import SPOOL, Spool, refusal_of
from fedfin_edge.intake_settings import IntakeSettings
from fedfin_edge.site import INTAKE_TABLE, SETTINGS, Site

_BATCH = ".batch"


@dataclass(frozen=True)
class IntakeFolder:
    """An intake's folder, opened."""

    path: Path
    settings: IntakeSettings
    identity: Identity

    @property
    def store_path(self) -> Path:
        """What has been taken."""
        return self.path / STORE

    def open_store(self) -> IntakeStore:
        """The store. Raises StateError."""
        return IntakeStore(self.store_path, self.identity)

    @property
    def spool_path(self) -> Path:
        """What was acknowledged and is not yet encoded."""
        return self.path / SPOOL

    def open_spool(self) -> Spool:
        """The spool. Raises StateError."""
        return Spool(
            self.spool_path,
            most_queued=self.settings.most_queued,
            least_free_mb=self.settings.least_free_mb,
        )

    def refusal(self) -> str:
        """Why nothing would be accepted now; "" if there is room."""
        return refusal_of(
            self.spool_path,
            most_queued=self.settings.most_queued,
            least_free_mb=self.settings.least_free_mb,
        )

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Hold this while spool, features and store are changed together; waits for who holds it."""
        with open_private(self.path / _BATCH, "ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def open_intake(site: Site, *, make: bool = False) -> IntakeFolder:
    """`make`: to take things, with a new key where nothing has been taken yet.

    Only what takes looks at the encoders: a damaged bundle must keep nobody from seeing or forgetting what is here.
    Raises SettingsError, StateError; with `make` also BundleError.
    """
    settings = intake_settings(site) if make else intake_section(site)
    if make:
        make_folder(site.intake_path)
    fresh = not (site.intake_path / STORE).exists()
    if fresh and not make:
        raise StateError(
            f"{site.intake_path}: nothing was ever taken here; run `fedfin edge intake {site.folder}`"
        )
    return IntakeFolder(site.intake_path, settings, open_identity(site.intake_path, make=fresh))


def intake_settings(site: Site) -> IntakeSettings:
    """The section [intake], checked against the site's encoders. Raises SettingsError, BundleError."""
    settings, where = intake_section(site), site.folder / SETTINGS
    for rule in settings.take:
        if not isinstance(read_manifest(site.bundle_path(rule.modality)).recipe, ImageRecipe):
            raise SettingsError(f"{where}: key intake.take: {rule.modality!r} has no encoder of images")
    if settings.reports is not None and not isinstance(
        read_manifest(site.bundle_path(settings.reports)).recipe, TextRecipe
    ):
        raise SettingsError(f"{where}: key intake.reports: {settings.reports!r} has no encoder of texts")
    return settings


def intake_section(site: Site) -> IntakeSettings:
    """The section [intake], as it stands there. Raises SettingsError where there is none."""
    settings, where = site.settings.intake, site.folder / SETTINGS
    if settings is None:
        raise SettingsError(f"{where}: has no section [intake]; docs/intake.md shows one")
    if site.table_path != site.folder / INTAKE_TABLE:
        raise SettingsError(f'{where}: with [intake], key cases.table must be "{INTAKE_TABLE}"')
    return settings


def require_source(site: Site) -> None:
    """Raises SettingsError where [intake] names nowhere that things could come from: nothing would ever happen."""
    settings = intake_section(site)
    if not any(
        (
            settings.dicom,
            settings.hl7,
            settings.dicomweb,
            settings.fhir,
            settings.fhir_export,
            settings.folder,
            settings.labels,
        )
    ):
        raise SettingsError(
            f"{site.folder / SETTINGS}: [intake] names no source; uncomment [intake.dicom], [intake.hl7] or"
            " another there (docs/intake.md has them all)"
        )
