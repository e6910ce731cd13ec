"""Image files as 8-bit PIL images: PNG, JPEG and DICOM. Everything wrong with one is an InputError.

Files come from many devices and transfers, so any of them may be truncated, mislabelled or hostile: what a
file claims about its size is checked before its pixels are decoded. What changes a pixel here must raise
`fedfin.encoders.bundle.READER`: sites compare it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL.Image import Image

from fedfin.encoders.photographs import SIGNATURES, read_photograph
from fedfin.encoders.picture import Picture
from fedfin.errors import InputError
from fedfin.files import read_at_most

# The largest detectors' images are about 60 MB, uncompressed; in colour with 16 bits the most pixels take 512 MiB.
MAX_FILE = 512 << 20

# Archives write files without the preamble, and name them without a suffix: such a file begins with an
# element of group 0002 or 0008, in either byte order.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")


def read_image(path: Path) -> Picture:
    """The image in a PNG, JPEG or DICOM file, mode L or RGB, with notes on what the file left open.

    DICOM is shown as its own settings say (see `fedfin.encoders.dicom`), so that dense is bright; photographs
    as `fedfin.encoders.photographs` says. Raises InputError with the reason, without the path.
    """
    try:
        data = read_at_most(path, MAX_FILE)
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})") from None
    if not data:
        raise InputError("the file is empty")
    picture = _read(data, path)
    if _is_flat(picture.image):
        return replace(picture, notes=(*picture.notes, "is a picture of one single value"))
    return picture


def _read(data: bytes, path: Path) -> Picture:
    if _is_dicom(data, path):
        from fedfin.encoders.dicom import read_dicom

        return read_dicom(data)
    return read_photograph(data)


def _is_dicom(data: bytes, path: Path) -> bool:
    if data[128:132] == b"DICM":
        return True
    if data.startswith(SIGNATURES):
        return False
    return data.startswith(_FIRST_GROUPS) or path.suffix.lower() in {".dcm", ".dicom"}


def _is_flat(image: Image) -> bool:
    width, height = image.size
    # Nearly always the middle row tells; all of a large image takes 5 ms.
    middle = image.crop((0, height // 2, width, height // 2 + 1))
    return _has_one_value(middle) and _has_one_value(image)


def _has_one_value(image: Image) -> bool:
    return all(low == high for low, high in np.reshape(image.getextrema(), (-1, 2)))
