"""Names, ids, dates and report phrases of patients who never were, and the search for them in whatever was written."""

import base64
from collections.abc import Iterator

PEOPLE = 50
NAMES = [f"Quillfeather{n:02}^Ambrosia" for n in range(PEOPLE)]
IDS = [f"MRN-{7_730_401 + 13 * n}" for n in range(PEOPLE)]
DATES = [
    f"{1911 + n}{1 + n % 12:02}{1 + n % 28:02}" for n in range(PEOPLE)
]  # of birth, as DICOM and HL7 write it
PHRASES = [f"spiculated nodule abutting clip {n:02} of Harrowgate" for n in range(PEOPLE)]
PLANTED = [*NAMES, *IDS, *DATES, *PHRASES]


def forms(text: str) -> Iterator[bytes]:
    """How a program may write it, in lower case: as it is, in UTF-16, in hexadecimal, in base64, and a name's part."""
    for part in {text, text.replace("^", " "), text.partition("^")[0]}:
        data = part.lower().encode()
        yield data
        yield part.lower().encode("utf-16-le")
        yield data.hex().encode()
    if len(text) > 8:  # of fewer bytes the middle is too short to mean anything
        yield base64.b64encode(text.encode())[4:-4].lower()


FORMS = {text: tuple(forms(text)) for text in PLANTED}


def found_in(data: bytes) -> list[str]:
    """Which of them are in it."""
    lower = data.lower()
    return [text for text, each in FORMS.items() if any(form in lower for form in each)]
