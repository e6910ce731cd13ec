"""The sources that site.toml names: servers that listen, and what is polled."""

from contextlib import AbstractContextManager

from fedfin_edge.intake.fhir_reader import FhirReader
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.label_table import LabelTable
from fedfin_edge.intake.reception import Reception
from fedfin_edge.intake.source import Polled, Reporter
from fedfin_edge.intake.what_counts import what_counts
from fedfin_edge.site import Site

LABELS_EVERY_S = 10.0


def servers(
    site: Site, folder: IntakeFolder, reception: Reception, report: Reporter
) -> dict[int, AbstractContextManager[object]]:
    """By port; each listens from when it is entered. Raises SettingsError."""
    found: dict[int, AbstractContextManager[object]] = {}
    if (dicom := folder.settings.dicom) is not None:
        from fedfin_edge.intake.storage_scp import StorageScp

        found[dicom.port] = StorageScp(dicom, site.folder, reception, report)
    if (hl7 := folder.settings.hl7) is not None:
        from fedfin_edge.intake.mllp import Mllp

        found[hl7.port] = Mllp(hl7, folder.settings.oru, site.folder, reception)
    return found


def polled(
    site: Site, folder: IntakeFolder, reception: Reception, store: IntakeStore, report: Reporter
) -> list[Polled]:
    """Each is polled from when it is entered; from its start where other things count now. Raises BundleError."""
    store.progress.read_by(what_counts(site, folder.settings))
    found: list[Polled] = []
    if (labels := folder.settings.labels) is not None:
        table = LabelTable(labels, site, folder.identity, store)
        found.append(Polled("labels", table.poll, every=LABELS_EVERY_S, report=report))
    if (watched := folder.settings.folder) is not None:
        from fedfin_edge.intake.watched_folder import WatchedFolder

        watch = WatchedFolder(watched, site.folder, folder, reception, store)
        found.append(Polled("folder", watch.poll, every=watched.every, report=report))
    if (dicomweb := folder.settings.dicomweb) is not None:
        from fedfin_edge.intake.dicomweb_poll import DicomwebPoll

        archive = DicomwebPoll(dicomweb, site.folder, folder, reception, store)
        found.append(Polled("dicomweb", archive.poll, every=dicomweb.every, report=report))
    if (fhir := folder.settings.fhir) is not None:
        from fedfin_edge.intake.fhir_search import FhirSearch

        reader = FhirReader(folder.settings.resources, folder.identity, reception, server=fhir.url)
        server = FhirSearch(fhir, site.folder, folder, reader, store)
        found.append(Polled("fhir", server.poll, every=fhir.every, report=report))
    if (export := folder.settings.fhir_export) is not None:
        from fedfin_edge.intake.fhir_export import FhirExport

        reader = FhirReader(folder.settings.resources, folder.identity, reception, server=export.url)
        bulk = FhirExport(export, site.folder, folder, reader, reception, store)
        found.append(Polled("fhir-export", bulk.poll, every=export.every, report=report))
    return found
