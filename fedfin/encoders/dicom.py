"""DICOM files as 8-bit images: what a viewer would show with the file's own settings.

The order is the standard's (PS3.3 C.7.6.3, C.11.1, C.11.2): modality rescale, then the first VOI window, then
inversion for MONOCHROME1. Without a window the range of the values is shown.
"""

import io
import logging
import warnings
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels import processing

from fedfin.encoders.images import check_pixels
from fedfin.errors import InputError

# pydicom quotes the values that it finds odd; a patient's must not reach a log.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def read_dicom(data: bytes) -> Image.Image:
    """A single-frame DICOM image, mode L or RGB. Raises InputError with the reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values, too
        return _read(data)


def _read(data: bytes) -> Image.Image:
    dataset = _parse(data)
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError("is DICOM without pixels (a report or a presentation state?)")
    try:
        _check_size(dataset)
        return Image.fromarray(_render(dataset))
    except InputError:
        raise
    except Exception:  # noqa: BLE001  pydicom and its decoders raise anything on damaged elements
        raise InputError(f"is DICOM whose pixels cannot be decoded ({_syntax(dataset)})") from None


def _check_size(dataset: Any) -> None:
    check_pixels(int(dataset.Columns), int(dataset.Rows))
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise InputError("is DICOM with several frames; a case takes one image")


def _parse(data: bytes) -> Any:
    try:
        # force: some archives write files without the preamble.
        return pydicom.dcmread(io.BytesIO(data), force=True)
    except Exception:  # noqa: BLE001
        raise InputError("is not readable as DICOM") from None


def _syntax(dataset: Any) -> str:
    """The transfer syntax, by which an engineer finds the missing decoder; a file may name any text there."""
    uid = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", "")
    name = str(getattr(uid, "name", uid))
    return f"transfer syntax: {name}" if name != uid else "transfer syntax unknown"


def _render(dataset: Any) -> NDArray[np.uint8]:
    pixels = dataset.pixel_array
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        return _colours(processing.apply_color_lut(pixels, dataset))
    if pixels.ndim == 3:  # noqa: PLR2004  rows, columns, samples
        return _colours(
            processing.convert_color_space(pixels, kind, "RGB") if kind.startswith("YBR") else pixels
        )
    values = processing.apply_modality_lut(pixels, dataset).astype(np.float64)
    grey = np.rint(_show(values, dataset) * 255).astype(np.uint8)
    return 255 - grey if kind == "MONOCHROME1" else grey


def _colours(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    # Palettes may hold 16 bits per colour.
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def _show(values: NDArray[np.float64], dataset: Any) -> NDArray[np.float64]:
    """Values -> 0..1 by the file's window, else by its lookup table, else by the range of the values."""
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        function = str(dataset.get("VOILUTFunction") or "LINEAR")
        return _window(values, _first(dataset.WindowCenter), _first(dataset.WindowWidth), function)
    if "VOILUTSequence" in dataset:
        values = processing.apply_voi_lut(values.astype(np.int64), dataset).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    return np.zeros_like(values) if high == low else (values - low) / (high - low)


def _first(value: Any) -> float:
    return float(value if isinstance(value, (int, float)) else value[0])


def _window(values: NDArray[np.float64], center: float, width: float, function: str) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2 (LINEAR) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT), output 0..1."""
    if function == "SIGMOID":
        # Beyond 500 the exponential is 0 or 1 in 8 bits, and overflows.
        shown: NDArray[np.float64] = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -500, 500)))
        return shown
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-6)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)
