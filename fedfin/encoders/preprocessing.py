"""From an image or a text to an encoder's input tensors, by the manifest's recipe: no torch.

The exporter calibrates and measures with these functions, and the edge encodes with them, so that a bundle's
parity report speaks of what a site will really see. PIL and tokenizers load inside the functions: importing
this module costs numpy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import ImageRecipe, TextRecipe
from fedfin.errors import BundleError, InputError
from fedfin.files import read_at_most

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_TOKENIZER = 64 << 20  # bytes of tokenizer.json; those of 250,000 tokens have 17 MB

# Detectors deliver 8 to 16 bits, and 12-bit radiographs are often stored unscaled in 16-bit PNGs: the
# smallest depth that holds an image's maximum is taken as its depth, or such images would come out black.
DEPTHS = (8, 10, 12, 14, 16)


def to_eight_bits(image: "Image") -> "Image":
    """An 8-bit `L` or `RGB` image of the same size; 16-bit grey is scaled by its bit depth (see DEPTHS)."""
    if image.mode.startswith("I"):
        from PIL import Image

        return Image.fromarray(scale_to_eight_bits(np.asarray(image)))
    if image.mode in ("L", "RGB"):
        return image  # `convert` would copy it
    if image.mode in ("1", "LA", "La"):
        return image.convert("L")
    return image.convert("RGB")


def scale_to_eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Integer grey values [rows, columns] of 8 to 16 bits, to 0..255; negative ones become 0."""
    grey = np.clip(values.astype(np.int64), 0, 65535)
    top = int(grey.max(initial=0))
    full = next((1 << depth) - 1 for depth in DEPTHS if top < 1 << depth)
    return np.asarray((grey * 255 + full // 2) // full, np.uint8)


def image_tensor(recipe: ImageRecipe, image: "Image") -> NDArray[np.float32]:
    """One image as float32 [channels, crop, crop], in the order that ImageRecipe states.

    Raises BundleError when the recipe's crop is larger than its resize.
    """
    from PIL import Image

    if recipe.crop > recipe.resize:
        raise BundleError(
            f"the recipe crops {recipe.crop} pixels out of {recipe.resize}; "
            "export the bundle with `crop` at most `resize`"
        )
    image = to_eight_bits(image)
    if recipe.channels == 1 and image.mode != "L":
        image = image.convert("L")
    size = _resized(recipe, image.size)
    if size != image.size:
        image = image.resize(size, Image.Resampling[recipe.interpolation.upper()])
    left, top = (size[0] - recipe.crop) // 2, (size[1] - recipe.crop) // 2
    image = image.crop((left, top, left + recipe.crop, top + recipe.crop))
    return _look_up(_normalized(recipe), np.asarray(image).reshape(recipe.crop, recipe.crop, -1))


def _look_up(levels: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels [rows, columns, channels] by their channel's levels [channels, 256], as [channels, rows, columns].

    One channel stands for all: channels are resized one by one, so grey has the same bits in a third of the time.
    """
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], len(levels)))
    found = np.empty((len(levels), *pixels.shape[:2]), np.float32)
    for channel, row in enumerate(levels):
        # No byte is out of range, and numpy's check for it would have every channel copied.
        row.take(pixels[:, :, channel], out=found[channel], mode="clip")
    return found


def _normalized(recipe: ImageRecipe) -> NDArray[np.float32]:
    """What each grey level becomes, float32 [channels, 256]: computed once a level, not once a pixel."""
    levels = np.arange(256, dtype=np.float32) * np.float32(recipe.scale)
    mean, std = (np.asarray(each, np.float32)[:, None] for each in (recipe.mean, recipe.std))
    normalized: NDArray[np.float32] = (levels - mean) / std
    return normalized


def _resized(recipe: ImageRecipe, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height after resizing."""
    if recipe.fit == "squash":
        return recipe.resize, recipe.resize
    width, height = size
    short = min(width, height)
    return width * recipe.resize // short, height * recipe.resize // short


def open_tokenizer(path: Path) -> Any:
    """A bundle's tokenizer.json as a `tokenizers.Tokenizer`. Raises BundleError."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(read_at_most(path, MAX_TOKENIZER).decode())
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception for whatever it cannot parse
        raise BundleError(f"{path}: not a usable tokenizer.json ({error}); export the bundle again") from None


@dataclass(frozen=True)
class Window:
    """A part of a text as the encoder takes it: int64 [1, tokens] by input name; `weight` is its new tokens."""

    feeds: dict[str, NDArray[np.int64]]
    weight: int


def text_windows(recipe: TextRecipe, tokenizer: Any, text: str) -> list[Window]:
    """A text's windows in reading order, as TextRecipe states; a text without tokens has one all the same.

    Raises InputError for a text of more than `max_windows`, BundleError when windows would not advance.
    """
    room = recipe.max_tokens - tokenizer.num_special_tokens_to_add(is_pair=False)
    if recipe.overlap >= room:
        raise BundleError(
            f"the recipe's windows of {recipe.max_tokens} tokens repeat {recipe.overlap} of them and do not"
            " advance; export the bundle with a smaller `overlap`"
        )
    tokenizer.enable_truncation(max_length=recipe.max_tokens, stride=recipe.overlap)
    tokenizer.no_padding()
    first = tokenizer.encode(text)
    encodings = [first, *first.overflowing]
    if len(encodings) > recipe.max_windows:
        raise InputError(
            f"is a text of {len(encodings)} windows, more than the encoder's {recipe.max_windows}; shorten it"
        )
    return [_window(recipe, encoding, 0 if encoding is first else recipe.overlap) for encoding in encodings]


def _window(recipe: TextRecipe, encoding: Any, repeated: int) -> Window:
    rows = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    feeds: dict[str, NDArray[np.int64]] = {name: np.array([rows[name]], np.int64) for name in recipe.inputs}
    own = len(encoding.ids) - sum(encoding.special_tokens_mask)
    return Window(feeds, own - repeated)


def pool_windows(features: NDArray[np.float32], weights: Sequence[int]) -> NDArray[np.float32]:
    """Windows' features [windows, dim] to a text's [dim]; those of a single window stay as they are, bit by bit."""
    if len(features) == 1:
        return np.asarray(features[0])
    pooled: NDArray[np.float32] = np.average(features, axis=0, weights=weights).astype(np.float32)
    return pooled
