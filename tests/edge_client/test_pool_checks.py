"""With secure sums a site itself sees whether its features are like the pooled ones."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from closed_form_cases import draw, make_plan

from fedfin.errors import StateError
from fedfin_edge.agent.pool_checks import check_own_features, lost_modalities
from fedfin_edge.tasks.moments import pool_moments

PLAN = make_plan()


def pooled(sites):
    """The model's first moments, as a sum over these sites has them."""
    given = [pool_moments(site) for site in sites]
    return {
        name: (sum(w[name] * v[name].astype(np.float64) for v, w in given) / sum(w[name] for _, w in given))
        .astype(np.float32)
        for name in given[0][0]
    }  # fmt: skip


def federation(count, how=lambda x: x):
    """The first site's features are changed."""
    sites = [draw(PLAN, 60, seed) for seed in range(count)]
    changed = {m: how(values).astype(np.float32) for m, values in sites[0].features.items()}
    return [replace(sites[0], features=changed), *sites[1:]]


def settled(*, unlike_others=False):
    """What the check reads of a site."""
    policy = SimpleNamespace(unlike_others=unlike_others)
    return SimpleNamespace(table_path="cases.csv", settings=SimpleNamespace(policy=policy))


@pytest.mark.parametrize("count", [3, 10])
def test_a_site_in_other_units_sees_it_and_the_others_see_that_one_is(count: int) -> None:
    """It stops; they go on, and say so; with its people's word it goes on."""
    sites = federation(count, lambda x: 100 * x)
    model = pooled(sites)
    with pytest.raises(StateError, match=r"cases\.csv: this site's image is unlike the federation's"):
        check_own_features(settled(), sites[0], model)
    check_own_features(settled(unlike_others=True), sites[0], model)
    for site in sites[1:]:
        check_own_features(settled(), site, model)
        assert lost_modalities(site, model) == ["image", "text"]


def test_a_shifted_site_among_ten_sees_it() -> None:
    """By five deviations."""
    sites = federation(10, lambda x: x + 5)
    with pytest.raises(StateError, match="unlike the federation's"):
        check_own_features(settled(), sites[0], pooled(sites))


@pytest.mark.parametrize("count", [3, 10])
def test_healthy_sites_go_on_and_say_nothing(count: int) -> None:
    """Also before anything was pooled."""
    sites = federation(count)
    for site in sites:
        for model in (pooled(sites), {name: 0 * values for name, values in pooled(sites).items()}):
            check_own_features(settled(), site, model)
            assert lost_modalities(site, model) == []
