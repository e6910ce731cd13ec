"""What a model's tensor is, and the layers that tensors come in."""

import math
from dataclasses import dataclass
from typing import Literal

from fedfin.codec import Shape

# Which of a site's training cases train a tensor; their number is the tensor's weight in the fold.
#   moments     cases that have modality m
#   labelled    cases with a known label
#   real        ... that showed the head modality m
#   imputed     ... for which m was imputed
#   either      ... that showed the head m, or for which m was imputed (shared columns)
#   fin         cases from which FIN was shown something and asked for something known
#   fin_input   ... that showed FIN modality m
#   fin_output  ... that asked FIN for modality m
#   spread      as fin_output; it is measured, not trained
#   calibrate   none: the aggregator solves it from what sites measured on held-out cases
#   solved      none: the aggregator solves it from second moments
#   fixed       none: it stays as it was drawn
#   update      none: it is measured of updates
#   counted     none: the aggregator says it of how many patients have each answer
TrainedBy = Literal[
    "moments",
    "labelled",
    "real",
    "imputed",
    "either",
    "fin",
    "fin_input",
    "fin_output",
    "spread",
    "calibrate",
    "solved",
    "fixed",
    "update",
    "counted",
]

UNTRAINED = ("moments", "calibrate", "solved", "fixed", "update", "counted")


@dataclass(frozen=True)
class TensorSpec:
    """One float32 tensor: it starts as `start` plus a uniform draw from [-bound, bound)."""

    shape: Shape
    trained_by: TrainedBy
    modality: str = ""
    start: float = 0.0
    bound: float = 0.0


Specs = dict[str, TensorSpec]


def linear(
    name: str, inputs: int, outputs: int, trained_by: TrainedBy, modality: str = "", *, gain: float = 1.0
) -> Specs:
    """Weight [outputs, inputs] of deviation gain / sqrt(inputs) (LeCun), and a zero bias [outputs]."""
    bound = gain * math.sqrt(3.0 / inputs)
    return {
        f"{name}.weight": TensorSpec((outputs, inputs), trained_by, modality, bound=bound),
        f"{name}.bias": TensorSpec((outputs,), trained_by, modality),
    }


def layer_norm(name: str, width: int) -> Specs:
    """Scale 1 and shift 0, [width] each."""
    return {
        f"{name}.weight": TensorSpec((width,), "fin", start=1.0),
        f"{name}.bias": TensorSpec((width,), "fin"),
    }


def attention(name: str, width: int) -> Specs:
    """Only query and output have a bias: softmax cancels a key's, and a value's only adds to the output's."""
    specs: Specs = {}
    for part in ("query", "key", "value", "output"):
        specs |= linear(f"{name}.{part}", width, width, "fin")
    del specs[f"{name}.key.bias"], specs[f"{name}.value.bias"]
    return specs
