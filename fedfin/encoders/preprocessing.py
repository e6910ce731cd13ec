"""From an image or a text to an encoder's input tensors, by the manifest's recipe: no torch.

The exporter calibrates and measures with these functions, and the edge encodes with them, so that a bundle's
parity report speaks of what a site will really see. PIL and tokenizers load inside the functions: importing
this module costs numpy only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import ImageRecipe, TextRecipe
from fedfin.errors import BundleError

if TYPE_CHECKING:
    from PIL.Image import Image

# Detectors deliver 8 to 16 bits, and 12-bit radiographs are often stored unscaled in 16-bit PNGs: the
# smallest depth that holds an image's maximum is taken as its depth, or such images would come out black.
DEPTHS = (8, 10, 12, 14, 16)


def to_eight_bits(image: "Image") -> "Image":
    """An 8-bit `L` or `RGB` image of the same size; 16-bit grey is scaled by its bit depth (see DEPTHS)."""
    if image.mode.startswith("I"):
        from PIL import Image

        return Image.fromarray(scale_to_eight_bits(np.asarray(image)))
    if image.mode in ("1", "L", "LA", "La"):
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
    image = to_eight_bits(image).convert("RGB" if recipe.channels == 3 else "L")  # noqa: PLR2004 - RGB
    width, height = image.size
    short = min(width, height)
    size = (round(width * recipe.resize / short), round(height * recipe.resize / short))
    if size != image.size:
        image = image.resize(size, Image.Resampling[recipe.interpolation.upper()])
    left, top = (size[0] - recipe.crop) // 2, (size[1] - recipe.crop) // 2
    image = image.crop((left, top, left + recipe.crop, top + recipe.crop))
    pixels = np.asarray(image, np.float32).reshape(recipe.crop, recipe.crop, recipe.channels)
    pixels = pixels * np.float32(recipe.scale) - np.asarray(recipe.mean, np.float32)
    return np.ascontiguousarray((pixels / np.asarray(recipe.std, np.float32)).transpose(2, 0, 1))


def open_tokenizer(path: Path) -> Any:
    """A bundle's tokenizer.json as a `tokenizers.Tokenizer`. Raises BundleError."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception for whatever it cannot parse
        raise BundleError(f"{path}: not a usable tokenizer.json ({error}); export the bundle again") from None


def text_tensors(recipe: TextRecipe, tokenizer: Any, texts: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Texts as int64 [n, tokens] by input name, cut at max_tokens, padded to the longest of them.

    Int8 text encoders scale their activations by the whole batch: a text's features depend, in the third
    decimal, on what it is batched with. Whoever needs the same features every time passes one text at a time.
    """
    tokenizer.enable_truncation(max_length=recipe.max_tokens)
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch(list(texts))
    tokens = max((len(encoding.ids) for encoding in encodings), default=0)
    parts = {
        "input_ids": ([encoding.ids for encoding in encodings], recipe.pad_id),
        "attention_mask": ([encoding.attention_mask for encoding in encodings], 0),
        "token_type_ids": ([encoding.type_ids for encoding in encodings], 0),
    }
    return {name: _padded(*parts[name], tokens) for name in recipe.inputs}


def _padded(rows: list[list[int]], fill: int, tokens: int) -> NDArray[np.int64]:
    """Rows of token numbers as int64 [n, tokens], filled up on the right."""
    out = np.full((len(rows), tokens), fill, np.int64)
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    return out
