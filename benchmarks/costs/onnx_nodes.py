"""Multiply-adds of an ONNX graph, node by node, for one input: int8 nodes apart from float ones.

Shapes are those that the nodes really see: the graph is run once, with the inputs of all that multiplies as outputs.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import BundleError

CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv"}
PRODUCTS = {"MatMul", "MatMulInteger", "QLinearMatMul", "Gemm"}
INTEGER = {"ConvInteger", "QLinearConv", "MatMulInteger", "QLinearMatMul"}
# What multiplies too, and is in no graph of ours: to pass over it would make a graph look cheap.
NOT_COUNTED = {"Einsum", "ConvTranspose", "LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention"}

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Counted:
    """Multiply-adds in int8 and in float, and the values that the graph holds."""

    int8: int
    float: int
    values: int

    @property
    def total(self) -> int:
        """Of both kinds."""
        return self.int8 + self.float


def count(path: Path, inputs: Arrays) -> Counted:
    """Raises BundleError for a graph with a node that multiplies and is not known here."""
    import onnx

    model = onnx.load(path)
    nodes = list(model.graph.node)
    if unknown := sorted({node.op_type for node in nodes} & NOT_COUNTED):
        raise BundleError(f"{path}: multiply-adds of {unknown[0]} are not counted; teach onnx_nodes.py how")
    multiplying = [node for node in nodes if node.op_type in CONVOLUTIONS | PRODUCTS]
    shapes = _shapes(model, multiplying, inputs)
    dequantized = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    int8 = float_ = 0
    for node in multiplying:
        if node.op_type in INTEGER or set(_factors(node)) <= dequantized:
            int8 += _multiply_adds(node, shapes)
        else:
            float_ += _multiply_adds(node, shapes)
    return Counted(int8, float_, sum(math.prod(tensor.dims) for tensor in model.graph.initializer))


def _factors(node: Any) -> tuple[str, str]:
    """What is multiplied; the QLinear nodes have scale and zero point after the first."""
    second = 3 if node.op_type.startswith("QLinear") else 1
    return node.input[0], node.input[second]


def _multiply_adds(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    left, right = (shapes[name] for name in _factors(node))
    outputs = math.prod(shapes[node.output[0]])
    if node.op_type in CONVOLUTIONS:
        return outputs * math.prod(right[1:])  # channels of a group times the kernel
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return outputs * (left[0] if transposed else left[-1])


def _shapes(model: Any, nodes: Iterable[Any], inputs: Arrays) -> dict[str, tuple[int, ...]]:
    """Of all that goes into and comes out of these nodes, by name."""
    import onnx
    import onnxruntime

    known = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    known |= {name: np.shape(values) for name, values in inputs.items()}
    wanted = dict.fromkeys(name for node in nodes for name in (*_factors(node), node.output[0]))
    made = [name for name in wanted if name not in known]
    shown = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in shown)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = session.run(made, dict(inputs))
    return known | {name: np.shape(values) for name, values in zip(made, found, strict=True)}
