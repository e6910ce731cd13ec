"""Every tensor of a plan's model: its name, shape, initial value, and which cases train it. numpy only.

The names are part of the wire contract: the aggregator knows the model by this table alone.

    norm.{m}.mean, .square          pooled moments of the features of modality m; never trained by gradient
    fin.*                           the feature imputation network (absent for `zero` or a single modality)
    head.real.{m}.weight, .bias     what the head reads from real features of m
    head.imputed.{m}.weight, .bias  what it reads from imputed features of m (absent with shared columns or `zero`)
    head.output.weight, .bias       from the hidden layer to the labels (absent when head_width is 0)
    basis.{m}.weight, .bias         random features of m: drawn once, never changed (absent when there are none)
    spread.{m}                      what a trained FIN leaves of the variance of the features of m
    gaussian.gain.{s}.{t}, .offset, .explained    the closed-form FIN: how features of t follow from those of s
    expert.{s}.{t}.weight, .bias    scores of the labels: what s tells of them, directly (t = s) or through t
    blend.weight, .bias             for every pattern of shown modalities, from scores to logits
    blend.power, .prior             how far apart the blend holds the classes, in squared deviations; labels' log-odds
    calibration.scores              what the head says of cases that it did not train on, by pattern, label and class:
                                    how many they are, and sums of their logit and its square

What an update carries, by task: "train" carries deltas to add; the other tasks carry values: "moments" those of
norm.*, "covariances" the second moments of fedfin/second_moments.py, "calibrate" those of calibration.*, "evaluate"
histograms. From second moments the aggregator solves gaussian, expert and blend.
"""

import hashlib
import math
from dataclasses import dataclass
from itertools import permutations, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedfin.plan import FinVariant, Plan
from fedfin.second_moments import basis_dim, random_features, second_moment_shapes

Task = Literal["moments", "covariances", "train", "calibrate", "evaluate"]
Shape = tuple[int, ...]

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
#   calibrate   cases kept from training
#   solved      none: the aggregator solves it from second moments
#   fixed       none: it stays as it was drawn
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
]

UNTRAINED = ("moments", "calibrate", "solved", "fixed")
# FIN variants that are solved from second moments, and those that learn in rounds.
CLOSED_FORMS = ("gaussian", "refined")
TRAINED = ("mlp", "decoder", "refined")

HISTOGRAM_BINS = 256
HISTOGRAM_LIMIT = 8.0  # logits are clipped to [-8, 8]
FIN_GAIN = 0.1  # FIN starts out claiming almost nothing: its first estimates are near the mean
# calibration.scores hold sums over cases in these units, of at most so many: squares of logits then fit the protocol.
CALIBRATION_UNIT, CALIBRATION_CASES = 16, 4096
# Deviation of a random feature's projection of standardised features. Digits gain from more, texts lose little.
BANDWIDTH = 0.85
FEED_FACTOR = 2  # inner width of the decoder's feed-forward layers, in widths


@dataclass(frozen=True)
class TensorSpec:
    """One float32 tensor: it starts as `start` plus a uniform draw from [-bound, bound)."""

    shape: Shape
    trained_by: TrainedBy
    modality: str = ""
    start: float = 0.0
    bound: float = 0.0


Specs = dict[str, TensorSpec]


def fin_variant(plan: Plan) -> FinVariant:
    """The plan's FIN variant; with one modality there is nothing to impute, so it is `zero`."""
    return plan.model.fin if len(plan.modalities) > 1 else "zero"


def tensor_specs(plan: Plan) -> Specs:
    """Every tensor of the plan's model by name, sorted by name."""
    makers = {
        "zero": _no_fin,
        "mean": _no_fin,
        "uniform": _uniform_fin,
        "mlp": _mlp_fin,
        "decoder": _decoder_fin,
        "gaussian": _gaussian_fin,
        "refined": _refined_fin,
    }
    specs = (
        _norm(plan)
        | makers[fin_variant(plan)](plan)
        | _spread(plan)
        | _head(plan)
        | _experts(plan)
        | _basis(plan)
    )
    return dict(sorted(specs.items()))


def has_own_columns(plan: Plan) -> bool:
    """Whether the head has columns for imputed features alone."""
    return fin_variant(plan) != "zero" and plan.model.columns == "own"


def cosines(plan: Plan) -> dict[str, int]:
    """The random features of each modality that has any; none where nothing reads them."""
    widths = random_features(plan) if needs_covariances(plan) else {}
    return {modality: width for modality, width in widths.items() if width}


