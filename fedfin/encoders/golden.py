"""What a bundle's encoder makes of one input that everybody can make: whether it computes here as it did at export.

    golden.json   {"features": [...]}: of that input, float32 [columns], from the graph as it was written

Not part of the bundle's digest: it says nothing that features depend on.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.decoding import UNDECODABLE
from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe
from fedfin.errors import BundleError
from fedfin.files import read_at_most

GOLDEN = "golden.json"
# As between int8 and float at export (fedfin_export/quantize/parity.py): below, a head does not carry over.
LEAST_COSINE = 0.99
_TEXT = "No pleural effusion. Small nodule in the right upper lobe."
Parts = list[tuple[dict[str, NDArray[Any]], int]]


class Golden(msgspec.Struct, frozen=True):
    """The file."""

    features: list[float]


def golden_parts(folder: Path, recipe: Recipe) -> Parts:
    """The input, prepared: feeds with a batch of one, and their weights.

    Of an image it is a ramp, of a text a sentence, of a vector from -1 to 1.
    """
    if isinstance(recipe, ImageRecipe):
        from PIL import Image

        from fedfin.encoders.preprocessing import image_tensor

        rows, columns = np.indices((recipe.resize, recipe.resize))
        ramp = Image.fromarray(((3 * rows + 5 * columns) % 256).astype(np.uint8))
        return [({recipe.input_name: image_tensor(recipe, ramp)[None]}, 1)]
    if isinstance(recipe, TextRecipe):
        from fedfin.encoders.preprocessing import open_tokenizer, text_windows

        windows = text_windows(recipe, open_tokenizer(folder / recipe.tokenizer), _TEXT)
        return [(dict(window.feeds), window.weight) for window in windows]
    return [({recipe.input_name: np.linspace(-1.0, 1.0, recipe.length, dtype=np.float32)[None]}, 1)]


def read_golden(folder: Path) -> NDArray[np.float32] | None:
    """Features float32 [columns]; None for a bundle without. Raises BundleError."""
    path = folder / GOLDEN
    try:
        data = msgspec.json.decode(read_at_most(path, limits.SETTINGS_BYTES), type=Golden)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE):
        raise BundleError(f"{path}: is damaged; get the bundle from the coordinator again") from None
    return np.array(data.features, np.float32)


def cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Between two vectors; 0 where they are not of one length, or one is nothing or not finite."""
    if left.shape != right.shape:
        return 0.0
    one, other = left.astype(np.float64), right.astype(np.float64)
    product = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / product if np.isfinite(product) and product > 0.0 else 0.0
