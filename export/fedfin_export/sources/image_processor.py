"""A Hugging Face image processor as a recipe: every key of its settings is kept, or refused by name.

transformers fills in what preprocessor_config.json leaves out, as each kind of processor has its own defaults.
The processor's own pixels, by Pillow, are the reference that the recipe is held against.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import ImageRecipe, Interpolation
from fedfin.errors import InputError
from fedfin_export.quiet import quiet
from fedfin_export.reasons import first_line

if TYPE_CHECKING:
    from PIL.Image import Image

FILE = "preprocessor_config.json"
# Of one grey level. Ours is float32 throughout, and theirs rounds elsewhere; another filter or size is far beyond.
TOLERANCE = 0.02
CONVNEXT_SQUASHES = 384  # from this side on ConvNeXt does not crop (Liu et al. 2022, as in transformers)

KEPT = {
    *("do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct"),
    *("do_rescale", "rescale_factor", "rescale_offset", "include_top"),
    *("do_normalize", "image_mean", "image_std"),
}
# Sites always hand on RGB, and the rest speaks of names, labels and containers.
WITHOUT_EFFECT = {
    *(
        "do_convert_rgb",
        "do_reduce_labels",
        "image_processor_type",
        "feature_extractor_type",
        "processor_class",
    ),
    *("return_tensors", "data_format", "input_data_format", "device", "disable_grouping", "use_fast"),
    *("_valid_processor_keys", "_processor_class", "name_or_path", "transformers_version"),
}


class ImageProcessor:
    """The image processor of a folder. Raises InputError where transformers cannot make it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._processor = _load(folder)
        resolved: dict[str, Any] = json.loads(self._processor.to_json_string())
        self._settings = {**read_json(self.path), **resolved}

    def recipe(self) -> ImageRecipe:
        """The recipe that gives the processor's pixels. Raises InputError, naming the key, where none does."""
        self._refuse_unknown()
        squash, resize, crop = self._sides()
        scale, mean, std = self._affine()
        return ImageRecipe(
            resize=resize,
            crop=crop,
            channels=3,
            interpolation=self._interpolation(),
            scale=scale,
            mean=tuple(float(value) for value in mean),
            std=tuple(float(value) for value in std),
            fit="squash" if squash else "shorter side",
        )

    def check(self, recipe: ImageRecipe, image: "Image", tensor: NDArray[np.float32]) -> None:
        """Compare a recipe's tensor [channels, crop, crop] with the processor's own. Raises InputError."""
        own = self._pixels(image)
        level = recipe.scale / np.asarray(recipe.std)[:, np.newaxis, np.newaxis]
        if own.shape != tensor.shape or np.max(np.abs(own - tensor) / np.abs(level)) > TOLERANCE:
            raise InputError(
                f"{self.path}: its image processor gives other pixels than the recipe made of "
                f"{', '.join(sorted(KEPT & set(self._settings)))}; state the preprocessing with --recipe"
            )

    def _pixels(self, image: "Image") -> NDArray[np.float32]:
        try:
            return np.asarray(self._processor(image.convert("RGB"))["pixel_values"][0], np.float32)
        except Exception as error:  # noqa: BLE001 - transformers raises many kinds, all meaning this
            raise InputError(
                f"{self.path}: its image processor fails on an image ({first_line(error)}); "
                "mend the file, or state the preprocessing with --recipe"
            ) from None

    def _refuse_unknown(self) -> None:
        for key, value in self._settings.items():
            if key not in KEPT | WITHOUT_EFFECT and value not in (None, False):
                raise self._refusal(key, "a recipe has nothing like it")

    def _refusal(self, key: str, why: str) -> InputError:
        value = json.dumps(self._settings.get(key))
        return InputError(
            f"{self.path}: `{key}`: {value} cannot be kept: {why}; state the preprocessing with --recipe, "
            "or put it into a module of your own for --torch"
        )

    def _sides(self) -> tuple[bool, int, int]:
        """Whether both sides are resized to one, that side, and the side that is cropped."""
        if not self._settings.get("do_resize"):
            raise self._refusal("do_resize", "images of all sizes would go in")
        squash, side = self._size()
        if self._settings.get("crop_pct") is not None:
            return self._convnext(side, squash=squash)
        if self._settings.get("do_center_crop"):
            crop = self._square("crop_size")
            if crop > side:
                raise self._refusal("crop_size", f"it is larger than the resized side, {side}")
            return squash, side, crop
        if not squash:
            raise self._refusal("size", "without `do_center_crop` images of all shapes would go in")
        return True, side, side

    def _size(self) -> tuple[bool, int]:
        size = self._settings.get("size")
        if isinstance(size, dict) and set(size) == {"shortest_edge"}:
            return False, int(size["shortest_edge"])
        return True, self._square("size")

    def _square(self, key: str) -> int:
        size = self._settings.get(key)
        if not isinstance(size, dict) or set(size) != {"height", "width"} or len(set(size.values())) != 1:
            raise self._refusal(key, "only square inputs are understood")
        return int(size["height"])

    def _convnext(self, side: int, *, squash: bool) -> tuple[bool, int, int]:
        if not type(self._processor).__name__.startswith("ConvNext") or self._settings.get("do_center_crop"):
            raise self._refusal("crop_pct", "it is understood of ConvNeXt processors alone")
        if squash:
            raise self._refusal("size", "ConvNeXt processors want a `shortest_edge`")
        if side >= CONVNEXT_SQUASHES:
            return True, side, side
        return False, int(side / self._settings["crop_pct"]), side

    def _interpolation(self) -> Interpolation:
        names: tuple[Interpolation, ...] = get_args(Interpolation)
        number = self._settings.get("resample")
        if not isinstance(number, int) or not 0 <= number < len(names):
            raise self._refusal("resample", "Pillow's filters are 0 to 5")
        return names[number]

    def _affine(self) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Scale, mean and std of the steps rescale, offset, normalize and `include_top`, folded into one."""
        settings = self._settings
        mean, std = np.zeros(3), np.ones(3)
        if settings.get("do_normalize"):
            mean, std = self._channels("image_mean"), self._channels("image_std")
        rescale = bool(settings.get("do_rescale"))
        if rescale and settings.get("rescale_offset"):
            mean = mean + 1.0
        if settings.get("include_top"):  # EfficientNet: divides by image_std once more
            std = std * self._channels("image_std")
        return float(settings["rescale_factor"]) if rescale else 1.0, mean, std

    def _channels(self, key: str) -> NDArray[np.float64]:
        values = self._settings.get(key)
        if not isinstance(values, list) or len(values) != 3 or (key == "image_std" and 0 in values):  # noqa: PLR2004
            raise self._refusal(key, "three numbers are wanted, and none of image_std is 0")
        return np.asarray(values, np.float64)


def _load(folder: Path) -> Any:
    from transformers import AutoImageProcessor

    try:
        with quiet():
            return AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, backend="pil"
            )
    except Exception as error:  # noqa: BLE001 - transformers raises many kinds, all meaning this
        raise InputError(
            f"{folder / FILE}: transformers makes no image processor of it ({first_line(error)}); "
            "state the preprocessing with --recipe"
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a Hugging Face folder. Raises InputError."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read it as JSON ({error})") from None
    if not isinstance(settings, dict):
        raise InputError(f"{path}: holds no JSON object; save the folder anew with save_pretrained")
    return settings
