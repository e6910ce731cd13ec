"""Bundles without a graph, for an encoder that a test puts in their place."""

import hashlib
from typing import ClassVar

import msgspec
import numpy as np

from fedfin.encoders.bundle import ImageRecipe, Manifest, TextRecipe

RECIPES = {
    "image": ImageRecipe(8, 8, 1, "bilinear", 1.0, (0.0,), (1.0,)),
    "text": TextRecipe("tokenizer.json", 8, 0, ("input_ids",)),
}

NOTHING = b"\x08\x0a"  # as a graph: its version and no more


def write_bundle(folder, kind, tokenizer=NOTHING):
    """A bundle's manifest, and files that hold nothing; 2 features."""
    files = {"encoder.onnx": NOTHING} | ({"tokenizer.json": tokenizer} if kind == "text" else {})
    manifest = Manifest(
        name=f"stub-{kind}",
        modality=kind,
        dim=2,
        onnx="encoder.onnx",
        recipe=RECIPES[kind],
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        quantization="none",
        source="made in a test",
        licence="Apache-2.0",
        versions={},
    )
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return folder


class StubEncoder:
    """Features: the length of a text or of a file's name, and 1. Notes what it was given in `seen`."""

    seen: ClassVar[list] = []
    stop_at = None

    @classmethod
    def open(cls, _folder, _providers):
        """In the place of `open_encoder`."""
        return cls()

    def encode_noted(self, value):
        """One input, as the real one is given them; nothing is noted."""
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(value)
        length = len(value if isinstance(value, str) else value.name)
        return np.array([length, 1], np.float32), ()
