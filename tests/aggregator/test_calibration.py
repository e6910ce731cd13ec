"""Promises of the calibration: the head weighs as much as it was right about held-out cases."""

import numpy as np
import torch

from fedfin.fusion.calibration import Calibration
from fedfin.model.model_spec import CALIBRATION_SUMS
from fedfin_aggregator.closed_form.head_calibration import calibrate

ROW = torch.tensor([1, 1, 1])


def sums_of(logits, labels, experts=None):
    """What a site sums of one pattern and label, [classes, CALIBRATION_SUMS]; experts as the head unless given."""
    sums = np.zeros((2, CALIBRATION_SUMS))
    for truth in (0, 1):
        head, other = (of[labels == truth] for of in (logits, logits if experts is None else experts))
        sums[truth] = len(head), head.sum(), np.square(head).sum(), other.sum(), np.square(other).sum()
    return sums


def solved(sums, power, prior=(0.0,)):
    """Slope, intercept and head weight from sums [patterns, labels, classes, CALIBRATION_SUMS]."""
    tensors = calibrate(sums, 1, np.asarray(power, float), np.asarray(prior, float))
    return (tensors[f"calibration.{part}"] for part in ("slope", "intercept", "head_weight"))


def calibrated(logits, labels, asked, power=1.0, experts=None):
    """The calibration of one label from held-out cases, applied to new logits: (log-odds, head weight)."""
    sums = np.zeros((2, 1, 2, CALIBRATION_SUMS))
    sums[1, 0] = sums_of(logits, labels, experts)
    slope, intercept, weight = solved(sums, np.full((2, 1), power))
    return slope[1, 0] * np.array(asked) + intercept[1, 0], weight[1]


def draw(separation, count=400):
    """Logits of unit variance around +-separation / 2, and the labels."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return generator.standard_normal(count) + separation * (labels - 0.5), labels


def test_log_odds_of_normal_logits_come_out():
    """Classes of unit variance that are 2 apart: the log-odds are twice the logit, whatever the head's own scale."""
    logits, labels = draw(2.0)
    for scale in (0.1, 1.0, 10.0):
        found, _ = calibrated(scale * logits, labels, [-scale, 0.0, scale])
        assert np.abs(found - [-2.0, 0.0, 2.0]).max() < 0.35


def test_a_head_that_is_noise_has_no_weight():
    """Nor one that is wrong."""
    for separation in (0.0, -1.0):
        _, weight = calibrated(*draw(separation), [0.0])
        assert weight < 0.1


def test_the_better_the_head_the_more_it_weighs():
    """Four fifths where both hold the classes as far apart; less beside better experts."""
    logits, labels = draw(1.0, 2000)
    _, equal = calibrated(logits, labels, [0.0], power=1.0)
    _, beside_better = calibrated(logits, labels, [0.0], power=9.0)
    assert abs(equal - 4 / 5) < 0.1
    assert beside_better < 0.6


def test_few_positives_earn_little_weight():
    """However right they were."""
    logits, labels = draw(3.0)
    few = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:1]])
    _, weight = calibrated(logits[few], labels[few], [0.0])
    assert weight < 0.2


def test_little_evidence_earns_little_weight():
    """A weak head, seen on many cases, which noise might have made; beside experts that are as weak."""
    _, weight = calibrated(*draw(0.3), [0.0], power=0.09)
    assert 0 < weight < 0.25


def test_what_experts_know_of_one_label_alone_counts_once():
    """Of two labels, one known perfectly and one not at all, they are as far apart as with both known half as well."""
    logits, labels = draw(2.0)
    sums = np.zeros((2, 2, 2, CALIBRATION_SUMS))
    sums[1] = sums_of(logits, labels)
    one, both = (list(solved(sums, [power, power], (0.0, 0.0)))[2] for power in ([0.0, 16.0], [4.0, 4.0]))
    assert np.allclose(one, both)


def test_experts_whose_positives_spread_more_than_they_claim_weigh_less():
    """Of a rare label: to AUC the classes are as far apart as the mean of their variances says, not that of all."""
    generator = np.random.default_rng(1)
    labels = (np.arange(1000) % 10 == 0).astype(int)
    head = generator.standard_normal(1000) + 2.0 * labels
    spread = np.where(labels == 1, 3.0, 1.0) * generator.standard_normal(1000)
    _, even = calibrated(head, labels, [0.0], power=4.0, experts=head)
    _, uneven = calibrated(head, labels, [0.0], power=4.0, experts=spread)
    assert uneven > even + 0.03


def test_without_any_case_the_experts_answer():
    """The head has no weight, and nothing is NaN."""
    found, weight = calibrated(np.zeros(0), np.zeros(0), [5.0, -5.0, 0.0])
    assert weight == 0
    assert np.isfinite(found).all()


def test_few_cases_that_happen_to_agree_do_not_shout():
    """Four cases of a pattern, whose logits hardly differ: most of their variance is taken from all patterns."""
    logits, labels = draw(2.0)
    sums = np.zeros((4, 1, 2, CALIBRATION_SUMS))
    sums[1, 0] = sums_of(logits, labels)
    sums[2, 0] = sums_of(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    slope, intercept, weight = solved(sums, np.ones((4, 1)))
    answers = np.abs(2.0 * slope + intercept)
    assert answers[2, 0] < answers[1, 0]
    assert weight[2] < 0.1


def test_the_numbers_are_those_of_the_formulas_that_the_method_was_measured_with():
    """Recorded when the model derived them from raw sums at every answer; weights since the head counts four times."""
    rng, sums = np.random.default_rng(7), np.zeros((4, 2, 2, CALIBRATION_SUMS))
    for row, count in ((1, 60), (2, 9), (3, 200)):
        for label, rate in ((0, 0.5), (1, 0.1)):
            positive = rng.random(count) < rate
            head = rng.normal(size=count) + 1.5 * positive
            experts = rng.normal(size=count) * (1 + 0.5 * positive) + 1.0 * positive
            sums[row, label] = sums_of(head, positive.astype(int), experts)
    power = [[0.0, 0.0], [1.0, 0.5], [0.2, 0.1], [4.0, 2.0]]
    slope, intercept, weight = solved(sums, power, (0.0, -2.0))
    assert np.allclose(
        slope, [[0, 0], [1.406207, 1.288068], [0.311265, 0.3205], [1.383212, 1.320226]], atol=2e-6
    )
    assert np.allclose(
        intercept,
        [[0, -2], [-0.906341, -2.800692], [-0.315158, -1.995178], [-1.059762, -3.094641]],
        atol=2e-6,
    )
    assert np.allclose(weight, [0, 0.268034, 0, 0.504773], atol=2e-6)


def test_the_model_blends_as_solved():
    """The head's share of calibrated logits, the rest the experts', by the case's pattern."""
    module = Calibration(2, 1)
    module.slope[:], module.intercept[:] = 2.0, 1.0
    module.head_weight[:] = torch.tensor([0.0, 0.25])
    head, experts = torch.tensor([[3.0], [3.0]]), torch.tensor([[-1.0], [-1.0]])
    answer = module(head, experts, torch.tensor([0, 1]))
    assert answer[:, 0].tolist() == [-1.0, 0.25 * 7.0 + 0.75 * -1.0]
