"""Our own answers: the imputation, the answer from features, and a whole prediction from a case's files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from benchmarks.costs.compute.encoder_subjects import case_inputs
from benchmarks.costs.compute.materials import IMAGE, TEXT, Materials
from benchmarks.costs.compute.subject import Subject, without_gradients
from benchmarks.costs.onnx_nodes import Counted, count
from fedfin.plan import Plan
from fedfin.plan_sections import FinVariant, Modality, Model

if TYPE_CHECKING:  # torch and onnxruntime wait for the subjects that need them
    import torch

    from fedfin.fusion.model import FusionModel
    from fedfin_edge.cases.digests import Input

FULL = {IMAGE: 1280, TEXT: 384}  # features of the encoders, without a projection
LABELS = tuple(f"label-{number}" for number in range(14))
FINS: tuple[FinVariant, ...] = ("gaussian", "refined", "mlp", "decoder", "mean", "uniform", "zero")


def model_of(fin: FinVariant) -> Model:
    """Of the decoder as the paper has it: 6 layers."""
    return Model(fin=fin, fin_layers=6 if fin == "decoder" else 2)


def full_plan(model: Model) -> Plan:
    """The default's, over all features of both encoders."""
    modalities = tuple(Modality(name=name, encoder="0" * 64, dim=dim) for name, dim in FULL.items())
    return Plan(federation="costs", labels=LABELS, modalities=modalities, model=model)


def imputation(model: Model, narrow: bool, materials: Materials, threads: int) -> Subject:
    """The imputation alone: every modality of a case from its image."""
    plan = materials.plan(msgspec.structs.replace(model, basis_total=0)) if narrow else full_plan(model)
    fusion, features, present = _fusion(plan)
    standard = fusion.standardise(features, present)
    held = sum(
        v.numel()
        for part in (fusion.fin, fusion.gaussian)
        if part is not None
        for v in part.state_dict().values()
    )
    return without_gradients(lambda: fusion.impute(standard, present), threads, held)


def answer(model: Model, narrow: bool, materials: Materials, threads: int) -> Subject:
    """From features to logits: imputation, head and experts."""
    plan = materials.plan(msgspec.structs.replace(model, basis_total=0)) if narrow else full_plan(model)
    fusion, features, present = _fusion(plan)
    held = sum(value.numel() for value in fusion.state_dict().values())
    return without_gradients(lambda: fusion(features, present), threads, held)


def _fusion(plan: Plan) -> "tuple[FusionModel, dict[str, torch.Tensor], dict[str, torch.Tensor]]":
    """The model, and a case that has an image alone."""
    import torch

    from fedfin.fusion.model import load_model
    from fedfin.model.initial_model import initial_model

    features = {m: torch.randn(1, dim) for m, dim in plan.dims.items()}
    return (
        load_model(plan, initial_model(plan)).eval(),
        features,
        {m: torch.tensor([m == IMAGE]) for m in features},
    )


def predict(fin: str, both: bool, materials: Materials, threads: int) -> Subject:
    """From the files to the answer, as `fedfin edge predict` does once it is up."""
    from fedfin_edge.predict.prediction import open_encoders, predict_case
    from fedfin_edge.predict.predictor import open_predictor

    predictor = open_predictor(materials.model(fin), threads=threads)
    encoders = open_encoders(predictor, [materials.bundle(m) for m in (IMAGE, TEXT)])
    inputs: dict[str, Input] = {IMAGE: materials.image}
    if both:
        inputs[TEXT] = materials.text
    counts = [count(materials.bundle(m) / "encoder.onnx", case_inputs(materials, m)) for m in inputs] + [
        _graph_count(predictor, materials.model(fin))
    ]
    return Subject(
        lambda: predict_case(predictor, encoders, "case", inputs),
        sum(one.total for one in counts),
        sum(one.values for one in counts),
        sum(one.int8 for one in counts),
    )


def _graph_count(predictor: Any, folder: Path) -> Counted:
    from fedfin.model.exported_model import GRAPH, present_name

    plan: Plan = predictor.plan
    inputs: dict[str, Any] = {m: np.zeros((1, dim), np.float32) for m, dim in plan.dims.items()}
    return count(folder / GRAPH, inputs | {present_name(m): np.array([m == IMAGE]) for m in plan.dims})
