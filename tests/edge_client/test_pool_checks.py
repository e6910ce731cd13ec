"""With secure sums a site itself sees whether its features are like the pooled ones."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from closed_form_cases import draw, make_plan
from msgspec.structs import replace as replace_struct

from fedfin.errors import StateError
from fedfin.model.initial_model import initial_model
from fedfin.plan_sections import Privacy, Rounds
from fedfin_edge.agent.participation import Participation
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
        check_own_features(settled(), PLAN, sites[0], model)
    check_own_features(settled(unlike_others=True), PLAN, sites[0], model)
    for site in sites[1:]:
        check_own_features(settled(), PLAN, site, model)
        assert lost_modalities(site, model) == ["image", "text"]


def test_a_shifted_site_among_ten_sees_it() -> None:
    """By five deviations."""
    sites = federation(10, lambda x: x + 5)
    with pytest.raises(StateError, match="unlike the federation's"):
        check_own_features(settled(), PLAN, sites[0], pooled(sites))


@pytest.mark.parametrize("count", [3, 10])
def test_healthy_sites_go_on_and_say_nothing(count: int) -> None:
    """Also where nothing was pooled, as in the first version."""
    sites, first = federation(count), initial_model(PLAN)
    for site in sites:
        for model in (pooled(sites), {name: first[name] for name in pooled(sites)}):
            check_own_features(settled(), PLAN, site, model)
            assert lost_modalities(site, model) == []


@pytest.mark.parametrize("off", [9.0, -9.0])
def test_moments_off_all_cases_but_one_are_refused_by_every_site(off: float) -> None:
    """In one feature of seven: all others would be cut there, and the sum of all sites tell of that patient alone."""
    sites = federation(10)
    model = pooled(sites)
    mean = model["norm.image.mean"].astype(np.float64)
    variance = model["norm.image.square"] - mean**2
    mean[3] += off * np.sqrt(variance[3])
    told = model | {"norm.image.mean": mean, "norm.image.square": mean**2 + variance}
    for site in sites:
        with pytest.raises(StateError, match="feature 3 of 100% of its cases is cut"):
            check_own_features(settled(), PLAN, site, told)


def test_moments_that_pretend_that_nothing_was_pooled_are_refused() -> None:
    """Means of nothing, and a variance so small that everybody is cut."""
    sites, first = federation(3), initial_model(PLAN)
    told = first | {"norm.image.square": np.full_like(first["norm.image.square"], 1e-8)}
    with pytest.raises(StateError, match="of 100% of its cases is cut"):
        check_own_features(settled(), PLAN, sites[0], told)


def test_a_feature_that_is_one_value_at_a_site_is_no_reason_to_refuse() -> None:
    """As that of its scanner, of sixty sites."""
    sites = federation(60)
    for number, site in enumerate(sites):
        site.features["image"][:, 0] = number == 0
    for site in sites[:2]:
        check_own_features(settled(), PLAN, site, pooled(sites))


def test_moments_that_only_one_known_record_fits_are_refused() -> None:
    """Of no variance in one feature: whoever is not just there is cut."""
    sites = federation(10)
    model = pooled(sites)
    mean, square = (model[f"norm.text.{part}"].copy() for part in ("mean", "square"))
    mean[0] = sites[4].features["text"][7, 0]
    square[0] = mean[0] ** 2
    with pytest.raises(StateError, match=r"feature 0 of 9[0-9]% of its cases is cut"):
        check_own_features(
            settled(), PLAN, sites[4], model | {"norm.text.mean": mean, "norm.text.square": square}
        )


def test_moments_that_change_after_they_were_checked_are_checked_again() -> None:
    """An honest aggregator's stay; each version's are held against this site's cases."""
    sites, secure = federation(3), Privacy(level="secure")
    plan = replace_struct(PLAN, privacy=secure, rounds=Rounds(count=1, sites=3, min_sites=3))
    part = SimpleNamespace(plan=plan, dataset=sites[0], _site=settled(), _checked_norm={})
    model = pooled(sites)
    Participation.check_pool(part, "train", model, print)
    part.dataset = None  # the same ones are not looked at again
    Participation.check_pool(part, "train", model, print)
    part.dataset = sites[0]
    mean, square = (model[f"norm.image.{part}"].astype(np.float64) for part in ("mean", "square"))
    far = mean + 9 * np.sqrt(square - mean**2)
    other = model | {"norm.image.mean": far, "norm.image.square": far**2 + square - mean**2}
    with pytest.raises(StateError, match="unlike the federation's"):
        Participation.check_pool(part, "train", other, print)
