"""Small plans and random batches for the model's tests."""

import itertools

import numpy as np
import torch

from fedfin.fusion.model import FusionModel
from fedfin.model.initial_model import initial_model
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model

DIMS = {"image": 24, "type": 12, "lab-1": 5}  # `type` is an attribute of every torch module


def small_plan(fin="mlp", modalities=2, head_width=8, **more):
    """A plan with the first `modalities` of DIMS and two labels."""
    chosen = list(DIMS.items())[:modalities]
    return Plan(
        federation="test",
        labels=("a", "b"),
        modalities=tuple(Modality(name=name, encoder="0" * 64, dim=dim) for name, dim in chosen),
        model=Model(
            answer="head", fin=fin, head_width=head_width, fin_width=16, fin_heads=4, memory_tokens=2
        ),
        **more,
    )


def loaded(plan):
    """The plan's model of version 0."""
    model = FusionModel(plan)
    model.load_tensors(initial_model(plan))
    return model


def mixed_batch(plan, repeats=12):
    """Features and presence in which every non-empty combination of modalities occurs `repeats` times."""
    patterns = [p for p in itertools.product((True, False), repeat=len(plan.modalities)) if any(p)] * repeats
    generator = np.random.default_rng(0)
    features = {
        m: torch.from_numpy(generator.standard_normal((len(patterns), dim)).astype(np.float32))
        for m, dim in plan.dims.items()
    }
    present = {m: torch.tensor([p[i] for p in patterns]) for i, m in enumerate(plan.dims)}
    return features, present
