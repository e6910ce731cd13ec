"""The study's measures against values computed by hand."""

import numpy as np
import pytest

from benchmarks.study.measure import auc_figures, calibration_error, imputation_figures
from benchmarks.study.method import Imputed


def array(*values):
    return np.array(values, np.float32)


def test_macro_auc_leaves_out_labels_with_few_cases_of_a_class():
    probability = np.tile(array([0.9, 0.5], [0.8, 0.5], [0.1, 0.5], [0.2, 0.5]), (5, 1))
    labels = np.tile(array([1, 0], [0, 0], [0, np.nan], [1, 0]), (5, 1))
    labels[:4, 1] = 1
    macro, each = auc_figures(probability, labels)
    assert each == [75.0, None]
    assert macro == 75.0
    labels[4, 1] = 1
    assert auc_figures(probability, labels) == (62.5, [75.0, 50.0])


def test_calibration_error_is_the_mean_gap_of_bins():
    # 0.1 and 0.12 share a bin of two: mean 0.11 against one half; 0.9 is alone with a positive.
    probability, labels = array([0.1], [0.12], [0.9]), array([0], [1], [1])
    assert calibration_error(probability, labels) == pytest.approx(100 * (2 * 0.39 + 0.1) / 3, abs=1e-4)
    assert calibration_error(array([0.0], [1.0]), array([0], [1])) == 0
    assert calibration_error(array([0.3]), array([np.nan])) is None


def test_unknown_labels_do_not_count_in_calibration():
    both = calibration_error(array([0.8, 0.5], [0.8, 0.5]), array([1, np.nan], [1, np.nan]))
    assert both == pytest.approx(20, abs=1e-4)


def test_imputed_features_are_judged_where_hidden_in_the_judges_units():
    # The second feature is constant and the third as good as: they are left out.
    truth = array([-2, 5, 1e-30], [2, 5, -1e-30], [-2, 5, 0], [2, 5, 0])
    imputed = {"a": Imputed(array([-1, 0, 1], [1, 0, 1], [9, 9, 9], [9, 9, 9]), array(*[[4, 1, 1]] * 4))}
    figures = imputation_figures(imputed, {"a": truth}, {"a": np.array([False, False, True, True])})
    assert figures == pytest.approx({"cosine": 1.0, "explained": 0.75, "claimed": 0.25, "covered": 1.0})


def test_a_variance_that_is_too_small_shows():
    truth = array([-1], [1])
    imputed = {"a": Imputed(array([0], [0]), array([0.1], [0.1]))}
    figures = imputation_figures(imputed, {"a": truth}, {"a": np.zeros(2, bool)})
    assert figures["claimed"] == pytest.approx(10, rel=1e-5)
    assert figures["covered"] == 0
    assert figures["cosine"] == 0


def test_nothing_hidden_or_imputed_gives_no_figures():
    truth = {"a": array([1], [2])}
    assert imputation_figures({}, truth, {"a": np.zeros(2, bool)}) == {}
    estimate = {"a": Imputed(array([0], [0]))}
    assert imputation_figures(estimate, truth, {"a": np.ones(2, bool)}) == {}
    assert set(imputation_figures(estimate, truth, {"a": np.zeros(2, bool)})) == {"cosine", "explained"}
