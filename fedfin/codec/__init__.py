"""Tensors to few bytes and back: sparsify, quantize, entropy-code, with error feedback. docs/codec.md is the format."""

from fedfin.codec.compression import Compressed, compress, decompress, every_tensor, most_bytes
from fedfin.codec.error_feedback import compensate
from fedfin.codec.layout import Shape, Shapes, Tensors
from fedfin.codec.presets import PRESETS, Preset, Recipe

__all__ = [
    "PRESETS",
    "Compressed",
    "Preset",
    "Recipe",
    "Shape",
    "Shapes",
    "Tensors",
    "compensate",
    "compress",
    "decompress",
    "every_tensor",
    "most_bytes",
]
