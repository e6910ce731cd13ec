"""What no cases of a site can give is refused when it comes, so that nothing that follows can fail on it.

Of one update, or of a shard's sum: means of what cases can give are such means, too.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.model.answer_counts import count_shapes
from fedfin.model.model_spec import CALIBRATION, Task
from fedfin.plan import Plan
from fedfin.privacy import contributions
from fedfin.privacy.clipping import STEPS
from fedfin.privacy.shared_noise import share_of
from fedfin.protocol.rounds.attempts import GIVEN_UP
from fedfin.protocol.subtraction import PASSED_OVER
from fedfin.secure_sums.fixed_point import ONE
from fedfin_aggregator.closed_form import moment_checks
from fedfin_aggregator.closed_form.groups import plain_name
from fedfin_aggregator.rounds.enough_answers import check_counts

Floats = NDArray[np.float64]
Values = Mapping[str, NDArray[np.float32] | Floats]
Weights = Mapping[str, int]

# What rounding may add, of a value and absolutely: that of float32 and of the fold, in 512 shares that are added.
SLACK, LEAST = 1e-5, 1e-4
NOISE = 10.0  # deviations
# Among a closed round's results: its second moments were too many cases and are not in the model; those of so many
# sites have no solution.
DROPPED, LEFT_OUT = "second_moments_dropped", "second_moments_left_out"
# The version that training came to, in the results of its last round: the best one, where that is not the last.
BEST = "best_version"
# The better version that the round after goes on from, where the one that this round started from was not taken.
ROLLED_BACK = "rolled_back_to"
# 1: why it has no sum, where that is not in the journal's updates.
WITHOUT_SUM = {PASSED_OVER: "passed_over", GIVEN_UP: "given_up"}
# All that the results say beside the means of the sites' metrics; `show` believes them.
RESULTS = frozenset({"sites", "bytes", "late", DROPPED, LEFT_OUT, BEST, ROLLED_BACK, *WITHOUT_SUM.values()})
# Begins what of a secure sum too few sites have, so that it is not in it.
WITHHELD = "withheld."
# Begins of which labels a sum is without, since too few patients of all sites have one of the answers.
SUPPRESSED = "suppressed."
RESULT_PREFIXES = ("auc.", "cases.", "labels.", WITHHELD, SUPPRESSED)


def check_values(plan: Plan, task: Task, values: Values, weights: Weights) -> None:
    """Judge the means of a task, and the cases behind each. Raises ProtocolError.

    Not those of training: a delta may be anything that the codec carries. Not those with noise: no cases give such.
    """
    if plan.privacy.noised:
        return
    if task == "moments":
        _check_moments(plan, values, weights)
        for name in values.keys() & count_shapes(plan).keys():
            check_counts(name, values[name], weights[name], plan.privacy.least_answers or 0)
    elif task == "second_moments":
        moment_checks.check(plan, values, weights)
    elif task == "calibrate" and CALIBRATION in values:
        _check_calibration(values[CALIBRATION])
    elif task == "evaluate":
        for name, histogram in values.items():
            _check_shares(f"tensor {name}", histogram)


def check_noised(
    plan: Plan, task: Task, sums: Mapping[str, NDArray[np.int64]], patients: int, sites: int
) -> None:
    """No value of a sum with noise is more than so many clipped patients give. Raises ProtocolError.

    sums: in the fold's fixed point. Noise beyond NOISE deviations comes once in 10^23 values.
    """
    most = patients * contributions.NORM + NOISE * math.sqrt(share_of(plan, task) * sites) / STEPS
    for name, total in sums.items():
        # Not abs(): that of the smallest int64 is negative.
        if total.size and not -most * ONE <= int(total.min()) <= int(total.max()) <= most * ONE:
            raise ProtocolError(
                f"tensor {name} of the sum is more than the {patients} patients that the charter grants its sites can"
                " give: one of them sends what no patients gave"
            )


def check_granted(weights: Weights, granted: int) -> None:
    """No sum is over more cases than the charter grants its sites together. Raises ProtocolError."""
    for name, weight in weights.items():
        if weight > granted:
            raise ProtocolError(
                f"tensor {name} of the sum claims {weight} cases; the charter grants its sites {granted} together:"
                " one of them claims more than it may"
            )


def check_cases(plan: Plan, weights: Weights, updates: int = 1) -> None:
    """No site claims more cases than the plan lets it, so that few names cannot fill a sum. Raises ProtocolError."""
    most, claimed = plan.rounds.cases_per_site, Counter[str]()
    for name, weight in weights.items():
        claimed[_whole(name)] += weight
    for name, weight in claimed.items():
        if weight > most * updates:
            raise ProtocolError(
                f"tensor {name} claims {weight} cases; the plan allows a site {most}; if it has them, the coordinator"
                " must raise rounds.cases_per_site"
            )


def _whole(name: str) -> str:
    """What a tensor is a part of: second moments come in parts, by group, half and population; others are whole."""
    kind, _, rest = plain_name(name).partition(".")
    return f"{kind}.{rest.partition('.')[2]}" if kind in ("second", "labels") else name


def check_metrics(names: Iterable[str]) -> None:
    """No metric of a site poses as what the aggregator found. Raises ProtocolError."""
    for name in names:
        if name in RESULTS or name.startswith(RESULT_PREFIXES):
            raise ProtocolError(f"metric {name!r} has the name of a result, which a site cannot tell")


def _check_moments(plan: Plan, values: Values, weights: Weights) -> None:
    """Mean squares are at least the means' squares (Jensen), and within what the plan lets features be."""
    for modality in plan.modalities:
        names = [f"norm.{modality.name}.{part}" for part in ("mean", "square")]
        if weights.get(names[0]) != weights.get(names[1]):
            raise ProtocolError(f"tensors {names[0]} and {names[1]} count different cases")
        if names[0] not in values:
            continue
        mean, square = (values[name].astype(np.float64) for name in names)
        # What was larger than a value can be has become that in the codec.
        if ((square > modality.feature_limit**2 * (1 + SLACK)) | (square >= limits.VALUE_ABS)).any():
            raise ProtocolError(
                f"features of {modality.name} are larger than {modality.feature_limit:g} in the root of their mean"
                " square; if the encoder gives such, the coordinator must raise the modality's feature_limit, or where"
                f" that is {limits.FEATURE_ABS:g} already, sites must give smaller units"
            )
        if (np.square(mean) > square * (1 + SLACK) + LEAST).any():
            raise ProtocolError(f"tensor {names[1]} holds less than the squares of the means")


def _check_calibration(scores: NDArray[np.floating]) -> None:
    """[patterns, labels, classes, 5 or 3]: shares of cases, and one or two means of squares, every second one.

    A logit's mean may exceed the root of its mean square: what is too large to travel is cut down.
    """
    _check_shares(f"tensor {CALIBRATION}", scores[..., :1])
    if (scores[..., 2::2] < 0).any():
        raise ProtocolError(f"tensor {CALIBRATION} holds a mean square below zero")


def _check_shares(what: str, shares: NDArray[np.floating]) -> None:
    """[..., classes, bins]: shares of one whole."""
    if (shares < 0).any():
        raise ProtocolError(f"{what} holds a negative share")
    if (shares.sum(axis=(-2, -1), dtype=np.float64) > 1 + LEAST).any():
        raise ProtocolError(f"{what} holds shares of more than all cases")
