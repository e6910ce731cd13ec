"""Values of interest: from rescaled values to 0..1 by a lookup table or a window (PS3.3 C.11.2)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.dicom_elements import decimals
from fedfin.encoders.dicom_lut import read_table

Transform = Callable[[NDArray[np.float64]], NDArray[np.float64]]
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def voi(dataset: Any, *, signed: bool, little: bool, notes: list[str]) -> Transform | None:
    """The file's first view, None if it has none. Its lookup table goes before its windows, as in pydicom."""
    pairs = _windows(dataset, notes)
    tables = dataset.get("VOILUTSequence") or []
    if len(tables) + len(pairs) > 1:
        notes.append("is DICOM with several windows or lookup tables: the first is used")
    if tables:
        return _scaled(tables[0], signed=signed, little=little, notes=notes)
    if pairs:
        return _window(*pairs[0], _function(dataset, notes), notes)
    return None


def value_range(values: NDArray[np.float64]) -> Transform:
    """From the smallest to the largest of the values; all of one value are 0."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if high == low:
        return np.zeros_like
    return lambda each: np.clip((each - low) / (high - low), 0, 1)


def _windows(dataset: Any, notes: list[str]) -> list[tuple[float, float]]:
    centers, widths = decimals(dataset, "WindowCenter", notes), decimals(dataset, "WindowWidth", notes)
    pairs = [(center, width) for center, width in zip(centers, widths, strict=False) if width > 0]
    if len(pairs) < max(len(centers), len(widths)):
        notes.append("is DICOM with a window that is none (no width above 0, or no center): it is ignored")
    return pairs


def _function(dataset: Any, notes: list[str]) -> str:
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if function in FUNCTIONS:
        return function
    notes.append("is DICOM with a window of an unknown function: LINEAR is used")
    return "LINEAR"


def _scaled(item: Any, *, signed: bool, little: bool, notes: list[str]) -> Transform:
    """A table's output over its own range, not over this image's."""
    table = read_table(item, signed=signed, little=little)
    if table.entries.max() > table.top:
        notes.append("is DICOM whose lookup table exceeds its own range: cut there")
    return lambda values: np.minimum(table(values) / table.top, 1)


def _window(center: float, width: float, function: str, notes: list[str]) -> Transform:
    """PS3.3 C.11.2.1.2 (LINEAR) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT)."""
    if function == "SIGMOID":
        return lambda values: _sigmoid(values, center, width)
    if function == "LINEAR" and width < 1:
        notes.append("is DICOM with a window narrower than 1: read as LINEAR_EXACT")
        function = "LINEAR_EXACT"
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    return lambda values: _linear(values, center, width)


def _linear(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    if width == 0:
        return (values > center).astype(np.float64)
    shown: NDArray[np.float64] = np.clip((values - center) / width + 0.5, 0, 1)
    return shown


def _sigmoid(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    # Beyond 500 the exponential is 0 or 1 in 8 bits, and overflows.
    shown: NDArray[np.float64] = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -500, 500)))
    return shown
