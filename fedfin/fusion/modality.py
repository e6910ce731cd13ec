"""Parts of a torch module kept per modality, and the names its tensors have on the wire.

A modality may be called `type` or `train`, which torch refuses as a module's name because every module has
such an attribute. Inside torch a modality's name therefore carries a prefix, which the wire never shows.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

PREFIX = "m_"

ByModality = Mapping[str, Tensor]


def key(modality: str) -> str:
    """The name of a modality's part inside a torch module."""
    return PREFIX + modality


def parts(modules: Mapping[str, nn.Module]) -> nn.ModuleDict:
    """One module per modality."""
    return nn.ModuleDict({key(modality): module for modality, module in modules.items()})


def linears(dims: Mapping[str, int], outputs: int) -> nn.ModuleDict:
    """One linear layer [dim -> outputs] per modality."""
    return parts({modality: nn.Linear(dim, outputs) for modality, dim in dims.items()})


def by_modality(modalities: Iterable[str], mask: Tensor) -> dict[str, Tensor]:
    """Columns of bool [n, modalities] by name."""
    return dict(zip(modalities, mask.unbind(dim=1), strict=True))


def wire_name(torch_name: str) -> str:
    """The wire name of a parameter or buffer: `head.real.m_image.weight` is `head.real.image.weight`."""
    return ".".join(segment.removeprefix(PREFIX) for segment in torch_name.split("."))


def total(tensors: Iterable[Tensor]) -> Tensor:
    """Sum at least one tensor, in order."""
    first, *rest = tensors
    for tensor in rest:
        first = first + tensor
    return first
