"""TorchXRayVision's DenseNet-121 on chest X-rays, 1024 features, when the user has the library.

Source: Cohen et al. 2022 (arXiv 2111.00595). Its input is one grey channel scaled to [-1024, 1024].
"""

from pathlib import Path
from typing import Any

from fedfin.encoders.bundle import ImageRecipe
from fedfin.errors import InputError
from fedfin_export.reasons import first_line
from fedfin_export.sources.float_encoder import FloatEncoder

WRAPPER = "module."
WEIGHTS = "densenet121-res224-all"
# (x / 255 * 2 - 1) * 1024, as torchxrayvision.utils.normalize
RECIPE = ImageRecipe(
    resize=224,
    crop=224,
    channels=1,
    interpolation="bilinear",
    scale=2048.0 / 255.0,
    mean=(1024.0,),
    std=(1.0,),
)


def load(weights: Path | None, modality: str) -> FloatEncoder:
    """The preset, with the library's own weights or a state dict from a file. Raises InputError."""
    try:
        import torchxrayvision
    except ModuleNotFoundError as error:
        raise InputError(
            f"the preset xrv-densenet121 needs {error.name}: pip install torchxrayvision"
        ) from None
    network = torchxrayvision.models.DenseNet(weights=None if weights else WEIGHTS)
    if weights:
        load_state(network, weights)
    return FloatEncoder(
        name="xrv-densenet121",
        modality=modality,
        module=_pooled(network),
        recipe=RECIPE,
        source=f"torchxrayvision {WEIGHTS if weights is None else weights.name}",
        licence="Apache-2.0",
    )


def load_state(network: Any, path: Path) -> None:
    """Load a state dict saved with torch.save; a pickled model is refused, it could run code.

    Raises InputError.
    """
    import torch

    if path.is_file() and not path.stat().st_size:
        raise InputError(f"{path}: is empty; copy the weights anew")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(_without_wrapper(state))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such weights file; check --weights") from None
    except Exception as error:  # noqa: BLE001 - damaged bytes make torch raise anything
        raise InputError(
            f"{path}: not this model's state dict ({first_line(error)}); "
            "save one with torch.save(model.state_dict(), FILE)"
        ) from None


def _without_wrapper(state: Any) -> Any:
    """A state dict without the prefix that torch.nn.DataParallel puts before every name."""
    if isinstance(state, dict) and state and all(str(name).startswith(WRAPPER) for name in state):
        return {name.removeprefix(WRAPPER): value for name, value in state.items()}
    return state


def _pooled(network: Any) -> Any:
    """The DenseNet's feature maps, ReLU, mean over positions: [n, 1, 224, 224] to [n, 1024]."""
    from torch import nn

    return nn.Sequential(network.features, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
