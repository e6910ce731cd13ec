"""docs/intake.md keeps up with the settings."""

import re
from pathlib import Path

import msgspec
import pytest

from fedfin_edge import intake_settings
from fedfin_edge.intake.section import section_lines

DOCS = (Path(__file__).parents[2] / "docs/intake.md").read_text(encoding="utf-8")
SECTIONS = {
    "intake.": intake_settings.IntakeSettings,
    "intake.take.": intake_settings.Take,
    "intake.dicom.": intake_settings.DicomListener,
    "intake.archive.": intake_settings.Archive,
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


def read(text: str) -> intake_settings.IntakeSettings:
    """The section [intake] of a site.toml."""
    raw = msgspec.toml.decode(text)["intake"]
    return msgspec.convert(raw, intake_settings.IntakeSettings)


@pytest.mark.parametrize("source", ["dicom", "hl7", "dicomweb", "fhir", "fhir_export", "folder", "labels"])
def test_every_source_has_an_example_that_can_be_copied(source):
    """All of the page's examples are such."""
    examples = [read(block) for block in re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)]
    assert any(getattr(example, source) for example in examples)


def test_every_source_that_init_writes_is_right_once_it_is_uncommented():
    """All of them at once, with a coded label, too."""
    lines = "\n".join(section_lines(intake_settings.IntakeSettings()))
    settings = read(re.sub(r"(?m)^# (?=\[|\w+ = )", "", lines))
    sources = ("dicom", "hl7", "dicomweb", "fhir", "fhir_export", "folder", "labels")
    assert all(getattr(settings, source) for source in sources)
    assert settings.resources.labels
