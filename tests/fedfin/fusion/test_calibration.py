"""Promises of the calibration: a head is listened to as far as it was right about cases that it had not seen."""

import numpy as np
import torch

from fedfin.fusion.calibration import Calibration
from fedfin.model.model_spec import CALIBRATION_SUMS, CALIBRATION_UNIT

ROW = torch.tensor([1, 1, 1])


def told(logits, labels, experts=None):
    """What a site tells of one pattern and label, [classes, CALIBRATION_SUMS]; experts say the same unless given."""
    sums = np.zeros((2, CALIBRATION_SUMS))
    for truth in (0, 1):
        head, other = (of[labels == truth] for of in (logits, logits if experts is None else experts))
        sums[truth] = len(head), head.sum(), np.square(head).sum(), other.sum(), np.square(other).sum()
    return torch.from_numpy(sums / CALIBRATION_UNIT)


def calibrated(logits, labels, said, power=1.0, experts=None):
    """The calibration of one label from cases kept apart, asked about three new logits: (log-odds, trust)."""
    module = Calibration(2, 1)
    module.scores[:] = 0.0
    module.scores[1, 0] = told(logits, labels, experts)
    said, trust = module(
        torch.tensor(said, dtype=torch.float32).unsqueeze(1),
        ROW,
        torch.full((2, 1), power),
        torch.zeros(1),
    )
    return said[:, 0].numpy(), trust[:, 0].numpy()


def draw(apart, count=400):
    """Logits of unit variance around +-apart / 2, and the labels."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return generator.standard_normal(count) + apart * (labels - 0.5), labels


def test_log_odds_of_normal_logits_come_out():
    """Classes of unit variance that are 2 apart: the log-odds are twice the logit, whatever the head's own scale."""
    logits, labels = draw(2.0)
    for scale in (0.1, 1.0, 10.0):
        said, _ = calibrated(scale * logits, labels, [-scale, 0.0, scale])
        assert np.abs(said - [-2.0, 0.0, 2.0]).max() < 0.35


def test_a_head_that_is_noise_is_not_listened_to():
    """Nor one that is wrong."""
    for apart in (0.0, -1.0):
        _, trust = calibrated(*draw(apart), [0.0, 1.0, 2.0])
        assert trust.max() < 0.1


def test_the_better_the_head_the_more_it_is_listened_to():
    """Half where both hold the classes as far apart; less beside better experts."""
    logits, labels = draw(1.0, 2000)
    _, equal = calibrated(logits, labels, [0.0] * 3, power=1.0)
    _, beside_better = calibrated(logits, labels, [0.0] * 3, power=9.0)
    assert abs(equal[0] - 0.5) < 0.1
    assert beside_better[0] < 0.3


def test_few_positives_earn_little_trust():
    """However right they were."""
    logits, labels = draw(3.0)
    few = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:1]])
    _, trust = calibrated(logits[few], labels[few], [0.0] * 3)
    assert trust[0] < 0.2


def test_little_evidence_earns_little_trust():
    """A weak head, seen on many cases, which noise might have made; beside experts that are as weak."""
    _, trust = calibrated(*draw(0.3), [0.0] * 3, power=0.09)
    assert 0 < trust[0] < 0.25


def test_what_experts_know_of_one_label_alone_counts_once():
    """Of two labels, one told perfectly and one not at all, they are as far apart as with both told half as well."""
    logits, labels = draw(2.0)
    module = Calibration(2, 2)
    module.scores[:] = 0.0
    module.scores[1] = told(logits, labels)
    trusts = [
        module(torch.zeros(3, 2), ROW, torch.tensor([power, power]), torch.zeros(2))[1]
        for power in ([0.0, 16.0], [4.0, 4.0])
    ]
    assert torch.allclose(*trusts)


def test_experts_whose_positives_spread_more_than_they_claim_to_are_worth_less():
    """Of a rare label: to AUC the classes are as far apart as the mean of their variances says, not that of all."""
    generator = np.random.default_rng(1)
    labels = (np.arange(1000) % 10 == 0).astype(int)
    head = generator.standard_normal(1000) + 2.0 * labels
    spread = np.where(labels == 1, 3.0, 1.0) * generator.standard_normal(1000)
    _, even = calibrated(head, labels, [0.0] * 3, power=4.0, experts=head)
    _, uneven = calibrated(head, labels, [0.0] * 3, power=4.0, experts=spread)
    assert uneven[0] > even[0] + 0.05


def test_without_any_case_the_experts_answer():
    """A model that was not calibrated yet has no trust in its head."""
    said, trust = calibrated(np.zeros(0), np.zeros(0), [5.0, -5.0, 0.0])
    assert trust.max() == 0
    assert np.isfinite(said).all()


def test_few_cases_that_happen_to_agree_do_not_shout():
    """Four cases of a pattern, whose logits hardly differ: most of their variance is taken from all patterns."""
    logits, labels = draw(2.0)
    module = Calibration(4, 1)
    module.scores[:] = 0.0
    module.scores[1, 0] = told(logits, labels)
    module.scores[2, 0] = told(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    row = torch.tensor([1, 2])
    said, trust = module(torch.full((2, 1), 2.0), row, torch.ones(4, 1), torch.zeros(1))
    assert abs(said[1, 0]) < abs(said[0, 0])
    assert trust[1, 0] < 0.1
