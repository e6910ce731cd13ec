"""docs/intake.md keeps up with the settings."""

from pathlib import Path

import msgspec
import pytest

from fedfin_edge import intake_settings

DOCS = (Path(__file__).parents[2] / "docs/intake.md").read_text(encoding="utf-8")
SECTIONS = {
    "intake.": intake_settings.IntakeSettings,
    "intake.take.": intake_settings.Take,
    "intake.dicom.": intake_settings.DicomListener,
    "intake.dicomweb.": intake_settings.Dicomweb,
    "intake.hl7.": intake_settings.Listener,
    "intake.fhir.": intake_settings.Fhir,
    "intake.fhir_export.": intake_settings.FhirExport,
    "intake.resources.": intake_settings.Resources,
    "intake.resources.labels.": intake_settings.CodedLabel,
    "intake.oru.": intake_settings.Oru,
    "intake.folder.": intake_settings.Folder,
    "intake.labels.": intake_settings.LabelTable,
}


@pytest.mark.parametrize("prefix", SECTIONS)
def test_every_key_is_documented(prefix):
    """Each key of [intake] has its place, and so has each section."""
    keys = {prefix + field.name for field in msgspec.structs.fields(SECTIONS[prefix])}
    sections = {section.rstrip(".") for section in SECTIONS}
    assert [key for key in sorted(keys - sections) if f"`{key}`" not in DOCS] == []
