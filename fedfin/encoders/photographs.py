"""PNG and JPEG files as 8-bit images, mode L or RGB.

Turned as EXIF says. What is transparent becomes black, as the ground of a radiograph is. 16-bit greys are
scaled by the smallest usual depth that holds the largest value, of 16-bit colours the upper byte is taken.
CMYK is converted without a colour profile; profiles and gamma are not applied.
"""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from fedfin.encoders.picture import MAX_PIXELS, Picture, check_pixels
from fedfin.encoders.preprocessing import to_eight_bits
from fedfin.errors import InputError

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def read_photograph(data: bytes) -> Picture:
    """Decode one PNG or JPEG. Raises InputError with the reason."""
    try:
        with warnings.catch_warnings():
            # Between one and two times its limit PIL only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["PNG", "JPEG"])
        check_pixels(*image.size)
        _check_frames(image)
        return _upright(image)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError("is not a PNG, JPEG or DICOM image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"claims more than {MAX_PIXELS:,} pixels") from None
    except Exception:  # noqa: BLE001  a decoder met by damaged bytes may raise anything
        raise InputError("is truncated or damaged: its pixels cannot be decoded") from None


def _check_frames(image: Image.Image) -> None:
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise InputError("is an animated PNG; a case takes one image")


def _upright(image: Image.Image) -> Picture:
    image.load()
    notes: list[str] = []
    turned = ImageOps.exif_transpose(image)
    if image.getexif().get(0x0112, 1) in range(2, 9):
        notes.append("is turned upright, as its EXIF orientation says")
    if image.mode == "CMYK":
        notes.append("is CMYK: converted to RGB without a colour profile")
    return Picture(to_eight_bits(_on_black(turned, notes)), tuple(notes))


def _on_black(image: Image.Image, notes: list[str]) -> Image.Image:
    """What is transparent over black; an opaque image as it is."""
    if not image.has_transparency_data or image.mode.startswith("I"):
        return image
    grey = image.mode in {"1", "L", "LA", "La"}
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() == (255, 255):
        return layer.convert("L" if grey else "RGB")
    notes.append("is transparent in places: these are shown over black")
    ground = Image.new("RGBA", layer.size, (0, 0, 0, 255))
    return Image.alpha_composite(ground, layer).convert("L" if grey else "RGB")
