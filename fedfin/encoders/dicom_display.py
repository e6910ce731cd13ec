"""From stored values to what is shown, in the standard's order (PS3.3 C.7.6.3, C.11.1, C.11.2).

Modality LUT or rescale, then VOI LUT or window, then inversion for MONOCHROME1, so that dense is bright.
Without a VOI the range of the values is shown, padding left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from fedfin.encoders.dicom_elements import decimals
from fedfin.encoders.dicom_lut import LookupTable, read_table
from fedfin.encoders.dicom_voi import Transform, value_range, voi
from fedfin.errors import InputError

# Looked up at a time: 5 MB of places in a wide image, which stay in the cache. 7 ms an image, 12 at once.
ROWS = 256


def show(stored: NDArray[Any], dataset: Any, notes: list[str]) -> NDArray[np.uint8]:
    """uint8 [rows, columns] or [rows, columns, 3] of `dicom_pixels.read_stored`'s values. Raises InputError."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(stored, dataset)
        return _to_eight_bits(colours, colours.dtype.itemsize * 8)
    if stored.ndim == 3:  # noqa: PLR2004  rows, columns, samples
        return _to_eight_bits(stored, int(dataset.BitsStored))
    return _show_grey(stored, dataset, notes)


def _to_eight_bits(colours: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    if bits == 8:  # noqa: PLR2004
        return colours.astype(np.uint8)
    shown: NDArray[np.uint8] = np.rint(np.clip(colours / ((1 << bits) - 1), 0, 1) * 255).astype(np.uint8)
    return shown


def _show_grey(stored: NDArray[Any], dataset: Any, notes: list[str]) -> NDArray[np.uint8]:
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    _check_shape(dataset, inverted, notes)
    levels, places = _levels(stored)
    little = bool(dataset.file_meta.TransferSyntaxUID.is_little_endian)
    rescale = _modality(dataset, little=little, notes=notes)
    values = rescale(levels.astype(np.float64))
    signed = bool(values.size and values.min() < 0)
    view = voi(dataset, signed=signed, little=little, notes=notes)
    if view is None:
        view = value_range(rescale(_pictured(stored, dataset).astype(np.float64)))
    shown = np.rint(_finite(view(values), notes) * 255).astype(np.uint8)
    shown = 255 - shown if inverted else shown
    return shown if places is None else _look_up(shown, places)


def _look_up(shown: NDArray[np.uint8], places: NDArray[Any]) -> NDArray[np.uint8]:
    """`shown[places]`, block by block: numpy makes 8 bytes of each place before it looks it up."""
    found = np.empty(places.shape, np.uint8)
    for start in range(0, len(places), ROWS):
        block = slice(start, start + ROWS)
        np.take(shown, places[block], out=found[block], mode="clip")  # every place exists; "raise" copies
    return found


def _levels(stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Every value that integers of up to 16 bits can have, and each pixel's place among them.

    What is then computed is computed 65,536 times, not once a pixel, and the bits are the same.
    """
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:  # noqa: PLR2004
        return stored, None
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    stored = np.ascontiguousarray(stored.astype(stored.dtype.newbyteorder("="), copy=False))
    levels = np.arange(1 << (8 * unsigned.itemsize)).astype(unsigned).view(stored.dtype)
    return levels, stored.view(unsigned)


def _modality(dataset: Any, *, little: bool, notes: list[str]) -> Transform:
    """PS3.3 C.11.1: a lookup table, or slope and intercept; an empty slope is 1, an empty intercept 0."""
    if tables := dataset.get("ModalityLUTSequence"):
        table: LookupTable = read_table(tables[0], signed=bool(dataset.PixelRepresentation), little=little)
        return table
    slope = _rescale(dataset, "RescaleSlope", 1.0, notes)
    intercept = _rescale(dataset, "RescaleIntercept", 0.0, notes)
    return lambda values: values * slope + intercept


def _rescale(dataset: Any, keyword: str, default: float, notes: list[str]) -> float:
    found: list[str] = []
    numbers = decimals(dataset, keyword, found)
    if found and not numbers:
        raise InputError("is DICOM whose rescale slope or intercept is no number")
    notes += found
    return numbers[0] if numbers else default


def _pictured(stored: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """The values that occur, without padding (PS3.3 C.7.5.1.1.2) and without what is not finite."""
    levels, places = _levels(stored)
    if places is not None:
        occurs = np.zeros(levels.shape, np.bool_)
        occurs[places] = True
        levels = levels[occurs]
    finite: NDArray[Any] = levels[np.isfinite(levels)]
    kept = finite[~_is_padding(finite, dataset)]
    return kept if kept.size else finite


def _is_padding(levels: NDArray[Any], dataset: Any) -> NDArray[np.bool_]:
    prefix = {"f4": "Float", "f8": "DoubleFloat"}.get(levels.dtype.str[1:], "")
    value = dataset.get(f"{prefix}PixelPaddingValue")
    if value is None:
        return np.zeros(levels.shape, np.bool_)
    limit = dataset.get(f"{prefix}PixelPaddingRangeLimit")
    # Some devices write a signed value as unsigned: the bits are what counts.
    ends = np.asarray([value, value if limit is None else limit])
    low, high = sorted(ends.astype(levels.dtype).tolist())
    padding: NDArray[np.bool_] = (levels >= low) & (levels <= high)
    return padding


def _finite(shown: NDArray[np.float64], notes: list[str]) -> NDArray[np.float64]:
    if np.isfinite(shown).all():
        return shown
    notes.append("is DICOM with pixels that are no numbers (NaN): these are black")
    return np.nan_to_num(shown, nan=0.0)


def _check_shape(dataset: Any, inverted: bool, notes: list[str]) -> None:
    """PS3.3 C.8.11.1.1.2 wants INVERSE with MONOCHROME1 and IDENTITY with MONOCHROME2."""
    shape = str(dataset.get("PresentationLUTShape") or "")
    if shape and shape != ("INVERSE" if inverted else "IDENTITY"):
        notes.append(
            "is DICOM whose PresentationLUTShape contradicts its photometric interpretation: ignored"
        )
