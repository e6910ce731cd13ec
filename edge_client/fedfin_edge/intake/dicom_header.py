"""What a DICOM object says of itself before its pixels: what the rules ask, and whose it is."""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import pydicom

from fedfin.encoders.dicom import check_inflated
from fedfin.errors import InputError

# The elements that are read; no other is looked at, or quoted.
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID", "Modality", "BodyPartExamined",
    "ViewPosition", "BurnedInAnnotation", "ConversionType", "SeriesNumber", "InstanceNumber", "Rows",
]  # fmt: skip
# Secondary Capture Image Storage and its four multi-frame kinds (PS3.4 B.5).
_SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class Header:
    """Texts as they are, "" where there is none. series, instance: numbers within the study, 0 where there is none."""

    sop_class: str
    sop_instance: str
    study: str
    accession: str
    patient: str
    modality: str
    body_part: str
    view_position: str
    burned_in: bool
    secondary_capture: bool
    has_pixels: bool
    series: int
    instance: int


def read_header(data: bytes) -> Header:
    """The header of a file's bytes. Raises InputError for what is not DICOM, or names no object."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's quote values
        try:
            check_inflated(data)  # pydicom would inflate all of it, however little is asked for
            dataset = pydicom.dcmread(
                io.BytesIO(data), stop_before_pixels=True, force=True, specific_tags=list(_TAGS)
            )
            return header_of(dataset)
        except InputError:
            raise
        except Exception:  # noqa: BLE001  pydicom raises anything on damaged elements
            raise InputError("is not readable as DICOM") from None


def header_of(dataset: Any) -> Header:
    """The same of a pydicom dataset. Raises InputError where it names no object."""

    def text(name: str) -> str:
        value = dataset.get(name)
        return "" if value is None else str(value).strip()

    sop_class, sop_instance = text("SOPClassUID"), text("SOPInstanceUID")
    if not sop_class or not sop_instance:
        raise InputError("is DICOM that does not name its object")
    return Header(
        sop_class=sop_class,
        sop_instance=sop_instance,
        study=text("StudyInstanceUID"),
        accession=text("AccessionNumber"),
        patient=text("PatientID"),
        modality=text("Modality"),
        body_part=text("BodyPartExamined"),
        view_position=text("ViewPosition"),
        burned_in=text("BurnedInAnnotation").upper() == "YES",
        # Conversion Type is an element of secondary captures alone (PS3.3 C.8.6.1).
        secondary_capture=f"{sop_class}.".startswith(f"{_SECONDARY}.") or "ConversionType" in dataset,
        has_pixels="Rows" in dataset,
        series=_number(text("SeriesNumber")),
        instance=_number(text("InstanceNumber")),
    )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 9 else 0  # noqa: PLR2004  as DICOM's IS has them
