"""A local Hugging Face folder as an encoder: text by attention-masked mean, images by pooled output.

Nothing is downloaded, and no code of the folder runs.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe
from fedfin.errors import InputError, MissingExtraError
from fedfin_export.sources.float_encoder import FloatEncoder
from fedfin_export.sources.pooling import ImagePooled, TextMean

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 512  # of a window: attention is quadratic in it
OVERLAP = 32  # about two sentences of context that the next window repeats
RESAMPLE = {2: "bilinear", 3: "bicubic"}  # PIL's numbers, as preprocessor_config.json gives them


def load(folder: Path, modality: str | None, recipe: Recipe | None) -> FloatEncoder:
    """The encoder of a folder; `recipe`, where given, replaces what the folder says. Raises InputError."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: no Hugging Face model folder, it has no config.json; save one with "
            "model.save_pretrained(FOLDER) and tokenizer.save_pretrained(FOLDER)"
        )
    if (folder / "preprocessor_config.json").is_file() or isinstance(recipe, ImageRecipe):
        return load_image(folder, modality or "image", recipe if isinstance(recipe, ImageRecipe) else None)
    return load_text(folder, modality or "text")


def load_text(
    folder: Path,
    modality: str,
    *,
    name: str | None = None,
    source: str | None = None,
    licence: str | None = None,
) -> FloatEncoder:
    """A text encoder: last hidden state, mean over the tokens that attention_mask shows."""
    model = _model(folder)
    return FloatEncoder(
        name=name or bundle_name(folder),
        modality=modality,
        module=TextMean(model),
        recipe=_text_recipe(folder, model.config),
        source=source or f"Hugging Face folder {folder.name}",
        licence=licence or "unknown",
        tokenizer=_tokenizer_json(folder),
    )


def load_image(folder: Path, modality: str, recipe: ImageRecipe | None) -> FloatEncoder:
    """An image encoder: pooled output where the model has one, else the mean of the last hidden state."""
    return FloatEncoder(
        name=bundle_name(folder),
        modality=modality,
        module=ImagePooled(_model(folder)),
        recipe=recipe or image_recipe(folder / "preprocessor_config.json"),
        source=f"Hugging Face folder {folder.name}",
        licence="unknown",
    )


def bundle_name(folder: Path) -> str:
    """The folder's name in the letters that a bundle's name may have."""
    letters = "".join(
        letter if letter.isascii() and letter.isalnum() else "-" for letter in folder.resolve().name.lower()
    )
    return letters[:64].strip("-") or "encoder"


def image_recipe(path: Path) -> ImageRecipe:
    """The recipe that preprocessor_config.json states. Raises InputError where it states another kind."""
    settings = _json(path)
    size, crop = settings.get("size", 224), settings.get("crop_size")
    resize = _side(size, path)
    side = _side(crop, path) if crop and settings.get("do_center_crop", True) else resize
    if "crop_pct" in settings:  # ConvNeXt: resize to side / crop_pct, then crop the side
        side, resize = resize, int(resize / settings["crop_pct"])
    factor = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    normalize = settings.get("do_normalize", True)
    return ImageRecipe(
        resize=resize,
        crop=side,
        channels=3,
        interpolation=RESAMPLE.get(settings.get("resample", 2), "bicubic"),  # type: ignore[arg-type]
        scale=factor,
        mean=tuple(settings["image_mean"]) if normalize else (0.0, 0.0, 0.0),
        std=tuple(settings["image_std"]) if normalize else (1.0, 1.0, 1.0),
    )


def _side(size: Any, path: Path) -> int:
    """224, {"shortest_edge": 224} or a square {"height": 224, "width": 224} as 224."""
    if isinstance(size, dict):
        sides = {size[key] for key in ("shortest_edge", "height", "width") if key in size}
        size = sides.pop() if len(sides) == 1 else None
    if not isinstance(size, int):
        raise InputError(f"{path}: only square inputs are understood; state the preprocessing with --recipe")
    return size


def _text_recipe(folder: Path, config: Any) -> TextRecipe:
    pad = config.pad_token_id or 0
    # RoBERTa and its kin count positions from pad_token_id + 1, so that many of them are never used.
    offset = pad + 1 if "roberta" in config.model_type or config.model_type == "mpnet" else 0
    limits = [MAX_TOKENS, getattr(config, "max_position_embeddings", MAX_TOKENS) - offset]
    sentence = folder / "sentence_bert_config.json"
    if sentence.is_file():
        limits.append(_json(sentence).get("max_seq_length") or MAX_TOKENS)
    tokens = min(limits)
    overlap = min(OVERLAP, tokens // 8)
    return TextRecipe("tokenizer.json", tokens, pad, ("input_ids", "attention_mask"), overlap=overlap)


def _tokenizer_json(folder: Path) -> str:
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    try:
        from transformers import AutoTokenizer

        return str(AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer.to_str())
    except Exception as error:  # noqa: BLE001 - transformers raises many kinds, all meaning this
        raise InputError(
            f"{folder}: no tokenizer.json, and none can be made from what is there "
            f"({type(error).__name__}); save a fast tokenizer into the folder"
        ) from None


def _model(folder: Path) -> "torch.nn.Module":
    try:
        from transformers import AutoModel
        from transformers.utils.logging import disable_progress_bar
    except ModuleNotFoundError:
        raise MissingExtraError("a Hugging Face encoder", "export") from None
    disable_progress_bar()
    try:
        # eager attention: the fused kernels do not export to plain ONNX operators
        model: torch.nn.Module = AutoModel.from_pretrained(
            folder, local_files_only=True, attn_implementation="eager", dtype="float32"
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{folder}: transformers cannot load it ({str(error).splitlines()[0]})") from None
    return model


def _json(path: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read it as JSON ({error})") from None
    return settings
