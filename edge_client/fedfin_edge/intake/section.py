"""[intake] as `fedfin edge init --intake` writes it, for the engineer to go on with."""

import json

from fedfin_edge.intake_settings import IntakeSettings

_RULE = """\
dicom_modality = []    # which images count, such as ["DX", "CR"]; empty: all
body_part = []         # ["CHEST"]
view_position = []     # ["PA", "AP"]
sop_class = []         # UIDs"""
_SOURCES = """\
# Where they come from: uncomment one or more (docs/intake.md has every key).
# [intake.dicom]
# port = 11112
# ae_title = "FEDFIN"
# callers = ["PACS"]
# [intake.archive]
# ae_title = "PACS"
# host = "pacs.example"
# [intake.dicomweb]
# url = "https://archive.example/dicom-web"
# user = "fedfin"
# password_file = "dicomweb-password"
# [intake.hl7]
# port = 2575
# [intake.fhir]
# url = "https://fhir.example/r4"
# token_file = "fhir-token"
# [intake.fhir_export]
# url = "https://fhir.example/r4"
# token_file = "fhir-token"
# [[intake.resources.labels]]
# label = "effusion"
# code = "http://snomed.info/sct|60046008"
# [intake.folder]
# path = "/srv/fedfin/incoming"
# [intake.labels]
# table = "labels.csv"
"""


def section_lines(settings: IntakeSettings) -> list[str]:
    """A new site's section: a rule for each modality of images, and what reports are."""
    lines = ["", "[intake]"]
    lines += [] if settings.reports is None else [f"reports = {json.dumps(settings.reports)}"]
    for rule in settings.take:
        lines += ["", "[[intake.take]]", f"modality = {json.dumps(rule.modality)}", *_RULE.splitlines()]
    return [*lines, "", *_SOURCES.splitlines()]
