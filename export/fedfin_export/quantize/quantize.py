"""Float ONNX to int8: static QDQ for images, dynamic for text and vectors; the first way that keeps parity.

Measured on EfficientNet-lite0 and chest X-rays, quantizing one Conv at a time: the harm is in the stem and
the first blocks, whose linear outputs have wide ranges with few large values (numbers: docs/export.md).
So the first Convs stay float **with their Clip**: a Clip that is quantized alone is folded away and takes the
range of its Conv with it.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fedfin.encoders.bundle import ImageRecipe, Recipe
from fedfin_export.quantize.calibration import Batch
from fedfin_export.quantize.onnx_graph import make_anonymous
from fedfin_export.quiet import quiet

# How many first Convs stay float, tried in this order.
FLOAT_CONVS = (6, 12, 18)
ACTIVATIONS = ("Clip", "Relu")

Quantizer = Callable[[Path, Path, Iterable[Batch]], None]


def quantizers(recipe: Recipe) -> dict[str, Quantizer]:
    """What to try for this kind of encoder, best first: description -> function(float, int8, batches)."""
    dynamic: dict[str, Quantizer] = {"dynamic int8, per channel": _dynamic}
    if not isinstance(recipe, ImageRecipe):
        return dynamic
    static = {
        f"static QDQ U8S8, per channel, first {count} Conv float": _static(count) for count in FLOAT_CONVS
    }
    return {**static, **dynamic}


def prepare(source: Path, target: Path) -> None:
    """Fold constants and batch norms and infer shapes, which the quantizers need."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with quiet():
        # Symbolic shape inference fails on the graphs of torch's dynamo exporter.
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)


def _static(float_convs: int) -> Quantizer:
    def quantize(source: Path, target: Path, batches: Iterable[Batch]) -> None:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        with quiet():
            quantize_static(
                str(source),
                str(target),
                _reader(batches),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=first_convs(source, float_convs),
            )
        make_anonymous(target)

    return quantize


def _dynamic(source: Path, target: Path, _batches: Iterable[Batch]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(str(source), str(target), per_channel=True, weight_type=QuantType.QInt8)
    make_anonymous(target)


def first_convs(path: Path, count: int) -> list[str]:
    """Names of the first `count` Conv nodes and of the activations that follow them."""
    import onnx

    nodes = onnx.load(path, load_external_data=False).graph.node
    convs = [node for node in nodes if node.op_type == "Conv"][:count]
    outputs = {output for node in convs for output in node.output}
    after = [node for node in nodes if node.op_type in ACTIVATIONS and node.input[0] in outputs]
    return [node.name for node in (*convs, *after)]


def _reader(batches: Iterable[Batch]) -> Any:
    """The batches in onnxruntime's shape for calibration data."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> Batch | None:
            return next(self.batches, None)

    return Reader()
