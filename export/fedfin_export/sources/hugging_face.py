"""A local Hugging Face folder as an encoder: text by attention-masked mean, images by pooled output.

Nothing is downloaded, and no code of the folder runs.
"""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe
from fedfin.errors import InputError, MissingExtraError
from fedfin_export.quiet import quiet
from fedfin_export.reasons import first_line
from fedfin_export.sources.float_encoder import FloatEncoder
from fedfin_export.sources.image_processor import FILE, ImageProcessor, read_json
from fedfin_export.sources.pooling import ImagePooled, TextMean

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 512  # of a window: attention is quadratic in it
LFS_POINTER = b"version https://git-lfs"
OVERLAP = 32  # about two sentences of context that the next window repeats


def load(folder: Path, modality: str | None, recipe: Recipe | None) -> FloatEncoder:
    """The encoder of a folder; `recipe`, where given, replaces what the folder says. Raises InputError."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: no Hugging Face model folder, it has no config.json; save one with "
            "model.save_pretrained(FOLDER) and tokenizer.save_pretrained(FOLDER)"
        )
    if (folder / FILE).is_file() or isinstance(recipe, ImageRecipe):
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
    if model.main_input_name != "input_ids":
        raise InputError(
            f"{folder}: reads {model.main_input_name}, not text, and has no {FILE}; save one with "
            "processor.save_pretrained(FOLDER), or state the preprocessing of images with --recipe"
        )
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
    model = _model(folder)
    processor = None
    if recipe is None:
        processor = ImageProcessor(folder)
        recipe = processor.recipe()
    _check_channels(folder, model.config, recipe)
    return FloatEncoder(
        name=bundle_name(folder),
        modality=modality,
        module=ImagePooled(model),
        recipe=recipe,
        source=f"Hugging Face folder {folder.name}",
        licence="unknown",
        processor=processor,
    )


def _check_channels(folder: Path, config: Any, recipe: ImageRecipe) -> None:
    channels = getattr(config, "num_channels", recipe.channels)
    if channels != recipe.channels:
        raise InputError(
            f"{folder}: its model takes {channels} channel(s) and its recipe makes {recipe.channels}; "
            f'state the preprocessing with --recipe and "channels": {channels}'
        )


def bundle_name(folder: Path) -> str:
    """The folder's name in the letters that a bundle's name may have."""
    letters = "".join(
        letter if letter.isascii() and letter.isalnum() else "-" for letter in folder.resolve().name.lower()
    )
    return letters[:64].strip("-") or "encoder"


def _text_recipe(folder: Path, config: Any) -> TextRecipe:
    pad = config.pad_token_id or 0
    # RoBERTa and its kin count positions from pad_token_id + 1, so that many of them are never used.
    offset = pad + 1 if "roberta" in config.model_type or config.model_type == "mpnet" else 0
    limits = [MAX_TOKENS, getattr(config, "max_position_embeddings", MAX_TOKENS) - offset]
    sentence = folder / "sentence_bert_config.json"
    if sentence.is_file():
        limits.append(read_json(sentence).get("max_seq_length") or MAX_TOKENS)
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
    _refuse_pointers(folder)
    if read_json(folder / "config.json").get("model_type") == "timm_wrapper":
        raise InputError(
            f"{folder}: holds a timm model, which transformers only wraps; write a file that returns "
            "timm.create_model(..., num_classes=0) with its weights, and give it by --torch"
        )
    try:
        # eager attention: the fused kernels do not export to plain ONNX operators
        with quiet():
            model, loaded = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                attn_implementation="eager",
                dtype="float32",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
            )
    except Exception as error:  # noqa: BLE001 - transformers and safetensors raise many kinds, all meaning this
        raise InputError(f"{folder}: transformers cannot load it ({first_line(error)})") from None
    _check_sizes(folder, loaded["mismatched_keys"])
    _check_weights(folder, model, loaded["missing_keys"])
    module: torch.nn.Module = model
    return module


def _check_sizes(folder: Path, mismatched: Collection[tuple[str, Any, Any]]) -> None:
    if mismatched:
        name, found, wanted = min(mismatched, key=str)
        raise InputError(
            f"{folder}: its weights do not have the sizes of its config.json: {name} is {list(found)}, "
            f"not {list(wanted)}; take both from the same model"
        )


def _check_weights(folder: Path, model: Any, missing: Collection[str]) -> None:
    """Refuse a checkpoint with too few tensors: transformers makes up the rest, as noise. Only a pooler may go."""
    lacks = sorted(name for name in missing if not name.startswith("pooler."))
    if lacks:
        raise InputError(
            f"{folder}: its weights lack {len(lacks)} of the model's tensors, {lacks[0]} first; "
            "check that they belong to its config.json"
        )
    if missing:
        model.pooler = None


def _refuse_pointers(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.is_file() and _begins(path, LFS_POINTER):
            raise InputError(
                f"{path}: is a pointer of Git LFS, not the file itself; run `git lfs pull` in {folder}"
            )


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(start)) == start
