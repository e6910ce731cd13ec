"""Tensors to few bytes and back: sparsify, quantize, entropy-code, with error feedback. docs/codec.md is the format."""

from fedfin.protocol.codec.body import Compressed, compress, decompress, most_bytes
from fedfin.protocol.codec.feedback import compensate
from fedfin.protocol.codec.layout import Shapes, Tensors
from fedfin.protocol.codec.presets import PRESETS, Preset, Recipe

__all__ = [
    "PRESETS",
    "Compressed",
    "Preset",
    "Recipe",
    "Shapes",
    "Tensors",
    "compensate",
    "compress",
    "decompress",
    "most_bytes",
]
