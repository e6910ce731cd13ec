"""A few sites that send anything move the model little, where updates are seen."""

from itertools import permutations
from pathlib import Path

import msgspec
import numpy as np
import pytest
from round_helpers import PLAN, judge, play, update

from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Privacy
from fedfin.plan_sections import Rounds as RoundsPlan
from fedfin_aggregator.fold.fold import FoldedMeans
from fedfin_aggregator.fold.robust import robust_sums
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.store.journal import Journal

KINDS = ("median", "trimmed_mean", "krum")


def _updates(honest: int, bad: int, *, lie: float = 1e3) -> dict[str, dict[str, np.ndarray]]:
    """Honest sites about 1, the others all at a lie."""
    rng = np.random.default_rng(honest)
    good = {
        f"s{place}": {
            "a": rng.normal(1, 0.1, 4).astype(np.float32),
            "b": rng.normal(1, 0.1, 1).astype(np.float32),
        }
        for place in range(honest)
    }
    lies = {f"x{place}": {"a": np.full(4, lie, np.float32), "b": np.float32([-lie])} for place in range(bad)}
    return lies | good


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("honest", "bad"), [(8, 2), (5, 1)])
@pytest.mark.parametrize("lie", [1e4, 5.0, -3.0])
def test_a_fifth_of_the_sites_cannot_move_the_mean_off_the_honest_ones(kind, honest, bad, lie) -> None:
    """However far, or near, their lie is."""
    means = FoldedMeans(robust_sums(kind, _updates(honest, bad, lie=lie)))
    for mean in means.values():
        assert np.abs(mean - 1).max() < 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_arrival_changes_no_bit(kind) -> None:
    """Neither does a restart, which reads them again."""
    updates = _updates(4, 1)
    first, *others = (
        robust_sums(kind, {site: updates[site] for site in order}) for order in permutations(updates)
    )
    for other in others:
        assert all(
            (first[n].total == other[n].total).all() and first[n].weight == other[n].weight for n in first
        )


def test_a_median_is_the_value_in_the_middle_and_a_trimmed_mean_leaves_out_the_ends() -> None:
    """Of five, and of an even number the mean of two; of one or two sites it is the mean."""
    sites = {f"s{value}": {"a": np.float32([value])} for value in (1, 2, 3, 10, 100)}
    assert FoldedMeans(robust_sums("median", sites))["a"] == 3
    assert FoldedMeans(robust_sums("trimmed_mean", sites))["a"] == 5
    two = {site: sites[site] for site in ("s1", "s2")}
    for kind in KINDS:
        assert FoldedMeans(robust_sums(kind, two))["a"] == 1.5
        assert FoldedMeans(robust_sums(kind, {"s3": sites["s3"]}))["a"] == 3


def test_krum_keeps_those_that_are_near_each_other() -> None:
    """Of nine three may be bad: their values are in no mean."""
    updates = _updates(6, 3, lie=5.0)
    honest = np.mean([values["a"] for site, values in updates.items() if site[0] == "s"], axis=0)
    assert np.allclose(FoldedMeans(robust_sums("krum", updates))["a"], honest, atol=1e-6)


def test_a_tensor_is_combined_over_those_that_trained_it() -> None:
    """A site without a modality has no word in its columns."""
    updates = _updates(3, 0)
    del updates["s0"]["b"]
    sums = robust_sums("median", updates)
    assert sums["b"].weight == 2
    assert FoldedMeans(sums)["b"] == pytest.approx(np.mean([updates[s]["b"] for s in ("s1", "s2")]), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_of_training_with_a_site_gone_bad_comes_to_what_the_others_say(tmp_path: Path, kind) -> None:
    """Moments and all else are folded as ever."""
    rounds_plan = RoundsPlan(count=2, sites=5, min_sites=1, deadline_s=60.0, robust=kind)
    plan = msgspec.structs.replace(PLAN, rounds=rounds_plan)
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=plan))
    sites = [f"s{place}" for place in range(5)]
    play(rounds, sites, plan=plan)
    before = rounds._versions.current
    shapes = task_specs(plan, "train")
    for place, site in enumerate(sites):
        value, weight = (1000.0, 1000) if place == 4 else (0.5, 5)
        tensors = {name: np.full(shape, value, np.float32) for name, shape in shapes.items()}
        payload = update(site, 2, rounds.position.version, tensors=tensors, plan_=plan, weight=weight)
        assert judge(rounds, site, payload).accepted
    rounds.close(2)
    for name in shapes:
        assert np.allclose(rounds._versions.current[name] - before[name], 0.5, atol=1e-5), name


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"late": "fold"}, 'robust needs mode = "sync" and late = "reject"'),
        ({"mode": "async"}, 'robust needs mode = "sync" and late = "reject"'),
        ({"sites": 2}, "robust is for 3 to 64 sites"),
        ({"sites": 65}, "robust is for 3 to 64 sites"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, reason) -> None:
    """By the plan itself."""
    with pytest.raises(ValueError, match=reason):
        RoundsPlan(**({"sites": 5, "robust": "median"} | changes))


def test_under_secure_sums_there_is_nothing_to_compare() -> None:
    """The plan says so."""
    raw = msgspec.to_builtins(PLAN)
    raw |= {
        "privacy": msgspec.to_builtins(Privacy(level="secure")),
        "rounds": msgspec.to_builtins(RoundsPlan(sites=5, min_sites=3, robust="krum")),
    }
    with pytest.raises(msgspec.ValidationError, match=r'needs rounds\.robust = "none"'):
        msgspec.convert(raw, Plan)
