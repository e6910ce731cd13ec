"""Numbers in DICOM elements, as devices write them: with decimal commas, with blanks, or not at all."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword


def decimals(dataset: Any, keyword: str, notes: list[str]) -> list[float]:
    """The values of a decimal string (VR DS) or a float; [] where it is absent, empty or no numbers.

    A comma is read as a point: a list is separated by backslashes (PS3.5 6.2).
    """
    element = dataset.get_item(tag_for_keyword(keyword))
    if element is None or element.value is None:
        return []
    value = element.value
    if not isinstance(value, (bytes, str)):
        return [float(each) for each in np.atleast_1d(value)]
    text = (value.decode("latin-1") if isinstance(value, bytes) else value).strip(" \0")
    if "," in text:
        notes.append(f"has a decimal comma in {keyword}: read as a point")
    return _numbers(text.replace(",", "."), keyword, notes)


def _numbers(text: str, keyword: str, notes: list[str]) -> list[float]:
    try:
        numbers = [float(part) for part in text.split("\\") if part.strip()]
    except ValueError:
        numbers = [math.nan]
    if all(map(math.isfinite, numbers)):
        return numbers
    notes.append(f"has no number in {keyword}: the element is ignored")
    return []


def words(value: Any, *, little: bool) -> NDArray[np.int64]:
    """16-bit words of a lookup table: numbers already (VR US, SS), or bytes (VR OW)."""
    if isinstance(value, bytes):
        return np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little else ">u2").astype(np.int64)
    return np.atleast_1d(np.asarray(value, np.int64))
