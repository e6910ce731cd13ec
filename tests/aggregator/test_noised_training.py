"""What the aggregator makes of training's sums: a step by a public number, and scores that know their noise."""

import numpy as np
import pytest
from msgspec.structs import replace
from private_plan import private_plan

from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION, task_specs
from fedfin.privacy.contributions import gradient_scale, score_scale
from fedfin.secure_sums.fixed_point import ONE
from fedfin_aggregator.fold.fold import Sum
from fedfin_aggregator.rounds.close import close_round
from fedfin_aggregator.rounds.noised_training import denoised_scores

PLAN = private_plan(trains=True)
SITES = 5


def _sums(task: str, values: dict[str, np.ndarray], sites: int = SITES) -> dict[str, Sum]:
    return {name: Sum(np.rint(array * ONE).astype(np.int64), sites) for name, array in values.items()}


@pytest.mark.parametrize("sites", [3, 5])
def test_a_step_is_divided_by_the_stated_patients_whoever_takes_part(sites: int) -> None:
    """100 in the plan: neither the true number nor that of the sites tells of anybody."""
    sums = _sums(
        "train", {name: np.full(shape, 7.0) for name, shape in task_specs(PLAN, "train").items()}, sites
    )
    added, replaced = close_round(PLAN, "train", sums, {}, initial_model(PLAN))
    assert replaced == {}
    assert added.keys() == task_specs(PLAN, "train").keys()
    for step in added.values():
        assert np.allclose(step, PLAN.training.learning_rate * 7.0 / (100 * gradient_scale(PLAN)))


def _scores(cases: float, separation: float) -> np.ndarray:
    """Sums of unit-variance logits of so many cases in either class, [patterns, labels, 2, 5], all alike."""
    scores = np.zeros(task_specs(PLAN, "calibrate")[CALIBRATION])
    for truth, mean in enumerate((-separation / 2, separation / 2)):
        scores[1:, :, truth] = cases * np.array([1, mean, 1 + mean**2, mean, 1 + mean**2])
    return scores


def _head_weight(scores: np.ndarray) -> float:
    model = initial_model(PLAN)
    model["blend.power"][:] = 1.0
    sums = _sums("calibrate", {CALIBRATION: scores * score_scale(PLAN)})
    _, replaced = close_round(PLAN, "calibrate", sums, {}, model)
    return float(replaced["calibration.head_weight"][-1])


def test_a_head_that_tells_the_classes_apart_weighs_more_the_more_cases_say_so() -> None:
    """As without noise; of few cases noise may be all that is seen."""
    weights = [_head_weight(_scores(cases, 2.0)) for cases in (1, 100, 10_000)]
    assert weights == sorted(weights)
    assert weights[0] < 0.01
    assert weights[2] > 0.3


def test_means_stay_and_cases_count_less_the_more_noise_there_is() -> None:
    """At epsilon 1 less than at 8; many cases nearly as many."""
    worth = []
    for epsilon in (1.0, 8.0):
        plan = replace(PLAN, privacy=replace(PLAN.privacy, epsilon=epsilon))
        scores = _scores(200.0, 2.0)
        found = denoised_scores(plan, _sums("calibrate", {CALIBRATION: scores * score_scale(plan)}))
        assert np.allclose(
            found[1:, ..., 1] / found[1:, ..., 0], scores[1:, ..., 1] / scores[1:, ..., 0], atol=1e-3
        )
        worth.append(float(found[-1, 0, 1, 0]))
    assert 0 < worth[0] < worth[1] < 200


def test_noise_below_zero_counts_as_no_case() -> None:
    """And nothing of it is NaN, whatever is drawn."""
    rng = np.random.default_rng(0)
    for size in (0.0, 1.0, 30.0):
        scores = size * rng.standard_normal(task_specs(PLAN, "calibrate")[CALIBRATION])
        _, replaced = close_round(
            PLAN, "calibrate", _sums("calibrate", {CALIBRATION: scores}), {}, initial_model(PLAN)
        )
        for tensor in replaced.values():
            assert np.isfinite(tensor).all()
        assert (replaced["calibration.head_weight"] >= 0).all()
        assert (replaced["calibration.head_weight"] <= 1).all()
