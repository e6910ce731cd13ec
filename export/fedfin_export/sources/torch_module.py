"""Any torch module of the user's, by `package.module:name` or `file.py:name`, with its recipe in a file.

The named object is a module, or a class or function without arguments that returns one. It is the user's own
code and runs as such.
"""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe, VectorRecipe
from fedfin.errors import InputError
from fedfin_export.sources.float_encoder import FloatEncoder

KINDS: dict[type, str] = {ImageRecipe: "image", TextRecipe: "text", VectorRecipe: "vector"}


def load(spec: str, modality: str | None, recipe_path: Path) -> FloatEncoder:
    """The encoder that `spec` names; a text recipe's tokenizer lies next to the recipe. Raises InputError."""
    from torch import nn

    where, _, attribute = spec.rpartition(":")
    if not where:
        raise InputError(f"--torch {spec}: write PACKAGE.MODULE:NAME or FILE.py:NAME")
    try:
        found = getattr(_python_module(where), attribute)
    except AttributeError:
        raise InputError(f"--torch {spec}: {where} has no `{attribute}`") from None
    module = found if isinstance(found, nn.Module) else found()
    if not isinstance(module, nn.Module):
        raise InputError(
            f"--torch {spec}: `{attribute}` gave a {type(module).__name__}, not a torch.nn.Module"
        )
    recipe = read_recipe(recipe_path)
    tokenizer = _tokenizer(recipe, recipe_path.parent)
    if isinstance(recipe, TextRecipe):
        recipe = msgspec.structs.replace(recipe, tokenizer="tokenizer.json")  # its name in the bundle
    return FloatEncoder(
        name=attribute.lower().strip("_"),
        modality=modality or KINDS[type(recipe)],
        module=module,
        recipe=recipe,
        source=f"torch module {Path(where).name}:{attribute}",
        licence="unknown",
        tokenizer=tokenizer,
    )


def read_recipe(path: Path) -> Recipe:
    """A recipe as manifest.json holds it: {"kind": "image", "resize": 224, ...}. Raises InputError."""
    try:
        recipe: Recipe = msgspec.json.decode(path.read_bytes(), type=Recipe)
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe ({error.strerror}); check --recipe") from None
    except msgspec.MsgspecError as error:
        raise InputError(
            f"{path}: not a preprocessing recipe: {error}; docs/export.md shows one of each kind"
        ) from None
    return recipe


def _python_module(where: str) -> ModuleType:
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except FileNotFoundError:
        raise InputError(f"--torch: there is no file {where}; check the path") from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"--torch {where}: no module named {error.name}; install it or check PYTHONPATH"
        ) from None
    return module


def _tokenizer(recipe: Any, folder: Path) -> str | None:
    if not isinstance(recipe, TextRecipe):
        return None
    try:
        return (folder / recipe.tokenizer).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{folder / recipe.tokenizer}: cannot read the tokenizer ({error.strerror})"
        ) from None
