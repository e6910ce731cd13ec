"""The cases that int8 is calibrated on, and the hold-out on which it is then judged."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import ImageRecipe, TextRecipe, VectorRecipe
from fedfin.encoders.images import read_image
from fedfin.encoders.preprocessing import image_tensor, text_windows
from fedfin.encoders.texts import read_text
from fedfin.errors import InputError
from fedfin_export.quantize.sentences import SENTENCES
from fedfin_export.sources.float_encoder import FloatEncoder

Batch = dict[str, NDArray[Any]]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom", "")  # archives write DICOM without a suffix
MIN_CASES = 12
# Ranges settle within about a hundred images; more only costs time.
MAX_CASES = 192
HOLD_OUT_EVERY = 3


@dataclass(frozen=True)
class Calibration:
    """Batches of one case each, as int8 text encoders scale activations by the batch; what was `skipped`."""

    calibrate: list[Batch]
    hold_out: list[Batch]
    skipped: tuple[str, ...] = ()


def read_calibration(encoder: FloatEncoder, path: Path | None) -> Calibration:
    """Cases from a folder of images, a file of texts (one a line) or a .npy of vectors [n, length].

    Images: every third in sorted order is held out, the same each time. Texts and vectors: all are held out,
    as dynamic quantization calibrates on nothing. Images and texts that sites would leave out are skipped.
    Raises InputError.
    """
    recipe = encoder.recipe
    skipped: list[str] = []
    if isinstance(recipe, ImageRecipe):
        batches = _images(encoder, recipe, path, skipped)
    elif isinstance(recipe, TextRecipe):
        batches = _texts(recipe, encoder.tokenizer or "", path, skipped)
    else:
        batches = _vectors(recipe, path)
    if len(batches) < MIN_CASES:
        raise InputError(
            f"{path}: {len(batches)} usable cases to calibrate on; give at least {MIN_CASES}, better 100"
        )
    if not isinstance(recipe, ImageRecipe):
        return Calibration([], batches, tuple(skipped))
    hold_out = batches[::HOLD_OUT_EVERY]
    calibrate = [batch for index, batch in enumerate(batches) if index % HOLD_OUT_EVERY]
    return Calibration(calibrate, hold_out, tuple(skipped))


def _images(
    encoder: FloatEncoder, recipe: ImageRecipe, folder: Path | None, skipped: list[str]
) -> list[Batch]:
    if folder is None:
        raise InputError("an image encoder is calibrated on images: add --calibrate FOLDER_OF_IMAGES")
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of images; check --calibrate")
    batches: list[Batch] = []
    for path in _spread(_image_files(folder)):
        try:
            image = read_image(path).image
        except InputError as error:
            skipped.append(f"{path}: {error}")
            continue
        tensor = image_tensor(recipe, image)
        if encoder.processor is not None:
            encoder.processor.check(recipe, image, tensor)
        batches.append({recipe.input_name: tensor[np.newaxis]})
    return batches


def _image_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def _texts(recipe: TextRecipe, tokenizer_json: str, path: Path | None, skipped: list[str]) -> list[Batch]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    batches: list[Batch] = []
    for line, text in _spread(_lines(path)):
        try:
            windows = text_windows(recipe, tokenizer, read_text(text).text)
        except InputError as error:
            skipped.append(f"{path}, line {line}: {error}")
            continue
        batches += [dict(window.feeds) for window in windows]
    return batches


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


def _vectors(recipe: VectorRecipe, path: Path | None) -> list[Batch]:
    if path is None:
        raise InputError("a vector encoder is calibrated on vectors: add --calibrate FILE.npy")
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read it as .npy ({type(error).__name__})") from None
    if values.ndim != 2 or values.shape[1] != recipe.length:  # noqa: PLR2004 - cases by values
        raise InputError(f"{path}: shape {values.shape}; the recipe wants [n, {recipe.length}]")
    return [{recipe.input_name: row[np.newaxis].astype(np.float32)} for row in _spread(list(values))]


def _spread(items: Sequence[Any]) -> list[Any]:
    """At most MAX_CASES of the items, evenly over all of them."""
    step = max(1, len(items) / MAX_CASES)
    return [
        items[int(index * step)]
        for index in itertools.takewhile(lambda index: int(index * step) < len(items), range(MAX_CASES))
    ]
