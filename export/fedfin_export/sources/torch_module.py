"""Any torch module of the user's, by `package.module:name` or `file.py:name`, with its recipe in a file.

The named object is a module, or a class or function without arguments that returns one. It is the user's own
code and runs as such.
"""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from fedfin.decoding import UNDECODABLE
from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe, VectorRecipe
from fedfin.errors import InputError
from fedfin_export.reasons import definition_line, first_line, users_line
from fedfin_export.sources.float_encoder import FloatEncoder

if TYPE_CHECKING:
    from torch import nn

KINDS: dict[type, str] = {ImageRecipe: "image", TextRecipe: "text", VectorRecipe: "vector"}


def load(spec: str, modality: str | None, recipe_path: Path) -> FloatEncoder:
    """The encoder that `spec` names; a text recipe's tokenizer lies next to the recipe. Raises InputError."""
    where, _, attribute = spec.rpartition(":")
    if not where:
        raise InputError(f"--torch {spec}: write PACKAGE.MODULE:NAME or FILE.py:NAME")
    python_module = _python_module(where)
    if not hasattr(python_module, attribute):
        raise InputError(f"--torch {spec}: {where} has no `{attribute}`")
    module = _made(spec, getattr(python_module, attribute))
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


def _made(spec: str, found: Any) -> "nn.Module":
    """The module that the user named, or what the factory or class that the user named returns."""
    from torch import nn

    made = found
    if callable(found) and not isinstance(found, nn.Module):
        try:
            made = found()
        except Exception as error:  # noqa: BLE001 - the user's own code
            raise _failed(spec, error, found) from None
    if not isinstance(made, nn.Module):
        raise InputError(
            f"--torch {spec}: gives a {type(made).__name__}, not a torch.nn.Module; "
            "name a function that builds the module and loads its weights"
        )
    return made


def _failed(spec: str, error: Exception, factory: object) -> InputError:
    """What the user's own code raised, and where; a missing file by its name."""
    where = users_line(error) or definition_line(factory)
    remedy = "it must build the module, on the CPU, without arguments"
    if '"module.' in str(error):
        remedy = "the weights were saved from torch.nn.DataParallel: take `module.` off their names"
    return InputError(
        f"--torch {spec}: your code raises {type(error).__name__}: {first_line(error)}{where}; {remedy}"
    )


def read_recipe(path: Path) -> Recipe:
    """A recipe as manifest.json holds it: {"kind": "image", "resize": 224, ...}. Raises InputError."""
    try:
        recipe: Recipe = msgspec.json.decode(path.read_bytes(), type=Recipe)
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe ({error.strerror}); check --recipe") from None
    except UNDECODABLE as error:
        raise InputError(
            f"{path}: not a preprocessing recipe: {error}; docs/export.md shows one of each kind"
        ) from None
    return recipe


def _python_module(where: str) -> ModuleType:
    if where.endswith(".py") and not Path(where).is_file():
        raise InputError(f"--torch: there is no file {where}; check the path")
    try:
        return _from_file(where) if where.endswith(".py") else importlib.import_module(where)
    except ModuleNotFoundError as error:
        raise InputError(
            f"--torch {where}: no module named {error.name}{users_line(error)}; install it or check PYTHONPATH"
        ) from None
    except Exception as error:  # noqa: BLE001 - the user's own code
        raise _failed(where, error, None) from None


def _from_file(where: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(where).stem, where)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
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
