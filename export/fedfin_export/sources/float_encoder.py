"""What a source of encoders hands on: a float torch module, and how its input is made."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedfin.encoders.bundle import Recipe

if TYPE_CHECKING:
    import torch

    from fedfin_export.sources.image_processor import ImageProcessor


@dataclass(frozen=True)
class FloatEncoder:
    """A float encoder before export.

    `module(*inputs)` takes tensors in the order of the recipe's input names and returns features
    float32 [n, dim]. `tokenizer` is the text of tokenizer.json, for text encoders.
    `processor` is what the recipe was made of, where there is one: both must give the same pixels.
    """

    name: str
    modality: str
    module: "torch.nn.Module"
    recipe: Recipe
    source: str
    licence: str
    tokenizer: str | None = None
    processor: "ImageProcessor | None" = None

    def __post_init__(self) -> None:
        self.module.eval()
