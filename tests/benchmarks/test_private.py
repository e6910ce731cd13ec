"""The study of noise: what it trains on, and that noise is what it measures."""

import msgspec
import numpy as np
import pytest

from benchmarks.private import RECIPE, SETTINGS, fewer, methods, scores, synthetic
from benchmarks.study.deal import deal
from benchmarks.study.methods.private_experts import PrivateExperts
from benchmarks.study.methods.projected import Projected
from fedfin.plan import Plan
from fedfin.plan_sections import Privacy


@pytest.fixture(scope="module")
def federation():
    """Ten sites that have both modalities."""
    return deal(synthetic(3000), SETTINGS["missing"], 0, RECIPE)


def test_so_many_patients_are_kept_of_all_sites(federation) -> None:
    """And none is invented where there are too few."""
    few = fewer(federation, 300, 0)
    assert sum(map(len, few.sites.values())) == 300
    assert few.sites.keys() == federation.sites.keys()
    assert all(len(few.sites[name]) < len(dataset) for name, dataset in federation.sites.items())
    assert fewer(federation, 100_000, 0) is None


def test_the_plan_that_trains_is_one_that_sites_would_accept(federation) -> None:
    """Checked as it would be over the network: one exchange, with noise, of all sites."""
    seen: list[Plan] = []

    class Watched(PrivateExperts):
        def plan(self, base: Plan) -> Plan:
            seen.append(super().plan(base))
            return seen[-1]

    method = Watched("private", privacy=Privacy(level="private", epsilon=8.0))
    trained = Projected("private", method, "principal", "modality", 4, 1.0).train(federation, lambda _: None)
    (plan,) = seen
    assert msgspec.convert(msgspec.to_builtins(plan), Plan) == plan
    assert plan.privacy.noised
    assert plan.rounds.min_sites == 10
    assert all(0.1 < modality.deviation < 10 for modality in plan.modalities)
    assert trained.costs.up > 0


def test_more_noise_answers_worse(federation) -> None:
    """Of 600 patients far less is learnt at epsilon 1 than at 8, and than from sums without noise.

    The noise is the operating system's, as in service: each bound is four deviations of 25 trainings away (80.4
    without noise, 77.6 +- 1.3 at epsilon 8, 60.7 +- 3.8 at 1).
    """
    few = fewer(federation, 600, 0)
    complete = {method.name: scores(method.train(few, lambda _: None), few, 0)[0] for method in methods(8)}
    assert complete["no noise"] > complete["epsilon 1"] + 3
    assert complete["epsilon 8"] > complete["epsilon 1"]
    assert complete["no noise"] > 60


def test_synthetic_cases_have_the_rates_that_the_page_states() -> None:
    """Six labels, of 8 to 40 %."""
    rates = synthetic(2000).cases.labels.mean(axis=0)
    assert np.allclose(rates, [0.08, 0.1, 0.15, 0.2, 0.3, 0.4], atol=0.001)
