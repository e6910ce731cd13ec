"""From pooled second moments to the model's tensors that no gradient trains."""

from collections.abc import Sequence
from itertools import compress, product

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.model.model_spec import pattern_row, solved_shapes
from fedfin.plan import Plan
from fedfin_aggregator.closed_form.blend import Blend
from fedfin_aggregator.closed_form.cross_validation import folds
from fedfin_aggregator.closed_form.pooled_moments import Sums
from fedfin_aggregator.closed_form.scores import Fits

Tensors = dict[str, NDArray[np.float64]]


def solve(plan: Plan, groups: Sequence[Sums]) -> Tensors:
    """Every tensor that is solved, by name (fedfin/model/model_spec.py); zero where the data say nothing.

    groups: the sums of each group of sites, as a fold has them. Raises ProtocolError when they have no solution:
    then they are the moments of no cases, though each site's passed moment_checks.py.
    """
    try:
        with np.errstate(all="ignore"):  # what becomes of it is seen below
            found = _found(plan, groups)
    except np.linalg.LinAlgError:
        raise ProtocolError("the second moments have no solution") from None
    if not all(np.isfinite(values).all() for values in found.values()):
        raise ProtocolError("the second moments have no finite solution")
    return {name: np.zeros(shape) for name, shape in solved_shapes(plan).items()} | found


def _found(plan: Plan, groups: Sequence[Sums]) -> Tensors:
    """What the plan's model has of it."""
    fits = Fits(plan, folds(plan, groups))
    found = _imputation(fits) | _experts(fits)
    return {name: found[name] for name in solved_shapes(plan).keys() & found.keys()}


def _imputation(fits: Fits) -> Tensors:
    """x_target = offset + gain x_source, shrunk feature by feature to what holds on cases of other folds."""
    tensors: Tensors = {}
    for (target, source), fitted in fits.imputations.items():
        ridge, features = fitted.ridge, slice(0, fits.plan.dims[target])
        gain = (ridge.weights * ridge.gain)[:, features]
        tensors[f"gaussian.gain.{source}.{target}"] = gain.T
        tensors[f"gaussian.offset.{source}.{target}"] = ridge.mean_y[features] - ridge.mean_x @ gain
        tensors[f"gaussian.explained.{source}.{target}"] = ridge.explained[features]
    return tensors


def _experts(fits: Fits) -> Tensors:
    """Scores are zero in the mean; a pattern of shown modalities has a row of weights (see `pattern_row`)."""
    if not fits.experts:
        return {}
    plan, modalities = fits.plan, list(fits.plan.dims)
    tensors: Tensors = {}
    for target, source in fits.pairs:
        score = fits.score((target, source))
        tensors[f"expert.{source}.{target}.weight"] = score.T
        tensors[f"expert.{source}.{target}.bias"] = -fits.center(source) @ score
    count, labels = len(modalities), len(plan.labels)
    weight = np.zeros((2**count, count, count, labels))
    bias, power = np.zeros((2**count, labels)), np.zeros((2**count, labels))
    blend = Blend(fits)
    for mask in product((False, True), repeat=count):
        shown, row = list(compress(modalities, mask)), pattern_row(mask)
        weights, bias[row], power[row] = blend.pattern(shown)
        for (target, source), values in weights.items():
            weight[row, modalities.index(source), modalities.index(target)] = values
    of_all = {"weight": weight, "bias": bias, "power": power, "prior": blend.prior}
    return tensors | {f"blend.{part}": values for part, values in of_all.items()}
