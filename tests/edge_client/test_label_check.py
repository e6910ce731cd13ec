"""A site hears when its labels contradict the model."""

from dataclasses import replace

import numpy as np
import pytest
from closed_form_cases import draw, make_plan, second_moments

from fedfin.fusion.model import load_model
from fedfin.model.initial_model import initial_model
from fedfin_aggregator.closed_form.groups import by_group, grouped
from fedfin_aggregator.closed_form.solve import solve
from fedfin_aggregator.fold.fold import Fold
from fedfin_edge.tasks.label_check import contradiction

PLAN = make_plan()


@pytest.fixture(scope="module")
def model():
    """Experts that eight sites have taught."""
    fold = Fold()
    for number in range(8):
        site = f"s{number}"
        values, weights = second_moments(PLAN, draw(PLAN, 60, number), site)
        fold.add(grouped(values, site), grouped(weights, site))
    solved = {name: v.astype(np.float32) for name, v in solve(PLAN, by_group(fold.sums)).items()}
    return load_model(PLAN, initial_model(PLAN) | solved)


def test_inverted_labels_are_worse_than_chance(model) -> None:
    """Right ones and drawn ones are not."""
    site = draw(PLAN, 60, 20)
    assert contradiction(model, PLAN, site) is None
    assert contradiction(model, PLAN, replace(site, labels=1 - site.labels)) < 0.3
    drawn = np.random.default_rng(0).permutation(site.labels)
    assert contradiction(model, PLAN, replace(site, labels=drawn)) is None


def test_a_site_that_knows_no_label_hears_nothing(model) -> None:
    """Nor one whose labels are all the same."""
    site = draw(PLAN, 60, 20)
    for value in (np.nan, 1.0):
        assert contradiction(model, PLAN, replace(site, labels=np.full_like(site.labels, value))) is None
