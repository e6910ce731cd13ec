"""The cases that int8 is calibrated on, the hold-out on which it is then judged, and those that axes are made of."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe, VectorRecipe
from fedfin.encoders.images import read_image
from fedfin.encoders.preprocessing import image_tensor, text_windows
from fedfin.encoders.texts import read_text
from fedfin.errors import InputError
from fedfin_export.progress import Progress, counted, silent
from fedfin_export.quantize.sentences import SENTENCES
from fedfin_export.sources.float_encoder import FloatEncoder

if TYPE_CHECKING:
    from fedfin_export.sources.image_processor import ImageProcessor

Batch = dict[str, NDArray[Any]]
_Spread = Callable[[Sequence[Any]], Iterator[Any]]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom", "")  # archives write DICOM without a suffix
MIN_CASES = 12
# Ranges settle within about a hundred images; more only costs time.
MAX_CASES = 192
# Axes need more cases than there are of them.
MAX_AXIS_CASES = 1024
HOLD_OUT_EVERY = 3


@dataclass(frozen=True)
class Calibration:
    """Batches of one case each, as int8 text encoders scale activations by the batch; what was `skipped`."""

    calibrate: list[Batch]
    hold_out: list[Batch]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """What inputs are made by. `processor`: what the recipe was made of, where there is one."""

    recipe: Recipe
    tokenizer: str | None = None
    processor: "ImageProcessor | None" = None

    @classmethod
    def of(cls, encoder: FloatEncoder) -> "Source":
        """An encoder's."""
        return cls(encoder.recipe, encoder.tokenizer, encoder.processor)


def read_calibration(encoder: FloatEncoder, path: Path | None, progress: Progress = silent) -> Calibration:
    """Cases from a folder of images, a file of texts (one a line) or a .npy of vectors [n, length].

    Images: every third in sorted order is held out, the same each time. Texts and vectors: all are held out,
    as dynamic quantization calibrates on nothing. Images and texts that sites would leave out are skipped.
    Raises InputError.
    """
    recipe = encoder.recipe
    skipped: list[str] = []
    batches = list(read_batches(Source.of(encoder), path, MAX_CASES, skipped, progress))
    if len(batches) < MIN_CASES:
        raise InputError(
            f"{path}: {len(batches)} usable cases to calibrate on; give at least {MIN_CASES}, better 100"
        )
    if not isinstance(recipe, ImageRecipe):
        return Calibration([], batches, tuple(skipped))
    hold_out = batches[::HOLD_OUT_EVERY]
    calibrate = [batch for index, batch in enumerate(batches) if index % HOLD_OUT_EVERY]
    return Calibration(calibrate, hold_out, tuple(skipped))


def read_batches(
    source: Source,
    path: Path | None,
    most: int,
    skipped: list[str],
    progress: Progress = silent,
    what: str = "reading cases",
) -> Iterator[Batch]:
    """At most so many cases, one by one; what cannot be used is added to `skipped`. Raises InputError.

    what: is done with them, for `progress`.
    """

    def spread(items: Sequence[Any]) -> Iterator[Any]:
        return counted(what, _spread(items, most), progress)

    recipe = source.recipe
    if isinstance(recipe, ImageRecipe):
        return _images(source, recipe, path, spread, skipped)
    if isinstance(recipe, TextRecipe):
        return _texts(recipe, source.tokenizer or "", path, spread, skipped)
    return _vectors(recipe, path, spread)


def _images(
    source: Source, recipe: ImageRecipe, folder: Path | None, spread: _Spread, skipped: list[str]
) -> Iterator[Batch]:
    if folder is None:
        raise InputError("an image encoder is calibrated on images: add --calibrate FOLDER_OF_IMAGES")
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of images; check --calibrate")
    for path in spread(_image_files(folder)):
        try:
            image = read_image(path).image
        except InputError as error:
            skipped.append(f"{path}: {error}")
            continue
        tensor = image_tensor(recipe, image)
        if source.processor is not None:
            source.processor.check(recipe, image, tensor)
        yield {recipe.input_name: tensor[np.newaxis]}


def _image_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def _texts(
    recipe: TextRecipe, tokenizer_json: str, path: Path | None, spread: _Spread, skipped: list[str]
) -> Iterator[Batch]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    for line, text in spread(_lines(path)):
        try:
            windows = text_windows(recipe, tokenizer, read_text(text).text)
        except InputError as error:
            skipped.append(f"{path}, line {line}: {error}")
            continue
        yield from (dict(window.feeds) for window in windows)


def _lines(path: Path | None) -> Sequence[tuple[int, str]]:
    """The lines that hold a text, with their numbers."""
    try:
        lines = SENTENCES if path is None else path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot read the texts ({type(error).__name__}); "
            "--calibrate wants a UTF-8 file with one text a line"
        ) from None
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def _vectors(recipe: VectorRecipe, path: Path | None, spread: _Spread) -> Iterator[Batch]:
    if path is None:
        raise InputError("a vector encoder is calibrated on vectors: add --calibrate FILE.npy")
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read it as .npy ({type(error).__name__})") from None
    if values.ndim != 2 or values.shape[1] != recipe.length:  # noqa: PLR2004 - cases by values
        raise InputError(f"{path}: shape {values.shape}; the recipe wants [n, {recipe.length}]")
    for row in spread(list(values)):
        yield {recipe.input_name: row[np.newaxis].astype(np.float32)}


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the items, evenly over all of them."""
    step = max(1, len(items) / most)
    return [
        items[int(index * step)]
        for index in itertools.takewhile(lambda index: int(index * step) < len(items), range(most))
    ]
