"""DICOM files."""

import contextlib

from fedfin.encoders.dicom import read_dicom
from fuzz.scratch import REFUSED


def fuzz(data: bytes) -> None:
    """8-bit pixels, or a reason."""
    with contextlib.suppress(REFUSED):
        assert read_dicom(data).image.mode in {"L", "RGB"}
