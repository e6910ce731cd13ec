"""PNG and JPEG files."""

import contextlib

from fedfin.encoders.photographs import read_photograph
from fuzz.scratch import REFUSED


def fuzz(data: bytes) -> None:
    """8-bit pixels, or a reason."""
    with contextlib.suppress(REFUSED):
        assert read_photograph(data).image.mode in {"L", "RGB"}
