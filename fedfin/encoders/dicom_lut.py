"""Lookup tables of DICOM: Modality LUT and VOI LUT sequences (PS3.3 C.11.1.1.1, C.11.2.1.1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.dicom_elements import words
from fedfin.errors import InputError

_WRAP = 1 << 16
_BITS = range(8, 17)  # of an entry (PS3.3 C.11.1.1.1)


@dataclass(frozen=True)
class LookupTable:
    """`entries` float64 [n] for the values from `first` on; `top`: the largest value of the entries' bits."""

    first: int
    entries: NDArray[np.float64]
    top: int

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values below the first take the first entry, those beyond the last the last."""
        places = np.clip(values - self.first, 0, len(self.entries) - 1)
        found: NDArray[np.float64] = self.entries[places.astype(np.intp)]
        return found


def read_table(item: Any, *, signed: bool, little: bool) -> LookupTable:
    """The table in an item of a LUT sequence; `signed`: whether its input can be negative.

    Raises InputError where descriptor and data contradict each other.
    """
    count, first, bits = (int(each) for each in words(item.LUTDescriptor, little=little))
    first -= _WRAP if signed and first >= _WRAP // 2 else 0
    entries = _entries(item.LUTData, count or _WRAP, bits, little=little)
    if len(entries) < (count or _WRAP) or bits not in _BITS:
        raise InputError("is DICOM whose lookup table is not as its descriptor says")
    return LookupTable(first, entries[: count or _WRAP].astype(np.float64), (1 << bits) - 1)


def _entries(data: Any, count: int, bits: int, *, little: bool) -> NDArray[Any]:
    # Tables of 8 bits come packed, two entries a word, or one entry a word.
    if bits == 8 and isinstance(data, bytes) and len(data) < 2 * count:  # noqa: PLR2004
        return np.frombuffer(data, np.uint8)
    return words(data, little=little)
