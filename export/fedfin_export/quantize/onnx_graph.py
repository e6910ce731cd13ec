"""A float torch encoder to a float ONNX graph that says nothing of the machine it was made on."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import ImageRecipe, Recipe, TextRecipe
from fedfin.errors import InputError
from fedfin_export.quiet import quiet
from fedfin_export.reasons import deepest, definition_line, first_line, users_line
from fedfin_export.sources.float_encoder import FloatEncoder

OPSET = 18
MAX_IR = 10  # onnxruntime for Python 3.10 on aarch64 stops at 1.23, which reads IR 10 and opset 21
OUTPUT = "features"
# What torch.export says, in words of the module's author.
REASONS = {
    "data-dependent": "it decides by the values in a tensor",
    "static shape": "it works only for as many cases as it is traced with",
}


def input_names(recipe: Recipe) -> tuple[str, ...]:
    """The graph's inputs, in the order in which the float module takes them."""
    return recipe.inputs if isinstance(recipe, TextRecipe) else (recipe.input_name,)


def to_float_onnx(encoder: FloatEncoder, path: Path) -> int:
    """Write the float graph, inputs with dynamic n (and tokens) -> features [n, dim]; returns dim.

    Raises InputError when the module does not give features [n, dim] or cannot be exported.
    """
    import torch

    inputs = example_inputs(encoder.recipe)
    features = _run(encoder, inputs)
    if not isinstance(features, torch.Tensor) or features.ndim != 2 or len(features) != len(inputs[0]):  # noqa: PLR2004
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
        raise InputError(
            f"{encoder.source}: it gives {shape} where [n, dim] is wanted; pool inside the module"
        )
    dynamic: dict[int, Any] = {0: "n", 1: "tokens"} if isinstance(encoder.recipe, TextRecipe) else {0: "n"}
    with quiet():
        try:
            torch.onnx.export(
                encoder.module,
                inputs,
                str(path),
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=list(input_names(encoder.recipe)),
                output_names=[OUTPUT],
                dynamic_shapes=tuple(dynamic for _ in inputs),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise InputError(_why_not(encoder, error)) from None
    make_anonymous(path)
    return int(features.shape[1])


def _run(encoder: FloatEncoder, inputs: tuple[Any, ...]) -> Any:
    import torch

    try:
        with torch.inference_mode():
            return encoder.module(*inputs)
    except Exception as error:  # noqa: BLE001 - the module is the user's
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise InputError(
            f"{encoder.source}: fails on an input of shape {shapes}, as its recipe makes: "
            f"{first_line(error)}{users_line(error)}; mend the module or the recipe"
        ) from None


def _why_not(encoder: FloatEncoder, error: Exception) -> str:
    """Why torch cannot trace or translate a module, with the user's line, or where its forward begins."""
    cause = deepest(error)
    reason = next((reason for words, reason in REASONS.items() if words in str(cause)), first_line(cause))
    where = users_line(cause) or definition_line(type(encoder.module).forward)
    return (
        f"{encoder.source}: torch cannot export it to ONNX: {reason}{where}; forward must do the same "
        "for any values and any n: no `if` on a tensor's values, no loop over cases"
    )


def example_inputs(recipe: Recipe) -> tuple[Any, ...]:
    """Two made-up cases as torch tensors; two, because torch.export takes a 1 as a constant."""
    import torch

    if isinstance(recipe, TextRecipe):
        ones = torch.ones(2, min(16, recipe.max_tokens), dtype=torch.int64)
        return tuple(ones if name == "attention_mask" else torch.zeros_like(ones) for name in recipe.inputs)
    if isinstance(recipe, ImageRecipe):
        return (torch.zeros(2, recipe.channels, recipe.crop, recipe.crop),)
    return (torch.zeros(2, recipe.length),)


def make_anonymous(path: Path) -> None:
    """Rewrite a model without what tools note about the source: paths and stack traces of this machine."""
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    model.doc_string = ""
    for item in (
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
        *model.graph.initializer,
    ):
        del item.metadata_props[:]
        item.doc_string = ""
    used = {node.domain or "" for node in model.graph.node}
    opsets = [entry for entry in model.opset_import if (entry.domain or "") in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.ir_version = min(model.ir_version, MAX_IR)
    del model.functions[:]
    path.write_bytes(model.SerializeToString(deterministic=True))


def open_session(path: Path) -> Any:
    """An onnxruntime session on one thread: what an edge client runs, and what latencies are stated for."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_session(session: Any, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Features float32 [n, dim] of one batch."""
    features: NDArray[np.float32] = session.run([OUTPUT], inputs)[0]
    return features
