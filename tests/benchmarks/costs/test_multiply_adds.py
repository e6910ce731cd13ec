"""Counted multiply-adds are those that a hand counts, for one layer of each kind."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.costs.baselines.bert import Block
from benchmarks.costs.baselines.r2gen import Attention, DecoderLayer, RelationalMemory
from benchmarks.costs.multiply_adds import multiply_adds
from benchmarks.costs.onnx_nodes import count
from fedfin.errors import BundleError

TOKENS = 7


@pytest.mark.parametrize(
    ("layer", "shape", "by_hand"),
    [
        (nn.Linear(30, 20), (5, 30), 5 * 30 * 20),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), (2, 3, 16, 16), 2 * 8 * 8 * 8 * 3 * 3 * 3),
        (nn.Conv2d(8, 8, 5, padding=2, groups=8), (1, 8, 10, 10), 8 * 10 * 10 * 5 * 5),
        (nn.LayerNorm(30), (5, 30), 0),
        (nn.BatchNorm2d(3), (2, 3, 4, 4), 0),
        (Block(), (1, TOKENS, 768), TOKENS * (4 * 768**2 + 2 * 768 * 3072) + 2 * TOKENS**2 * 768),
    ],
    ids=["linear", "convolution", "depthwise", "layer norm", "batch norm", "BERT block"],
)
def test_a_layer_costs_what_a_hand_counts(layer, shape, by_hand):
    with torch.inference_mode():
        assert multiply_adds(lambda: layer.eval()(torch.randn(shape))) == by_hand


def test_a_decoder_layer_of_r2gen_costs_what_a_hand_counts():
    layer, before, beams = DecoderLayer(), 5, 3
    with torch.inference_mode():
        patches = layer.keys(torch.randn(1, 98, 512))
        kept = (torch.randn(beams, 8, before, 64), torch.randn(beams, 8, before, 64))
        counted = multiply_adds(
            lambda: layer(torch.randn(beams, 1, 512), patches, kept, torch.randn(beams, 1536))
        )
    own = 4 * 512**2 + 2 * (before + 1) * 512
    across = 2 * 512**2 + 2 * 98 * 512
    norms = 3 * 2 * (1536 * 512 + 512**2)
    assert counted == beams * (own + across + 2 * 512**2 + norms)


def test_the_relational_memory_costs_what_a_hand_counts():
    with torch.inference_mode():
        counted = multiply_adds(lambda: RelationalMemory()(torch.randn(1, 512), torch.randn(1, 3, 512)))
    attention = (3 + 4 + 4 + 3) * 512**2 + 2 * 3 * 4 * 512
    assert counted == attention + 3 * 2 * 512**2 + (1 + 3) * 512 * 1024


def test_training_costs_three_times_a_pass():
    layer = nn.Linear(30, 20)
    values = torch.randn(5, 30, requires_grad=True)
    assert multiply_adds(lambda: layer(values).sum().backward()) == 3 * 5 * 30 * 20


def test_attention_counts_its_products():
    with torch.inference_mode():
        attention, states = Attention(), torch.randn(1, TOKENS, 512)
        counted = multiply_adds(lambda: attention(states, attention.keys(states)))
    assert counted == 4 * TOKENS * 512**2 + 2 * TOKENS**2 * 512


def graph(tmp_path, nodes, shapes, tensors):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in shapes.items()]
    held = [onnx.numpy_helper.from_array(values, name) for name, values in tensors.items()]
    made = helper.make_graph([helper.make_node(*n[:3], **n[3]) for n in nodes], "g", ends[:1], ends[1:], held)
    path = tmp_path / "graph.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def test_a_float_graph_is_counted_node_by_node(tmp_path):
    random = np.random.default_rng(0)
    kernel = random.random((6, 2, 3, 3), np.float32)  # of two groups
    matrix = random.random((6 * 8 * 8, 5), np.float32)
    path = graph(
        tmp_path,
        [
            ("Conv", ["x", "kernel"], ["map"], {"group": 2, "pads": [1, 1, 1, 1]}),
            ("Flatten", ["map"], ["flat"], {}),
            ("Gemm", ["flat", "matrix"], ["y"], {}),
        ],
        {"x": ["n", 4, 8, 8], "y": ["n", 5]},
        {"kernel": kernel, "matrix": matrix},
    )
    counted = count(path, {"x": np.zeros((3, 4, 8, 8), np.float32)})
    assert counted.float == 3 * (6 * 8 * 8 * 2 * 3 * 3 + 6 * 8 * 8 * 5)
    assert counted.int8 == 0
    assert counted.values == kernel.size + matrix.size


def test_int8_nodes_are_counted_apart(tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    matrix = np.random.default_rng(0).random((12, 7), np.float32)
    nodes = [("MatMul", ["x", "matrix"], ["y"], {})]
    path = graph(tmp_path, nodes, {"x": ["n", 12], "y": ["n", 7]}, {"matrix": matrix})
    quantization.quantize_dynamic(str(path), str(tmp_path / "int8.onnx"))
    counted = count(tmp_path / "int8.onnx", {"x": np.ones((5, 12), np.float32)})
    assert (counted.int8, counted.float) == (math.prod((5, 12, 7)), 0)


def test_a_node_that_nobody_taught_it_is_refused(tmp_path):
    nodes = [("Einsum", ["x", "matrix"], ["y"], {"equation": "nd,de->ne"})]
    path = graph(tmp_path, nodes, {"x": ["n", 3], "y": ["n", 2]}, {"matrix": np.ones((3, 2), np.float32)})
    with pytest.raises(BundleError, match="Einsum"):
        count(path, {"x": np.ones((1, 3), np.float32)})
