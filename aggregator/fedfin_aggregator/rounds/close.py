"""What becomes of a round's updates: pure functions, for the aggregator and for the study alike."""

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import Tensors
from fedfin.model.model_spec import CALIBRATION, CALIBRATION_SUMS, CENTRES, MAGNITUDES, Task, pattern_row
from fedfin.plan import Plan
from fedfin.protocol import staleness
from fedfin.secure_sums.fixed_point import with_whole_counts
from fedfin_aggregator.closed_form.denoised import denoised
from fedfin_aggregator.closed_form.groups import by_group, grouped, is_grouped
from fedfin_aggregator.closed_form.head_calibration import as_learnt, by_label, calibrate
from fedfin_aggregator.closed_form.pooled_moments import Sums
from fedfin_aggregator.closed_form.solve import solve
from fedfin_aggregator.fold.fold import Fold, FoldedMeans, Sum
from fedfin_aggregator.rounds.enough_answers import enough_answers, without_counts
from fedfin_aggregator.rounds.noised_training import denoised_scores, descent

Means = Mapping[str, NDArray[np.float64]]


def fold_update(
    fold: Fold,
    task: Task,
    values: Tensors,
    weights: Mapping[str, int],
    site: str,
    share: int = staleness.FULL,
) -> None:
    """Add one site's update: second moments, which do not age, by group of sites. Raises ProtocolError as Fold.add."""
    if task == "train":
        fold.add(values, weights, share)
        return
    whole = {name: with_whole_counts(value, weights[name]) for name, value in values.items()}
    if task == "second_moments":
        fold.add(grouped(whole, site), grouped(weights, site))
    else:
        fold.add(whole, weights, share)


def close_round(
    plan: Plan, task: Task, sums: Mapping[str, Sum], second_moments: Mapping[str, Sum], model: Tensors
) -> tuple[Means, Means]:
    """What the round adds to the model's tensors, and what replaces them.

    sums: the round's, as folded. second_moments: all that the federation has, by group, if this round added to them;
    else none, and nothing is solved anew. model: the version that the round started from.
    """
    means = FoldedMeans({n: sum_ for n, sum_ in sums.items() if not is_grouped(n) and n != MAGNITUDES})
    magnitudes = FoldedMeans({n: sum_ for n, sum_ in sums.items() if n == MAGNITUDES})
    solved = solve(plan, _solvable(plan, by_group(second_moments))) if second_moments else {}
    if task == "train" and plan.privacy.noised:
        return descent(plan, sums), {}
    if task in ("train", "second_moments"):
        return means, {**solved, **magnitudes}
    if task == "calibrate":
        return {}, _calibrated(plan, sums, model)
    if task == "moments" and plan.privacy.least_answers:
        return {}, {**FoldedMeans(without_counts(sums)), **enough_answers(plan, sums)}
    return {}, means


def _solvable(plan: Plan, groups: list[Sums]) -> list[Sums]:
    return [denoised(plan, group) for group in groups] if plan.privacy.noised else groups


def _calibrated(plan: Plan, sums: Mapping[str, Sum], model: Tensors) -> Means:
    """Nothing where no site holds cases out for it, but in secure sums what head_calibration.as_learnt then says."""
    power, prior = (model[f"blend.{part}"].astype(np.float64) for part in ("power", "prior"))
    if plan.privacy.noised and CALIBRATION in sums:
        return calibrate(denoised_scores(plan, sums), 1, power, prior)
    scores, cases = _scores(sums, power.shape)
    if plan.privacy.level == "secure":
        measured = np.asarray(scores[..., 0].any(axis=-1))
        return as_learnt(calibrate(scores, cases, power, prior), measured, power, unread=_unread(plan, model))
    return calibrate(scores, cases, power, prior) if CALIBRATION in sums else {}


def _scores(sums: Mapping[str, Sum], shape: tuple[int, ...]) -> tuple[NDArray[np.float64], int]:
    """By label, as `calibrate` takes them, and of how many cases. shape: patterns, labels."""
    if CALIBRATION not in sums:
        return np.zeros((*shape, 2, CALIBRATION_SUMS)), 0
    means = FoldedMeans(sums)
    scores = by_label(means[CALIBRATION], means[CENTRES]) if CENTRES in means else means[CALIBRATION]
    return scores, sums[CALIBRATION].weight


def _unread(plan: Plan, model: Tensors) -> list[int]:
    """The rows of patterns that show nothing, or a modality that nobody pooled."""
    lost = [not model[f"norm.{modality}.mean"].any() for modality in plan.dims]
    patterns = product((False, True), repeat=len(lost))
    return [
        pattern_row(shown)
        for shown in patterns
        if not any(shown) or any(is_shown and is_lost for is_shown, is_lost in zip(shown, lost, strict=True))
    ]