def needs_covariances(plan: Plan) -> bool:
    """Whether anything is solved from second moments, so that a round collects them."""
    return fin_variant(plan) in CLOSED_FORMS or plan.model.answer != "head"


def solved_shapes(plan: Plan) -> dict[str, Shape]:
    """The shapes of the tensors that the aggregator solves, by name."""
    return {name: spec.shape for name, spec in tensor_specs(plan).items() if spec.trained_by == "solved"}


def model_shapes(plan: Plan) -> dict[str, Shape]:
    """The shape of every tensor of the plan's model, by name."""
    return {name: spec.shape for name, spec in tensor_specs(plan).items()}


def initial_model(plan: Plan) -> dict[str, NDArray[np.float32]]:
    """The model of version 0: the same bits on every platform, from plan.seed and each tensor's name."""
    return {name: _draw(plan.seed, name, spec) for name, spec in tensor_specs(plan).items()}


def task_specs(plan: Plan, task: Task) -> dict[str, Shape]:
    """The shapes of the tensors that an update of this task may carry, by name."""
    if task == "evaluate":
        shape = (len(plan.labels), 2, HISTOGRAM_BINS)
        return {f"eval.{scenario}": shape for scenario in scenarios(plan)}
    if task == "covariances":
        return second_moment_shapes(plan)
    specs = tensor_specs(plan).items()
    if task in ("moments", "calibrate"):
        return {name: spec.shape for name, spec in specs if spec.trained_by == task}
    return {name: spec.shape for name, spec in specs if spec.trained_by not in UNTRAINED}


def scenarios(plan: Plan) -> tuple[str, ...]:
    """What is shown in evaluation: `all` complete cases, `only-{m}` with the rest hidden, and `as-is`."""
    return ("all", *(f"only-{modality}" for modality in plan.dims), "as-is")


def _norm(plan: Plan) -> Specs:
    specs = {}
    for modality, dim in plan.dims.items():
        specs[f"norm.{modality}.mean"] = TensorSpec((dim,), "moments", modality)
        specs[f"norm.{modality}.square"] = TensorSpec((dim,), "moments", modality, start=1.0)
    return specs


def _head(plan: Plan) -> Specs:
    labels, width = len(plan.labels), plan.model.head_width
    kinds: tuple[Literal["real", "imputed"], ...] = ("real",)
    if has_own_columns(plan):
        kinds = ("real", "imputed")
    specs: Specs = {}
    for modality, dim in plan.dims.items():
        for kind in kinds:
            trained_by: TrainedBy = kind if has_own_columns(plan) or fin_variant(plan) == "zero" else "either"
            specs |= _linear(f"head.{kind}.{modality}", dim, width or labels, trained_by, modality)
    if width:
        specs |= _linear("head.output", width, labels, "labelled")
    return specs


def _no_fin(_: Plan) -> Specs:
    return {}


def _uniform_fin(plan: Plan) -> Specs:
    return {
        f"fin.fill.{modality}": TensorSpec((dim,), "fixed", modality, start=0.5, bound=0.5)
        for modality, dim in plan.dims.items()
    }


def _mlp_fin(plan: Plan) -> Specs:
    width = plan.model.fin_width
    specs = _fin_ends(plan)
    for layer in range(plan.model.fin_layers):
        block = f"fin.layers.{layer}"
        specs |= _layer_norm(f"{block}.norm", width)
        specs |= _linear(f"{block}.up", width, width, "fin")
        specs |= _linear(f"{block}.down", width, width, "fin")
    return specs


def _spread(plan: Plan) -> Specs:
    if fin_variant(plan) not in TRAINED:
        return {}
    return {
        f"spread.{modality}": TensorSpec((dim,), "spread", modality, start=1.0)
        for modality, dim in plan.dims.items()
    }


def _gaussian_fin(plan: Plan) -> Specs:
    specs: Specs = {}
    for source, target in permutations(plan.dims, 2):
        dim = plan.dims[target]
        shapes = {"gain": (dim, _inputs(plan, source)), "offset": (dim,), "explained": (dim,)}
        specs |= {f"gaussian.{part}.{source}.{target}": TensorSpec(s, "solved") for part, s in shapes.items()}
    return specs


def _refined_fin(plan: Plan) -> Specs:
    return _gaussian_fin(plan) | _mlp_fin(plan)


