"""From an input to an encoder's feeds, as the bundle's recipe says."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe, VectorRecipe
from fedfin.errors import InputError
from fedfin_edge.cases.digests import Input

Feeds = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Prepared:
    """An input's parts, feeds with a batch of one and their weights, and what was noted when it was read.

    A long text has several windows; all else is one part.
    """

    parts: list[tuple[Feeds, int]]
    notes: tuple[str, ...] = ()


Prepare = Callable[[Input], Prepared]


def make_prepare(folder: Path, recipe: Recipe) -> Prepare:
    """The function that prepares one input; InputError for a bad input."""
    if isinstance(recipe, ImageRecipe):
        return _image(recipe)
    if isinstance(recipe, TextRecipe):
        return _text(folder, recipe)
    return _vector(recipe)


def _image(recipe: ImageRecipe) -> Prepare:
    from fedfin.encoders.images import read_image
    from fedfin.encoders.preprocessing import image_tensor

    def prepare(value: Input) -> Prepared:
        if not isinstance(value, Path):
            raise InputError("is not a file")
        picture = read_image(value)
        return Prepared([({recipe.input_name: image_tensor(recipe, picture.image)[None]}, 1)], picture.notes)

    return prepare


def _text(folder: Path, recipe: TextRecipe) -> Prepare:
    from fedfin.encoders.preprocessing import open_tokenizer, text_windows
    from fedfin.encoders.texts import read_text
    from fedfin.encoders.vocabulary import note_vocabulary

    tokenizer = open_tokenizer(folder / recipe.tokenizer)

    def prepare(value: Input) -> Prepared:
        if not isinstance(value, str):
            raise InputError("is not text")
        read = read_text(value)
        windows = text_windows(recipe, tokenizer, read.text)
        notes = (*read.notes, *note_vocabulary(tokenizer, read.text))
        return Prepared([(dict(window.feeds), window.weight) for window in windows], notes)

    return prepare


def _vector(recipe: VectorRecipe) -> Prepare:
    def prepare(value: Input) -> Prepared:
        values = value if isinstance(value, np.ndarray) else np.zeros(0, np.float32)
        if values.shape != (recipe.length,):
            raise InputError(f"is not a list of {recipe.length} numbers")
        return Prepared([({recipe.input_name: values[None]}, 1)])

    return prepare
