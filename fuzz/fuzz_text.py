"""Cells with RTF, HTML or HL7 escapes; the first byte says what is put before."""

import contextlib

from fedfin.encoders.texts import read_text
from fuzz.scratch import REFUSED

STARTS = ("", "{\\rtf1\\ansi ", "<p>", "\\.br\\", "<!--", "&#", "\\X")


def fuzz(data: bytes) -> None:
    """Text, or a reason."""
    start = STARTS[data[0] % len(STARTS)] if data else ""
    with contextlib.suppress(REFUSED):
        read_text(start + data[1:].decode("utf-8", "replace")).text.encode()
