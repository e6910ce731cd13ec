"""What an image file should look like, by other code than ours: pydicom's own processing, Pillow's, dcmtk's."""

import io
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

Pixels = NDArray[np.float64]


def reference(path: Path) -> Pixels:
    """Grey or RGB, 0 to 255, by pydicom for DICOM, else by Pillow. Raises whatever these raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path, formats=("PNG", "JPEG"))
        except OSError:
            return show(pydicom.dcmread(path, force=True))
        return _photograph(ImageOps.exif_transpose(image))


def _photograph(image: Image.Image) -> Pixels:
    """What is transparent weighs as much as it is opaque: the rest is black."""
    grey = image.mode in {"1", "L", "LA"}
    if not image.has_transparency_data:
        return np.asarray(image.convert("L" if grey else "RGB"), np.float64)
    layer = np.asarray(image.convert("RGBA"), np.float64)
    colours: Pixels = layer[:, :, :3] * layer[:, :, 3:] / 255
    return colours[:, :, 0] if grey else colours


def show(dataset: Any) -> Pixels:
    """One frame, 0 to 255, by pydicom's decoder of choice and its processing."""
    pixels = dataset.pixel_array
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return np.asarray(colours / np.iinfo(colours.dtype).max * 255, np.float64)
    if dataset.SamplesPerPixel == 3:
        return np.asarray(pixels / (2.0**dataset.BitsStored - 1) * 255, np.float64)
    grey = _grey(_stored(pixels, dataset), dataset)
    return 255 - grey if kind == "MONOCHROME1" else grey


def _stored(pixels: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """The BitsStored bits below HighBit: pydicom leaves in what other bits hold, which is no value (PS3.5 8.1.1)."""
    if pixels.dtype.kind == "f":
        return pixels
    above = 8 * pixels.dtype.itemsize - 1 - dataset.HighBit
    stored: NDArray[Any] = pixels << above >> above + dataset.HighBit + 1 - dataset.BitsStored
    return stored


def _grey(pixels: NDArray[Any], dataset: Any) -> Pixels:
    values = apply_modality_lut(pixels, dataset)
    if values.dtype.kind in "iu":
        values = values.astype(np.int64)  # pydicom overflows where a table begins below 0
    if "VOILUTSequence" in dataset:
        return np.asarray(apply_voi_lut(values, dataset) / _top(dataset.VOILUTSequence[0]) * 255, np.float64)
    if dataset.get("WindowWidth"):
        low, high = _window_range(dataset, values.dtype)
        return np.asarray((apply_voi_lut(values, dataset) - low) / (high - low) * 255, np.float64)
    kept = values[_is_picture(pixels, dataset)]
    low, high = float(np.nanmin(kept)), float(np.nanmax(kept))
    # Of one single value nothing is to be seen, whatever the padding is.
    return np.clip((values.astype(np.float64) - low) / (high - low or np.inf) * 255, 0, 255)


def _top(item: Any) -> int:
    return int(2 ** item.LUTDescriptor[2] - 1)


def _window_range(dataset: Any, kind: np.dtype[Any]) -> tuple[float, float]:
    """The output range of pydicom's windows: that of the stored bits, rescaled; found by two extreme values."""
    extremes = np.asarray([-1e30, 1e30]) if kind.kind == "f" else np.asarray([-(2**40), 2**40])
    low, high = apply_voi_lut(extremes, dataset)
    return float(low), float(high)


def _is_picture(pixels: NDArray[Any], dataset: Any) -> NDArray[np.bool_]:
    """Not padding: PixelPaddingValue, up to PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.ones(pixels.shape, np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    wide = pixels.astype(np.int64)
    picture = (wide < min(value, limit)) | (wide > max(value, limit))
    return picture if picture.any() else np.ones(pixels.shape, np.bool_)


def dcmtk(path: Path) -> Pixels | None:
    """The same by dcm2pnm, dcmj2pnm or dcml2pnm; None where dcmtk is not installed or cannot show the file."""
    dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    view = ["+Wm"] if not dataset.get("WindowWidth") else ["+Wi", "1"]
    view = ["+Wl", "1"] if "VOILUTSequence" in dataset else view
    for tool in ("dcm2pnm", "dcmj2pnm", "dcml2pnm"):
        if shutil.which(tool):
            done = subprocess.run(
                [tool, "-q", "-O", *view, path], capture_output=True, check=False, timeout=60
            )
            if done.returncode == 0 and done.stdout:
                return np.asarray(Image.open(io.BytesIO(done.stdout)), np.float64)
    return None
