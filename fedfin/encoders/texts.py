"""From a cell of text to plain text: RTF, HTML and HL7 escapes are decoded, and noted. No tokenizer.

Plain text comes back as it went in, character by character. Changes here must raise
`fedfin.encoders.bundle.TEXT_READER`, so that features from another reading are made anew.
"""

import re
from dataclasses import dataclass

from fedfin.encoders.hl7_escapes import decode_hl7
from fedfin.encoders.html_text import MARKUP, html_to_text
from fedfin.errors import InputError

# Reports are a tenth of this; what is larger holds pictures.
MAX_RTF = 1 << 16
# From each of these, striprtf searches up to the end of the line for a font's character set or a link's address: for
# seconds, where there are none. A line break says nothing in RTF, and ends the search. Links are read as what is shown.
_SEARCHED = re.compile(r"(?<!\\)((?:\\\\)*)(?=\\f(?:ield|\d))", re.IGNORECASE)
# And for the end of a font's name, from each character on if there is no semicolon.
_LAST_SEMICOLON = r"{\*;}"
_BEFORE_RTF = "\ufeff \t\r\n"
# Names that de-identification tools put in brackets in place of what they removed.
_REMOVED = (
    "address|age|city|clinic|contact|date|doctor|email|fax|first ?name|hospital|id|initials|last ?name|location"
    "|mrn|name|organi[sz]ation|patient|person|phi|phone|physician|profession|redacted|removed|time|url|zip"
)
# XXXX as in Open-I, [** **] as in MIMIC-III, ___ as in MIMIC-IV, <DATE> or [NAME 2] as of Philter, NLM-Scrubber, ...
_MARK = re.compile(
    rf"\b[Xx]{{4,}}\b|\[\*\*.{{0,99}}?\*\*\]|(?<!_)___(?!_)|[\[<{{](?:{_REMOVED})[ _-]?\d*[\]>}}]",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Text:
    """Plain text. A note says what was decided, never what the cell holds."""

    text: str
    notes: tuple[str, ...] = ()


def read_text(cell: str) -> Text:
    """A cell as plain text, with notes. Raises InputError for RTF that is damaged and markup around no text.

    HL7 escapes go first, as RTF and HTML travel inside them.
    """
    text, notes = (cell, []) if _is_rtf(cell) else decode_hl7(cell)
    if _is_rtf(text):
        text = _rtf_to_text(text)
        notes.append("is RTF: read as plain text")
    elif MARKUP.search(text):
        text = html_to_text(text)
        notes.append("has HTML tags or entities: read as plain text")
    if notes and not text.strip():
        raise InputError("is markup around no text")
    if _MARK.search(text):
        notes.append("has marks of de-identification in place of words")
    return Text(text, tuple(notes))


def _is_rtf(text: str) -> bool:
    return text.lstrip(_BEFORE_RTF).startswith("{\\rtf")


def _rtf_to_text(rtf: str) -> str:
    from striprtf.striprtf import rtf_to_text

    if len(rtf) > MAX_RTF:
        raise InputError(f"is RTF of more than {MAX_RTF:,} characters: save it as plain text")
    rtf = _SEARCHED.sub(r"\1\n", rtf.lstrip(_BEFORE_RTF)) + _LAST_SEMICOLON
    try:
        text: str = rtf_to_text(rtf, errors="replace")
    except Exception:  # noqa: BLE001 - whatever it meets in a damaged file
        raise InputError("is RTF that cannot be read: save it as plain text") from None
    # Characters beyond the first 65,536 are two halves in RTF, and a half alone is no text.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
