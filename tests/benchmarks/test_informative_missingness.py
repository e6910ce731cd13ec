"""Who makes use of what is missing: the shares of pairs, and the pattern alone."""

import dataclasses

import numpy as np
import pytest
from study_cases import dealt, pool

from benchmarks.informative_missingness import pair_aucs, prevalence
from fedfin.model.metrics import auc


def test_the_auc_of_all_pairs_is_the_mean_of_those_within_and_between_groups_by_their_pairs() -> None:
    """And ties count half, as in the study's AUC."""
    draws = np.random.default_rng(0)
    scores, ill = draws.integers(0, 9, 80) / 9, draws.random(80) < 0.4
    groups = draws.integers(0, 3, 80).tolist()
    every, within, between = pair_aucs(scores, ill, groups)
    assert every == pytest.approx(100 * auc(scores, ill))
    same = sum(a == b for a, i in zip(groups, ill, strict=True) if i
               for b, j in zip(groups, ill, strict=True) if not j)  # fmt: skip
    pairs = int(ill.sum() * (~ill).sum())
    assert every == pytest.approx((same * within + (pairs - same) * between) / pairs)


def test_a_score_that_knows_the_group_alone_is_blind_within_it() -> None:
    """Where all are of one group there is no pair between."""
    ill, groups = np.array([1, 1, 0, 1, 0, 0], np.bool_), ["a", "a", "a", "b", "b", "b"]
    by_group = np.array([2 / 3] * 3 + [1 / 3] * 3)
    assert pair_aucs(by_group, ill, groups)[1] == 50
    assert pair_aucs(by_group, ill, groups)[2] > 50
    assert np.isnan(pair_aucs(by_group, ill, ["a"] * 6)[2])


def test_the_pattern_alone_is_the_share_of_ill_ones_among_the_sites_cases_of_it() -> None:
    """Of a pattern that no site has, that of all cases; one case of either class more."""
    federation = dealt(pool(present=0.7), recorded=True, sites=4)
    sites = federation.sites.values()
    labels = np.concatenate([site.labels[:, 0] for site in sites])
    image = np.concatenate([site.present["image"] & ~site.present["text"] for site in sites])
    shown = {"image": np.array([True, False]), "text": np.array([False, False])}
    expected = [(labels[of].sum() + 1) / (len(labels[of]) + 2) for of in (image, np.ones_like(image))]
    assert prevalence(federation, shown) == pytest.approx(expected)


def test_the_judge_knows_whose_its_cases_are() -> None:
    """As many hospitals as cases, of data that tells; none of other data."""
    assert dealt(ratio="8:0:2").judge_hospitals == ()
    names = tuple(("north", "south")[place // 3 % 2] for place in range(600))
    of = pool()
    cases = dataclasses.replace(of.cases, hospitals=names)
    federation = dealt(dataclasses.replace(of, cases=cases), hospitals=True)
    numbers = federation.judge.features["image"][:, 0].astype(int)
    assert federation.judge_hospitals == tuple(names[number] for number in numbers)