def _experts(plan: Plan) -> Specs:
    if plan.model.answer == "head":
        return {}
    labels, count = len(plan.labels), len(plan.modalities)
    specs: Specs = {}
    for source, target in product(plan.dims, repeat=2):
        name = f"expert.{source}.{target}"
        specs[f"{name}.weight"] = TensorSpec((labels, _inputs(plan, source)), "solved")
        specs[f"{name}.bias"] = TensorSpec((labels,), "solved")
    specs["blend.weight"] = TensorSpec((2**count, count, count, labels), "solved")
    for part in ("bias", "power"):
        specs[f"blend.{part}"] = TensorSpec((2**count, labels), "solved")
    specs["blend.prior"] = TensorSpec((labels,), "solved")
    if plan.model.answer == "both":
        specs["calibration.scores"] = TensorSpec((2**count, labels, 2, 3), "calibrate")
    return specs


def _basis(plan: Plan) -> Specs:
    """Random Fourier features (Rahimi and Recht, NIPS 2007): cosines of projections with random phases."""
    specs: Specs = {}
    for modality, width in cosines(plan).items():
        dim = plan.dims[modality]
        bound = BANDWIDTH * math.sqrt(3.0 / dim)
        specs[f"basis.{modality}.weight"] = TensorSpec((width, dim), "fixed", modality, bound=bound)
        specs[f"basis.{modality}.bias"] = TensorSpec((width,), "fixed", modality, bound=math.pi)
    return specs


def _inputs(plan: Plan, modality: str) -> int:
    """What a closed form reads of a modality: its features, and random ones."""
    return basis_dim(plan, modality) - 1


def _decoder_fin(plan: Plan) -> Specs:
    model, width = plan.model, plan.model.fin_width
    specs = _fin_ends(plan) | _layer_norm("fin.memory_norm", width)
    specs["fin.memory"] = TensorSpec((model.memory_tokens, width), "fin", bound=1.0)
    for modality in plan.dims:
        specs[f"fin.query.{modality}"] = TensorSpec((model.memory_tokens, width), "fin", modality, bound=1.0)
    for layer in range(model.fin_layers):
        block = f"fin.layers.{layer}"
        for part in ("self", "cross"):
            specs |= _layer_norm(f"{block}.{part}_norm", width)
            specs |= _attention(f"{block}.{part}_attention", width)
        specs |= _layer_norm(f"{block}.feed_norm", width)
        specs |= _linear(f"{block}.up", width, FEED_FACTOR * width, "fin")
        specs |= _linear(f"{block}.down", FEED_FACTOR * width, width, "fin")
    return specs


def _fin_ends(plan: Plan) -> Specs:
    """What both networks begin and end with: a projection in and one out per modality."""
    width = plan.model.fin_width
    specs = _layer_norm("fin.norm", width)
    for modality, dim in plan.dims.items():
        specs |= _linear(f"fin.input.{modality}", dim, width, "fin_input", modality)
        specs |= _linear(f"fin.output.{modality}", width, dim, "fin_output", modality, gain=FIN_GAIN)
    return specs


def _attention(name: str, width: int) -> Specs:
    """Only query and output have a bias: softmax cancels a key's, and a value's only adds to the output's."""
    specs: Specs = {}
    for part in ("query", "key", "value", "output"):
        specs |= _linear(f"{name}.{part}", width, width, "fin")
    del specs[f"{name}.key.bias"], specs[f"{name}.value.bias"]
    return specs


def _linear(
    name: str, inputs: int, outputs: int, trained_by: TrainedBy, modality: str = "", *, gain: float = 1.0
) -> Specs:
    """Weight [outputs, inputs] of deviation gain / sqrt(inputs) (LeCun), and a zero bias [outputs]."""
    bound = gain * math.sqrt(3.0 / inputs)
    return {
        f"{name}.weight": TensorSpec((outputs, inputs), trained_by, modality, bound=bound),
        f"{name}.bias": TensorSpec((outputs,), trained_by, modality),
    }


def _layer_norm(name: str, width: int) -> Specs:
    return {
        f"{name}.weight": TensorSpec((width,), "fin", start=1.0),
        f"{name}.bias": TensorSpec((width,), "fin"),
    }


def _draw(seed: int, name: str, spec: TensorSpec) -> NDArray[np.float32]:
    """24 random bits per value: exact in float32. PCG64's raw stream is stable between numpy versions."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    source = np.random.PCG64(int.from_bytes(digest, "big"))
    raw = source.random_raw(math.prod(spec.shape)) >> np.uint64(40)
    unit = raw.astype(np.float64) / 2.0**23 - 1.0
    return (spec.start + spec.bound * unit).astype(np.float32).reshape(spec.shape)
