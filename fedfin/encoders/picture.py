"""What reading an image file gives: 8-bit pixels, and notes on what the file left open. No pydicom."""

from dataclasses import dataclass

from PIL import Image

from fedfin.errors import InputError

# The largest medical detectors make about 30 million pixels; PIL's own limit against decompression bombs.
MAX_PIXELS = 89_478_485
# Preprocessing scales the shorter side up: a line of a million pixels would become gigabytes.
MAX_ASPECT = 20


@dataclass(frozen=True)
class Picture:
    """An 8-bit image, mode L or RGB. A note says what was decided, never what the file holds."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def check_pixels(width: int, height: int) -> None:
    """Refuse an image by the size that it claims, before anything of that size is allocated.

    Raises InputError.
    """
    if min(width, height) < 1:
        raise InputError("claims to have no pixels")
    if width * height > MAX_PIXELS:
        raise InputError(f"claims more than {MAX_PIXELS:,} pixels")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"is more than {MAX_ASPECT} times as long as wide")
