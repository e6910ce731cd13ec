r"""HL7 v2 escape sequences in a text field (HL7 v2.8, chapter 2, section 2.7): \.br\, \F\, \X0D\ and the like."""

import re

_BREAKS = (".br", ".sp", ".ce")
_DELIMITERS = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "P": "#"}

# One letter after a drive, as in C:\T\scan, is a path; all others are formatting, delimiters or hexadecimal bytes.
ESCAPE = re.compile(
    r"\\(?P<format>\.(?:br|sp|ce|fi|nf|in|sk|ti))(?:[+-]?\d{1,3})?\\"
    r"|(?<!\b[A-Za-z]:)\\(?P<letter>[FSTREPHN])\\"
    r"|\\X(?P<bytes>(?:[0-9A-Fa-f]{2})+)\\"
)


def decode_hl7(text: str) -> str:
    """The text with its escapes decoded in one pass; what only sets a layout or highlights becomes nothing."""
    return ESCAPE.sub(_decoded, text)


def _decoded(match: re.Match[str]) -> str:
    if match["format"]:
        return "\n" if match["format"] in _BREAKS else " "
    if match["letter"]:
        return _DELIMITERS.get(match["letter"], "")
    return _bytes_to_text(bytes.fromhex(match["bytes"]))


def _bytes_to_text(found: bytes) -> str:
    """UTF-8 where it is, else Windows-1252, which the senders of single bytes mean."""
    try:
        return found.decode()
    except UnicodeDecodeError:
        return found.decode("cp1252", "replace")
