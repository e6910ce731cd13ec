"""Every tensor of a plan's model: its name, shape, initial value, and which cases train it.

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
    blend.power, .prior             how far the blend separates the classes, in squared deviations; labels' log-odds
    calibration.slope, .intercept   from the head's logits to log-odds, by pattern and label
    calibration.head_weight         the head's share of the answer beside the experts, by pattern
    update.magnitudes               how large a site's changes of each trained tensor are (only where they are summed as
                                    whole steps: fedfin/secure_sums/quantizer.py)
    enough.evaluate, .calibrate, .second_moments    whether enough patients of all sites have both answers, by label
                                    (only where the plan asks: fedfin/model/answer_counts.py)

What an update carries, by task: "train" carries deltas to add; the other tasks carry values: "moments" those of
norm.*, and counts of patients where the plan asks for them, "second_moments" the second moments of second_moments.py,
"calibrate" calibration.scores, sums of logits over held-out cases, "evaluate" histograms. From second moments the
aggregator solves gaussian, expert and blend, from calibration.scores calibration.*.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Literal, get_args

from fedfin.codec import Shape
from fedfin.model.answer_counts import count_shapes, enough_shapes
from fedfin.model.fin_spec import CLOSED_FORMS, fin_specs, fin_variant
from fedfin.model.second_moment_spec import basis_dim, random_features, sent_shapes
from fedfin.model.tensor_spec import UNTRAINED, Specs, TensorSpec, TrainedBy, linear
from fedfin.plan import Plan

Task = Literal["moments", "second_moments", "train", "calibrate", "evaluate"]
TASKS: tuple[Task, ...] = get_args(Task)

# In standard deviations. Beyond, a feature is an outlier, and one case would steer a small site's round.
CLIP = 6.0
# The least variance, of the mean square (float32 moments know no better) and absolutely (a constant zero).
RELATIVE_FLOOR, FLOOR = 1e-6, 1e-12
HISTOGRAM_BINS = 256
# In a sum over sites: fewer tell less of single patients (docs/leakage.md), and have less noise where there is any;
# these still tell scores half a logit apart.
SUMMED_BINS = 32
HISTOGRAM_LIMIT = 8.0  # logits are clipped to [-8, 8]
# What sites measure of held-out cases by pattern, label and class: their share, and the means of the head's logit and
# its square, and of the experts' in deviations and its square.
CALIBRATION, CALIBRATION_SUMS = "calibration.scores", 5
# Where answers are counted over all sites that is of all labels in one, of logits less a centre by pattern and label
# that the model gives. It tells of no case, and is the same at all sites: the aggregator cannot ask it. And of the
# head alone: of a label of which the experts know nothing they say the same of all, and what is left in the mean over
# labels would be of few.
CENTRES, HEAD_SUMS = "calibration.centres", 3
MAGNITUDES = "update.magnitudes"
# Deviation of a random feature's projection of standardised features. Digits gain from more, texts lose little.
BANDWIDTH = 0.85


def tensor_specs(plan: Plan) -> Specs:
    """Every tensor of the plan's model by name, sorted by name."""
    return _tensor_specs(plan).copy()


@lru_cache(maxsize=4)  # asked for some times in every round, of one plan: a tenth of a millisecond each
def _tensor_specs(plan: Plan) -> Specs:
    specs = _norm(plan) | fin_specs(plan) | _head(plan) | _experts(plan) | _basis(plan)
    if plan.codec.quantized:
        specs[MAGNITUDES] = TensorSpec((2, len(_learnt(specs))), "update")
    specs |= {name: TensorSpec(shape, "counted") for name, shape in enough_shapes(plan).items()}
    return dict(sorted(specs.items()))


def quantized_shapes(plan: Plan) -> dict[str, Shape]:
    """The shapes of the tensors whose changes are summed as whole steps, by name: all that learn by gradient."""
    return {name: spec.shape for name, spec in _learnt(tensor_specs(plan)).items()}


def _learnt(specs: Specs) -> Specs:
    return {name: spec for name, spec in specs.items() if spec.trained_by not in (*UNTRAINED, "spread")}


def has_own_columns(plan: Plan) -> bool:
    """Whether the head has columns for imputed features alone."""
    return fin_variant(plan) != "zero" and plan.model.columns == "own"


def cosines(plan: Plan) -> dict[str, int]:
    """The random features of each modality that has any; none where nothing reads them."""
    widths = random_features(plan) if needs_second_moments(plan) else {}
    return {modality: width for modality, width in widths.items() if width}


