r"""HL7 v2 escape sequences in a text field (HL7 v2.5, chapter 2, section 2.7): \.br\, \F\, \X0D\ and the like."""

import re

DECODED = "has HL7 escapes: these are decoded"
LEFT_OUT = "has HL7 escapes of character sets, or of the sender's own: these are left out"

_BREAKS = (".br", ".sp", ".ce")
_DELIMITERS = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "P": "#"}

# One letter after a drive, as in C:\T\scan, is a path; all others are formatting, delimiters or hexadecimal bytes.
# Those left out switch to another character set by ISO 2022 (2.7.2), which the table's own encoding has made void, or
# mean what sender and receiver agreed upon (2.7.7).
ESCAPE = re.compile(
    r"\\(?P<format>\.(?:br|sp|ce|fi|nf|in|sk|ti))(?:[+-]?\d{1,3})?\\"
    r"|(?<!\b[A-Za-z]:)\\(?P<letter>[FSTREPHN])\\"
    r"|\\X(?P<bytes>(?:[0-9A-Fa-f]{2})+)\\"
    r"|(?<!\b[A-Za-z]:)\\(?P<left_out>C2[0-9A-Fa-f]{3}|M24(?:[0-9A-Fa-f]{2}){1,2}|Z[0-9A-Z]+)\\"
)


def decode_hl7(text: str) -> tuple[str, list[str]]:
    """The text with its escapes decoded in one pass, and notes of what there was.

    What only sets a layout or highlights becomes nothing.
    """
    left_out = {match["left_out"] is not None for match in ESCAPE.finditer(text)}
    notes = {False: DECODED, True: LEFT_OUT}
    return ESCAPE.sub(_decoded, text), [notes[each] for each in sorted(left_out)]


def _decoded(match: re.Match[str]) -> str:
    if match["format"]:
        return "\n" if match["format"] in _BREAKS else " "
    if match["bytes"]:
        return _bytes_to_text(bytes.fromhex(match["bytes"]))
    return _DELIMITERS.get(match["letter"], "")


def _bytes_to_text(found: bytes) -> str:
    """UTF-8 where it is, else Windows-1252, which the senders of single bytes mean."""
    try:
        return found.decode()
    except UnicodeDecodeError:
        return found.decode("cp1252", "replace")
