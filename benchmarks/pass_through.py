"""An encoder bundle that passes vectors through: a real ONNX graph, run by onnxruntime, for cases that are drawn."""

from pathlib import Path

import onnx

from benchmarks.manifests import write_manifest
from fedfin.encoders.bundle import Manifest


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
    return write_manifest(folder, modality, dim, name="pass-through", source="a drawing")
