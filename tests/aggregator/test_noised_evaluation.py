"""AUC from counts that have noise in them."""

import numpy as np
import pytest
from private_plan import private_plan

from fedfin.model.metrics import histogram_auc
from fedfin.model.model_spec import SUMMED_BINS, task_specs
from fedfin.privacy.contributions import count_scale
from fedfin_aggregator.fold.fold import Sum
from fedfin_aggregator.rounds.noised_evaluation import noised_auc, noised_evaluation

PLAN = private_plan()


def _counts(seed: int = 0) -> np.ndarray:
    """Positives score higher."""
    rng = np.random.default_rng(seed)
    negatives, positives = rng.normal(14, 3, 400), rng.normal(18, 3, 100)
    return np.stack([np.histogram(s, SUMMED_BINS, (0, SUMMED_BINS))[0] for s in (negatives, positives)])


def test_without_noise_it_is_the_auc_of_the_histogram() -> None:
    """To the last digits."""
    counts = _counts().astype(np.float64)
    assert noised_auc(counts) == pytest.approx(histogram_auc(counts), abs=1e-12)


def test_noise_makes_it_uncertain_and_not_worse() -> None:
    """Cutting counts off at zero would draw it towards a half."""
    rng = np.random.default_rng(1)
    found = [noised_auc(_counts() + rng.normal(0, 5, (2, SUMMED_BINS))) for _ in range(400)]
    assert np.mean(found) == pytest.approx(histogram_auc(_counts()), abs=0.01)
    assert np.std(found) > 0.01


def test_nothing_is_said_of_few_positives() -> None:
    """They may be noise."""
    counts = _counts().astype(np.float64)
    counts[1] *= 9 / counts[1].sum()
    assert noised_auc(counts) is None


def test_sums_of_sites_become_aucs_and_counts() -> None:
    """In units of the norm, with the number of sites as weight; a scenario that nobody can judge has a count alone."""
    shape = task_specs(PLAN, "evaluate")["eval.all"]
    counts = np.broadcast_to(_counts(), shape)
    values = {"eval.all": counts, "eval.as-is": 0 * counts}
    sums = {n: Sum(np.rint(v * count_scale(PLAN) * 2.0**24).astype(np.int64), 5) for n, v in values.items()}
    results = noised_evaluation(PLAN, sums)
    assert results["auc.all"] == pytest.approx(histogram_auc(_counts()), abs=1e-6)
    assert (results["cases.all"], results["cases.as-is"]) == (500.0, 0.0)
    assert "auc.as-is" not in results
