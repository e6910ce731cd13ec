"""What an intake reads from the network: DICOM headers, HL7 messages and their acknowledgements, FHIR resources."""

import contextlib

import msgspec

from fedfin_edge.intake.dicom_header import read_header
from fedfin_edge.intake.fhir_resources import (
    UNREADABLE,
    Bundle,
    Condition,
    DiagnosticReport,
    Manifest,
    Observation,
    OperationOutcome,
    Referring,
)
from fedfin_edge.intake.mllp import acknowledge
from fedfin_edge.intake.oru import RejectedError, read_oru
from fedfin_edge.intake_settings import Oru
from fuzz.scratch import REFUSED


def fuzz(data: bytes) -> None:
    """A header, reports with a study each, resources; or a reason."""
    with contextlib.suppress(REFUSED):
        assert read_header(data).sop_instance
    with contextlib.suppress(REFUSED, RejectedError):
        assert all(report.accession or report.study for report in read_oru(data, Oru()))
    assert b"\rMSA" in acknowledge(data, "AA", "")
    for kind in (Bundle, DiagnosticReport, Observation, Condition, Referring, Manifest, OperationOutcome):
        with contextlib.suppress(*UNREADABLE):
            msgspec.json.decode(data, type=kind)
