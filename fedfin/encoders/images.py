"""Image files as 8-bit PIL images: PNG, JPEG and DICOM. Everything wrong with one is an InputError.

Files come from many devices and transfers, so any of them may be truncated, mislabelled or hostile: what a
file claims about its size is checked before its pixels are decoded.
"""

import io
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from fedfin.encoders.preprocessing import to_eight_bits
from fedfin.errors import InputError

# The largest medical detectors make about 30 million pixels; PIL's own limit against decompression bombs.
MAX_PIXELS = 89_478_485
# Preprocessing scales the shorter side up: a line of a million pixels would become gigabytes.
MAX_ASPECT = 20


def read_image(path: Path) -> Image.Image:
    """The image in a PNG, JPEG or DICOM file, mode L or RGB.

    16-bit greys are scaled to 8 bits by the number of bits in use; DICOM values are rescaled, windowed and,
    for MONOCHROME1, inverted, so that dense is bright. Raises InputError with the reason, without the path.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})") from None
    if not data:
        raise InputError("the file is empty")
    if _is_dicom(data, path):
        from fedfin.encoders.dicom import read_dicom

        return read_dicom(data)
    return _read_picture(data)


def _is_dicom(data: bytes, path: Path) -> bool:
    return data[128:132] == b"DICM" or path.suffix.lower() in {".dcm", ".dicom"}


def _read_picture(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Between one and two times its limit PIL only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["PNG", "JPEG"])
        check_pixels(*image.size)
        image.load()
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError("is not a PNG, JPEG or DICOM image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"claims more than {MAX_PIXELS:,} pixels") from None
    except Exception:  # noqa: BLE001  a decoder met by damaged bytes may raise anything
        raise InputError("is truncated or damaged: its pixels cannot be decoded") from None
    return to_eight_bits(image)


def check_pixels(width: int, height: int) -> None:
    """Refuse an image by the size that it claims, before anything of that size is allocated."""
    if min(width, height) < 1:
        raise InputError("claims to have no pixels")
    if width * height > MAX_PIXELS:
        raise InputError(f"claims more than {MAX_PIXELS:,} pixels")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"is more than {MAX_ASPECT} times as long as wide")