def needs_second_moments(plan: Plan) -> bool:
    """Whether anything is solved from second moments, so that a round collects them."""
    return fin_variant(plan) in CLOSED_FORMS or plan.model.answer != "head"


def solved_shapes(plan: Plan) -> dict[str, Shape]:
    """The shapes of the tensors that the aggregator solves, by name."""
    return {name: spec.shape for name, spec in tensor_specs(plan).items() if spec.trained_by == "solved"}


def model_shapes(plan: Plan) -> dict[str, Shape]:
    """The shape of every tensor of the plan's model, by name."""
    return {name: spec.shape for name, spec in tensor_specs(plan).items()}


def histogram_bins(plan: Plan) -> int:
    """How many bins the scores of held-out cases are counted in."""
    return SUMMED_BINS if plan.privacy.summed else HISTOGRAM_BINS


def task_specs(plan: Plan, task: Task) -> dict[str, Shape]:
    """The shapes of the tensors that an update of this task may carry, by name."""
    if task == "evaluate":
        shape = (len(plan.labels), 2, histogram_bins(plan))
        return {f"eval.{scenario}": shape for scenario in scenarios(plan)}
    if task == "second_moments":
        return sent_shapes(plan)
    if task == "calibrate":
        patterns, labels = 2 ** len(plan.modalities), len(plan.labels)
        if plan.privacy.least_answers:
            return {CALIBRATION: (patterns, 1, 2, HEAD_SUMS), CENTRES: (patterns, labels)}
        return {CALIBRATION: (patterns, labels, 2, CALIBRATION_SUMS)}
    specs = tensor_specs(plan).items()
    if task == "moments":
        return {name: spec.shape for name, spec in specs if spec.trained_by == task} | count_shapes(plan)
    return {
        name: spec.shape for name, spec in specs if spec.trained_by not in UNTRAINED or name == MAGNITUDES
    }


def pattern_row(shown: Sequence[bool]) -> int:
    """The row of a pattern of shown modalities in tables by pattern: modality i of the plan's order counts 2^i."""
    return sum(1 << place for place, is_shown in enumerate(shown) if is_shown)


# For captions: which cases the scenarios score, in evaluation rounds and in `fedfin edge evaluate` alike.
SCENARIOS_MEAN = (
    "all: complete cases; only-...: every case that has this modality, the others hidden;"
    " as-is: every case, as it was recorded"
)


def scenarios(plan: Plan) -> tuple[str, ...]:
    """What evaluation scores; see SCENARIOS_MEAN."""
    return ("all", *(f"only-{modality}" for modality in plan.dims), "as-is")


def _norm(plan: Plan) -> Specs:
    """Where the plan knows a modality's deviation features are about 0 by their projection; with noise none pools."""
    specs: Specs = {}
    trained_by: TrainedBy = "fixed" if plan.privacy.noised else "moments"
    for modality in plan.modalities:
        square = modality.deviation**2 or 1.0
        for part, start in (("mean", 0.0), ("square", square)):
            name = f"norm.{modality.name}.{part}"
            specs[name] = TensorSpec((modality.dim,), trained_by, modality.name, start=start)
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
            specs |= linear(f"head.{kind}.{modality}", dim, width or labels, trained_by, modality)
    if width:
        specs |= linear("head.output", width, labels, "labelled")
    return specs


def _experts(plan: Plan) -> Specs:
    if plan.model.answer == "head":
        return {}
    labels, count = len(plan.labels), len(plan.modalities)
    specs: Specs = {}
    for source, target in product(plan.dims, repeat=2):
        name = f"expert.{source}.{target}"
        specs[f"{name}.weight"] = TensorSpec((labels, basis_dim(plan, source) - 1), "solved")
        specs[f"{name}.bias"] = TensorSpec((labels,), "solved")
    specs["blend.weight"] = TensorSpec((2**count, count, count, labels), "solved")
    for part in ("bias", "power"):
        specs[f"blend.{part}"] = TensorSpec((2**count, labels), "solved")
    specs["blend.prior"] = TensorSpec((labels,), "solved")
    if plan.model.answer == "both":
        for part in ("slope", "intercept"):
            specs[f"calibration.{part}"] = TensorSpec((2**count, labels), "calibrate")
        specs["calibration.head_weight"] = TensorSpec((2**count,), "calibrate")
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
