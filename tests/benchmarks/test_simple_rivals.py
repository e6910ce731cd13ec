"""Promises of the strong simple rivals: each learns, at the penalty of inner folds, and answers any pattern."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.study.federation import Federation
from benchmarks.study.methods.indicator_logistic import IndicatorLogistic
from benchmarks.study.methods.knn_fill import KnnFill
from benchmarks.study.methods.late_fusion import LateFusion
from benchmarks.study.methods.logistic import PENALTIES, fit
from benchmarks.study.methods.pattern_ridge import PatternRidge, regression
from benchmarks.study.methods.training_rows import FOLDS, training_rows
from benchmarks.study.methods.units import pooled
from fedfin.model.metrics import macro_auc
from fedfin.plan import Plan
from fedfin.plan_sections import Modality
from fedfin_edge.cases.dataset import Dataset

DIMS = {"image": 8, "text": 6}
PLAN = Plan(
    federation="study",
    labels=("a", "b"),
    modalities=tuple(Modality(name=m, encoder="0" * 64, dim=dim) for m, dim in DIMS.items()),
)
RIVALS = [
    LateFusion("late-logits", adds="logits"),
    LateFusion("late-ranks", adds="ranks"),
    PatternRidge(),
    IndicatorLogistic(),
    KnnFill(),
]
parametrised = pytest.mark.parametrize("method", RIVALS, ids=lambda method: method.name)


def cases(count, seed, held=("image", "text")):
    """Both modalities tell of both labels; every tenth label is unknown."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, 2, (count, 2)).astype(np.float32)
    features = {
        m: (labels @ np.eye(2, dim) * 2 + draws.standard_normal((count, dim))).astype(np.float32)
        for m, dim in DIMS.items()
    }
    labels[::10, 1] = np.nan
    present = {m: np.full(count, m in held) for m in DIMS}
    features = {m: values * present[m][:, None] for m, values in features.items()}
    half = draws.random(count) < 1 / 2
    return Dataset(features, present, labels, np.zeros(count, np.bool_), second_half=half)


@pytest.fixture(scope="module")
def federation():
    """An image-only site, a text-only one, one with both."""
    sites = {"i": cases(60, 1, ("image",)), "t": cases(60, 2, ("text",)), "b": cases(60, 3)}
    return Federation(PLAN, sites, sites, cases(0, 4), cases(300, 5))


def answers(method, federation, *shown):
    """Of the judge's cases, of which only that is shown; what is hidden is anything."""
    trained = method.train(federation, lambda _share: None)
    judge = federation.judge
    features = {m: values if m in shown else values * 0 + 7 for m, values in judge.features.items()}
    return trained.answer(features, {m: np.full(len(judge), m in shown) for m in DIMS})


def auc(method, federation, *shown):
    return macro_auc(answers(method, federation, *shown), federation.judge.labels)


@parametrised
def test_they_learn_and_more_modalities_tell_more(method, federation):
    both, *alone = (auc(method, federation, *shown) for shown in (("image", "text"), ("image",), ("text",)))
    assert both > 0.93
    assert min(alone) > 0.85
    assert both > max(alone)


@parametrised
def test_no_test_case_and_no_label_of_one_has_a_part_in_them(method, federation):
    moved = replace(federation.judge, labels=1 - federation.judge.labels)
    one, other = (
        answers(method, of, "image", "text") for of in (federation, replace(federation, judge=moved))
    )
    assert np.array_equal(one, other)


@parametrised
def test_what_is_hidden_changes_nothing(method, federation):
    trained, judge = method.train(federation, lambda _share: None), federation.judge
    present = {"image": np.ones(len(judge), np.bool_), "text": np.zeros(len(judge), np.bool_)}
    one, other = (
        trained.answer({**judge.features, "text": judge.features["text"] * factor}, present)
        for factor in (1, -9)
    )
    assert np.array_equal(one, other)


@parametrised
def test_without_a_complete_case_anywhere_complete_cases_are_answered(method, federation):
    """As where one site has images and the other texts."""
    apart = replace(federation, sites={name: federation.sites[name] for name in "it"})
    assert auc(method, apart, "image", "text") > 0.9


@parametrised
def test_they_say_what_they_send(method, federation):
    costs = method.train(federation, lambda _share: None).costs
    assert costs.up > 0
    assert costs.down > 0
    assert costs.multiply_adds > 0


def test_logistic_regression_is_where_its_gradient_ends():
    """Sum over cases of (probability - label) x, and the penalty, balance."""
    of = training_rows({"one": cases(200, 7), "other": cases(200, 8)})
    features, labels = of.side_by_side(list(DIMS)), of.labels
    model = fit(features, labels, of.fold)
    error = np.nan_to_num(1 / (1 + np.exp(-model.logits(features))) - labels)
    gradient = features.T @ error + model.penalty * model.weights[1:]
    assert np.abs(gradient).max() < 0.05
    assert model.penalty in PENALTIES


def test_features_that_tell_nothing_get_the_greatest_penalties():
    draws = np.random.default_rng(0)
    noise = draws.standard_normal((120, 60)).astype(np.float32)
    labels = draws.integers(0, 2, (120, 2)).astype(np.float32)
    assert fit(noise, labels, np.arange(120) % FOLDS).penalty >= 300


def test_logits_add_with_the_prior_counted_once(federation):
    """Two modalities that say nothing more than the prior leave it as it is."""
    noise = np.random.default_rng(0)
    labels = (noise.random((400, 2)) < 0.1).astype(np.float32)
    features = {m: noise.standard_normal((400, dim)).astype(np.float32) for m, dim in DIMS.items()}
    present = {m: np.ones(400, np.bool_) for m in DIMS}
    blank = Dataset(features, present, labels, np.zeros(400, np.bool_))
    of = replace(federation, sites={"one": blank, "other": blank})
    assert answers(RIVALS[0], of, "image", "text").mean() == pytest.approx(labels.mean(), abs=0.03)


def test_inner_folds_never_part_a_site_s_half(federation):
    """Halves are by patient, so that no patient judges what he taught."""
    rows, at = training_rows(federation.sites), 0
    for dataset in federation.sites.values():
        fold = rows.fold[at : at + len(dataset)]
        for half in (dataset.in_second_half, ~dataset.in_second_half):
            assert len(set(fold[half].tolist())) == 1
        at += len(dataset)
    assert set(rows.fold.tolist()) == set(range(FOLDS))


def test_a_ridge_of_rows_has_their_covariances():
    draws = np.random.default_rng(0)
    x, y = (
        draws.standard_normal((50, 3)).astype(np.float32),
        draws.standard_normal((50, 1)).astype(np.float32),
    )
    sums = regression(x, y)
    assert np.allclose(sums.cov_xx, np.cov(x.T, bias=True), atol=1e-5)
    assert np.allclose(sums.cov_xy[:, 0], ((x - x.mean(0)) * (y - y.mean(0))).mean(0), atol=1e-5)


def test_neighbours_fill_better_than_the_mean(federation):
    """In the encoder's units; the first two features tell of the labels, the others of nothing."""
    trained, judge = KnnFill().train(federation, lambda _share: None), federation.judge
    present = {"image": np.ones(len(judge), np.bool_), "text": np.zeros(len(judge), np.bool_)}
    guess = trained.impute(judge.features, present)["text"].mean
    mean = pooled(federation.sites.values()).mean["text"]
    errors = [np.square(judge.features["text"] - one)[:, :2].mean() for one in (guess, mean)]
    assert errors[0] < errors[1]
