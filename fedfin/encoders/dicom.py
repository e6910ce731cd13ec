"""DICOM files as 8-bit images: what a viewer would show with the file's own settings.

    bytes -> dataset (here) -> stored values (dicom_pixels) -> grey or colour (dicom_display)

Where the standard or the decoders leave open what is meant, the file is refused, or the choice is noted.
"""

import io
import logging
import warnings
import zlib
from typing import Any

import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileMetaDataset

from fedfin.encoders.dicom_display import show
from fedfin.encoders.dicom_pixels import read_stored
from fedfin.encoders.picture import Picture, check_pixels
from fedfin.errors import InputError

# pydicom and its decoders quote the values that they find odd; a patient's must not reach a log.
for _name in ("pydicom", "pylibjpeg", "openjpeg"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# A deflated file may grow a thousandfold. The largest detectors' images are about 60 MB.
MAX_INFLATED = 256 << 20
_BLOCK = 1 << 20
_META_GROUP = 2


def read_dicom(data: bytes) -> Picture:
    """A single-frame DICOM image, mode L or RGB, and what was noted. Raises InputError with the reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values, too
        return _read(data)


def _read(data: bytes) -> Picture:
    dataset = _parse(data)
    if not any(name in dataset for name in PIXELS):
        raise InputError("is DICOM without pixels (a report or a presentation state?)")
    notes: list[str] = []
    try:
        _check_size(dataset)
        _name_syntax(dataset, notes)
        return Picture(Image.fromarray(show(read_stored(dataset, notes), dataset, notes)), tuple(notes))
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
        check_inflated(data)
        # force: some archives write files without the preamble.
        return pydicom.dcmread(io.BytesIO(data), force=True)
    except InputError:
        raise
    except Exception:  # noqa: BLE001
        raise InputError("is not readable as DICOM") from None


def check_inflated(data: bytes) -> None:
    """Refuse a deflated dataset that grows beyond MAX_INFLATED, holding one block of it at a time.

    Raises InputError, and whatever pydicom raises on damaged elements.
    """
    stream = io.BytesIO(data)
    pydicom.filereader.read_preamble(stream, force=True)
    meta = pydicom.filereader.read_dataset(
        stream, False, True, stop_when=lambda tag, _, __: tag >> 16 != _META_GROUP
    )
    if meta.get("TransferSyntaxUID") != uid.DeflatedExplicitVRLittleEndian:
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    grown, rest = 0, stream.read()
    while rest and not inflate.eof:
        grown += len(inflate.decompress(rest, _BLOCK))
        rest = inflate.unconsumed_tail
        if grown > MAX_INFLATED:
            raise InputError(f"is deflated DICOM of more than {MAX_INFLATED >> 20} MiB")


def _name_syntax(dataset: Any, notes: list[str]) -> None:
    """Files without a meta header are implicit or explicit VR, which the parser saw (PS3.10 7.1, PS3.5 10.1)."""
    if getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None):
        return
    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        raise InputError(
            "is DICOM that is compressed but does not say how (no transfer syntax); export it again"
        )
    implicit, little = dataset.original_encoding
    dataset.file_meta = FileMetaDataset()
    explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    notes.append("is DICOM without a meta header: read as the default, uncompressed")


def _syntax(dataset: Any) -> str:
    """The transfer syntax, by which an engineer finds what is wrong; a file may name any text there."""
    named = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", "")
    name = str(getattr(named, "name", named))
    return f"transfer syntax: {name}" if name != named else "transfer syntax unknown"
