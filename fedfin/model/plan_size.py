"""How large the model and the updates of a plan are, from its numbers alone.

A plan of a few hundred bytes can ask for terabytes, and it may come from the network: it is measured before any array
is made of it.
"""

import math

from msgspec.structs import replace

from fedfin import limits
from fedfin.codec import Shapes
from fedfin.model.blocks import most_telling
from fedfin.model.model_spec import TASKS, model_shapes, needs_second_moments, task_specs
from fedfin.model.second_moment_spec import MOST_BYTES, least_bytes
from fedfin.plan import Plan
from fedfin.plan_sections import Model

# The least that each key can be, and what must go with it.
_LEAST: dict[str, dict[str, int]] = {
    "fin_width": {"fin_width": 8, "fin_heads": 1},
    "fin_layers": {"fin_layers": 1},
    "head_width": {"head_width": 0},
    "basis_total": {"basis_total": 0},
}


def check_size(plan: Plan) -> None:
    """Raises ValueError when the plan's model or one of its updates is too large; it names the key to lower."""
    values, tensors = _values(plan), _tensors(plan)
    if values > limits.PLAN_VALUES:
        raise ValueError(
            f"the plan makes {values:,} values, at most {limits.PLAN_VALUES:,} are allowed; lower {_largest(plan)}"
        )
    if tensors > limits.TENSORS:
        raise ValueError(
            f"the plan makes {tensors:,} tensors, at most {limits.TENSORS:,} are allowed; name fewer modalities"
        )
    if plan.privacy.least_sites_per_block and plan.rounds.sites > (most := most_telling(plan)):
        raise ValueError(
            f"what {plan.rounds.sites} sites would say of the plan's blocks does not fit a message, of {most} it does;"
            " name fewer modalities or labels, or leave privacy.least_sites_per_block out"
        )


def check_moments(plan: Plan) -> None:
    """Raises ValueError when a site's second moments would be more than MOST_BYTES, however it parts its cases.

    For plans that are to begin: what sites have agreed to stays as it is.
    """
    if needs_second_moments(plan) and (size := least_bytes(plan)) > MOST_BYTES:
        raise ValueError(
            f"a site would send {size / 1e6:.1f} MB of second moments of {sum(plan.dims.values()):,} features, at most"
            f" {MOST_BYTES / 1e6:.0f} MB are allowed; lower modalities.dim (`fedfin export projection` makes encoders"
            ' of few columns), or set model.answer = "head" and model.fin = "mlp"'
        )


def _largest(plan: Plan) -> str:
    """The first key, with its value, that lowered alone makes the plan small enough; else the one that does most."""
    lowered = {f"model.{key} = {getattr(plan.model, key)}": _lowered(plan, key) for key in _LEAST}
    narrow = tuple(replace(modality, dim=1) for modality in plan.modalities)
    lowered[f"modalities.dim = {max(plan.dims.values())}"] = replace(plan, modalities=narrow)
    lowered[f"the number of labels, {len(plan.labels)}"] = replace(plan, labels=plan.labels[:1])
    left = {key: _values(smaller) for key, smaller in lowered.items()}
    enough = (key for key, values in left.items() if values <= limits.PLAN_VALUES)
    return next(enough, min(left, key=lambda key: left[key]))


def _lowered(plan: Plan, key: str) -> Plan:
    model: Model = replace(plan.model, **_LEAST[key])
    return replace(plan, model=model)


def _values(plan: Plan) -> int:
    """Of the model, or of an update if that has more."""
    return max(sum(map(math.prod, shapes.values())) for shapes in _shapes(plan))


def _tensors(plan: Plan) -> int:
    return max(map(len, _shapes(plan)))


def _shapes(plan: Plan) -> list[Shapes]:
    tasks = set(TASKS)
    if not needs_second_moments(plan):
        tasks.remove("second_moments")
    if plan.model.answer != "both":  # a table of all patterns of 64 modalities would have 2^64 rows
        tasks.remove("calibrate")
    return [model_shapes(plan), *(task_specs(plan, task) for task in sorted(tasks))]
