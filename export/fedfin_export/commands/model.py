"""`fedfin export model`: a trained FIN and fusion head to one ONNX graph; predicting then needs no torch."""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin.command_line.parsers import Commands, add_command
from fedfin.encoders.bundle import file_digest
from fedfin.errors import ParityError
from fedfin.folders import whole_folder
from fedfin.model.exported_model import DESCRIPTION, EXPLAINED, GRAPH, OUTPUT, ExportedModel, present_name
from fedfin.model.model_file import ModelFile, read_model
from fedfin.plan import Plan
from fedfin_export.quiet import quiet

if TYPE_CHECKING:
    import torch

OPSET, IR_VERSION = 20, 10  # onnxruntime for Python 3.10 on aarch64 stops at 1.23.2: opset 21, IR 10
TOLERANCE = 1e-4  # of a probability, between torch and onnxruntime
MAX_PATTERNS = 64  # presence patterns checked: all of six modalities

Feeds = dict[str, NDArray[Any]]


_DESCRIPTION = """\
Write a trained model as a folder with model.onnx and model.json.
The graph is checked against torch for every combination of modalities before the folder appears."""


def add(commands: Commands) -> None:
    """Add `model` to the parser of `fedfin export`."""
    parser = add_command(
        commands,
        "model",
        "a trained model to ONNX, for predicting without torch",
        example="fedfin export model run/model-21.fedfin model",
        description=_DESCRIPTION,
    )
    parser.add_argument("model_file", metavar="MODEL_FILE", type=Path, help="the aggregator's model file")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is an exported model")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export one model file."""
    worst = export_model(read_model(args.model_file), args.out, force=args.force)
    print(f"{args.out}: written; probabilities within {worst:.1e} of torch")
    return 0


def export_model(model: ModelFile, out: Path, *, force: bool = False) -> float:
    """Write the folder `out` whole or not at all; returns the largest difference of a probability from torch.

    Raises StateError when `out` exists (with `force`: and is no exported model), ParityError when the graph
    strays from torch beyond TOLERANCE.
    """
    with whole_folder(out, DESCRIPTION, force=force) as folder:
        answers = _Answers(model)
        _write_graph(answers, model.plan, folder / GRAPH)
        worst = _check(answers, model.plan, folder / GRAPH)
        exported = ExportedModel(plan=model.plan, version=model.version, sha256=file_digest(folder / GRAPH))
        (folder / DESCRIPTION).write_bytes(msgspec.json.format(msgspec.json.encode(exported), indent=2))
    return worst


class _Answers:
    """The model as a torch module of positional tensors: features, then presence, in the plan's order."""

    def __init__(self, model: ModelFile) -> None:
        import torch

        from fedfin.fusion.model import FusionModel

        fusion = FusionModel(model.plan)
        fusion.load_tensors(model.tensors)
        modalities = list(model.plan.dims)

        class Module(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.fusion = fusion

            def forward(self, *inputs: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
                features = dict(zip(modalities, inputs[: len(modalities)], strict=True))
                present = dict(zip(modalities, inputs[len(modalities) :], strict=True))
                logits, imputed = self.fusion(features, present)
                return torch.sigmoid(logits), self.fusion.explained(imputed, present)

        self.module = Module().eval()

    def __call__(self, feeds: Feeds) -> list[NDArray[np.float32]]:
        """Both outputs."""
        import torch

        with torch.inference_mode():
            outputs = self.module(*map(torch.from_numpy, feeds.values()))
        return [output.numpy() for output in outputs]


def _write_graph(answers: _Answers, plan: Plan, path: Path) -> None:
    import onnx
    import torch

    example = _feeds(plan, [tuple(True for _ in plan.dims)] * 2, np.random.default_rng(0))
    rows = torch.export.Dim("n", min=1)
    with quiet():
        program = torch.onnx.export(
            answers.module,
            tuple(map(torch.from_numpy, example.values())),
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=list(example),
            output_names=[OUTPUT, EXPLAINED],
            dynamic_shapes={"inputs": tuple({0: rows} for _ in example)},
        )
    if program is None:
        raise ParityError("torch.onnx.export returned no graph; use the torch version of constraints.txt")
    graph = program.model_proto
    graph.ir_version = min(graph.ir_version, IR_VERSION)
    onnx.checker.check_model(graph, full_check=True)
    path.write_bytes(graph.SerializeToString())


def _check(answers: _Answers, plan: Plan, path: Path) -> float:
    """The largest difference from torch over presence patterns, in batches of several sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(1)
    patterns = list(itertools.islice(_patterns(len(plan.dims)), MAX_PATTERNS))
    worst = 0.0
    for batch in (patterns[:1], patterns, patterns * 3):
        feeds = _feeds(plan, batch, generator)
        for found, wanted in zip(session.run([OUTPUT, EXPLAINED], feeds), answers(feeds), strict=True):
            worst = max(worst, float(np.abs(found - wanted).max()))
    if not worst <= TOLERANCE:  # not: NaN fails too
        raise ParityError(f"the exported graph strays from torch by {worst:.1e}, more than {TOLERANCE:.0e};"
                          " nothing was written")  # fmt: skip
    return worst


def _patterns(modalities: int) -> Iterator[tuple[bool, ...]]:
    """Every non-empty combination of present modalities, the complete one first."""
    return (pattern for pattern in itertools.product((True, False), repeat=modalities) if any(pattern))


def _feeds(plan: Plan, patterns: list[tuple[bool, ...]], generator: np.random.Generator) -> Feeds:
    """Random cases with these patterns, by input name: features, then presence."""
    mask = np.array(patterns, dtype=np.bool_)
    features: Feeds = {
        modality: generator.standard_normal((len(mask), dim)).astype(np.float32)
        for modality, dim in plan.dims.items()
    }
    present: Feeds = {present_name(modality): mask[:, place] for place, modality in enumerate(plan.dims)}
    return features | {name: np.ascontiguousarray(column) for name, column in present.items()}
