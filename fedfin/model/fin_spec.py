"""The tensors of each FIN variant (`fin.*`, `gaussian.*`, `spread.*` of fedfin/model/model_spec.py)."""

from itertools import permutations

from fedfin.model.second_moment_spec import basis_dim
from fedfin.model.tensor_spec import Specs, TensorSpec, attention, layer_norm, linear
from fedfin.plan import Plan
from fedfin.plan_sections import FinVariant

# FIN variants that are solved from second moments, and those that learn in rounds.
CLOSED_FORMS = ("gaussian", "refined")
TRAINED = ("mlp", "decoder", "refined")

FIN_GAIN = 0.1  # FIN starts out claiming almost nothing: its first estimates are near the mean
FEED_FACTOR = 2  # inner width of the decoder's feed-forward layers, in widths


def fin_variant(plan: Plan) -> FinVariant:
    """The plan's FIN variant; with one modality there is nothing to impute, so it is `zero`."""
    return plan.model.fin if len(plan.modalities) > 1 else "zero"


def fin_specs(plan: Plan) -> Specs:
    """All of them by name."""
    makers = {
        "zero": _no_fin,
        "mean": _no_fin,
        "uniform": _uniform_fin,
        "mlp": _mlp_fin,
        "decoder": _decoder_fin,
        "gaussian": _gaussian_fin,
        "refined": _refined_fin,
    }
    return makers[fin_variant(plan)](plan) | _spread(plan)


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
        specs |= layer_norm(f"{block}.norm", width)
        specs |= linear(f"{block}.up", width, width, "fin")
        specs |= linear(f"{block}.down", width, width, "fin")
    return specs


def _decoder_fin(plan: Plan) -> Specs:
    model, width = plan.model, plan.model.fin_width
    specs = _fin_ends(plan) | layer_norm("fin.memory_norm", width)
    specs["fin.memory"] = TensorSpec((model.memory_tokens, width), "fin", bound=1.0)
    for modality in plan.dims:
        specs[f"fin.query.{modality}"] = TensorSpec((model.memory_tokens, width), "fin", modality, bound=1.0)
    for layer in range(model.fin_layers):
        block = f"fin.layers.{layer}"
        for part in ("self", "cross"):
            specs |= layer_norm(f"{block}.{part}_norm", width)
            specs |= attention(f"{block}.{part}_attention", width)
        specs |= layer_norm(f"{block}.feed_norm", width)
        specs |= linear(f"{block}.up", width, FEED_FACTOR * width, "fin")
        specs |= linear(f"{block}.down", FEED_FACTOR * width, width, "fin")
    return specs


def _gaussian_fin(plan: Plan) -> Specs:
    specs: Specs = {}
    for source, target in permutations(plan.dims, 2):
        dim = plan.dims[target]
        shapes = {"gain": (dim, basis_dim(plan, source) - 1), "offset": (dim,), "explained": (dim,)}
        specs |= {f"gaussian.{part}.{source}.{target}": TensorSpec(s, "solved") for part, s in shapes.items()}
    return specs


def _refined_fin(plan: Plan) -> Specs:
    return _gaussian_fin(plan) | _mlp_fin(plan)


def _spread(plan: Plan) -> Specs:
    """Nothing is claimed before it is measured: each starts with the most variance that a feature can have."""
    if fin_variant(plan) not in TRAINED:
        return {}
    return {
        f"spread.{m.name}": TensorSpec((m.dim,), "spread", m.name, start=float(m.most_variance))
        for m in plan.modalities
    }


def _fin_ends(plan: Plan) -> Specs:
    """What both networks begin and end with: a projection in and one out per modality."""
    width = plan.model.fin_width
    specs = layer_norm("fin.norm", width)
    for modality, dim in plan.dims.items():
        specs |= linear(f"fin.input.{modality}", dim, width, "fin_input", modality)
        specs |= linear(f"fin.output.{modality}", width, dim, "fin_output", modality, gain=FIN_GAIN)
    return specs
