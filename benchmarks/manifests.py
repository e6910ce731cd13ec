"""Manifests of encoder bundles that benchmarks make."""

from pathlib import Path

import msgspec

from fedfin.encoders.bundle import Manifest, VectorRecipe, file_digest


def write_manifest(folder: Path, modality: str, dim: int, *, name: str, source: str) -> Manifest:
    """Beside the `encoder.onnx` that is in the folder; it reads vectors [dim]."""
    manifest = Manifest(
        name=name,
        modality=modality,
        dim=dim,
        onnx="encoder.onnx",
        recipe=VectorRecipe(length=dim),
        files={"encoder.onnx": file_digest(folder / "encoder.onnx")},
        quantization="none",
        source=source,
        licence="Apache-2.0",
        versions={},
    )
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return manifest
