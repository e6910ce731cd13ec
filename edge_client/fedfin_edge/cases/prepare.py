"""From an input to an encoder's feeds, as the bundle's recipe says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe, VectorRecipe
from fedfin.errors import InputError
from fedfin_edge.cases.digests import Input

Feeds = dict[str, NDArray[Any]]
# An input's parts with their weights: a long text has several windows, all else is one part.
Parts = list[tuple[Feeds, int]]
Prepare = Callable[[Input], Parts]


def make_prepare(folder: Path, recipe: Recipe) -> Prepare:
    """The function that turns one input into feeds with a batch of one each; InputError for a bad input."""
    if isinstance(recipe, ImageRecipe):
        return _image(recipe)
    if isinstance(recipe, TextRecipe):
        return _text(folder, recipe)
    return _vector(recipe)


def _image(recipe: ImageRecipe) -> Prepare:
    from fedfin.encoders.images import read_image
    from fedfin.encoders.preprocessing import image_tensor

    def prepare(value: Input) -> Parts:
        if not isinstance(value, Path):
            raise InputError("is not a file")
        return [({recipe.input_name: image_tensor(recipe, read_image(value))[None]}, 1)]

    return prepare


def _text(folder: Path, recipe: TextRecipe) -> Prepare:
    from fedfin.encoders.preprocessing import open_tokenizer, text_windows

    tokenizer = open_tokenizer(folder / recipe.tokenizer)

    def prepare(value: Input) -> Parts:
        if not isinstance(value, str):
            raise InputError("is not text")
        return [(dict(window.feeds), window.weight) for window in text_windows(recipe, tokenizer, value)]

    return prepare


def _vector(recipe: VectorRecipe) -> Prepare:
    def prepare(value: Input) -> Parts:
        values = np.asarray(value if isinstance(value, list) else [], np.float32)
        if values.shape != (recipe.length,):
            raise InputError(f"is not a list of {recipe.length} numbers")
        return [({recipe.input_name: values[None]}, 1)]

    return prepare
