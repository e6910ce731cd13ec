"""An encoder bundle that passes vectors through: a real ONNX graph, run by onnxruntime, for cases that are drawn."""

from pathlib import Path

import msgspec
import onnx

from fedfin.encoders.bundle import Manifest, VectorRecipe, file_digest


def write_bundle(folder: Path, modality: str, dim: int) -> Manifest:
    """Inputs and features [dim] are the same."""
    helper, float_ = onnx.helper, onnx.TensorProto.FLOAT
    value = [helper.make_tensor_value_info(name, float_, ["n", dim]) for name in ("values", "features")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["values"], ["features"])], "pass", value[:1], value[1:]
    )
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "encoder.onnx")
    manifest = Manifest(
        name="pass-through",
        modality=modality,
        dim=dim,
        onnx="encoder.onnx",
        recipe=VectorRecipe(length=dim),
        files={"encoder.onnx": file_digest(folder / "encoder.onnx")},
        quantization="none",
        source="a drawing",
        licence="Apache-2.0",
        versions={},
    )
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return manifest
