"""Training ends when it stops improving, by one rule for aggregator and study."""

import math

import msgspec
import pytest

from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds
from fedfin.protocol.convergence import ANSWERS, LOSSES, follow, has_converged, pooled_loss
from fedfin.protocol.schedule import after_training

PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(
        Modality(name="image", encoder="a" * 64, dim=3),
        Modality(name="text", encoder="b" * 64, dim=2),
    ),
    model=Model(answer="head", fin="zero"),
    rounds=Rounds(count=9, patience=2),
)
FALLING = {version: 1.0 / version for version in range(1, 9)}


def test_a_loss_that_falls_is_trained_on() -> None:
    assert not has_converged(FALLING, 1)
    assert follow(PLAN, 8, FALLING) == (9, None)


def test_rounds_without_improvement_end_training_and_the_best_version_is_the_final_one() -> None:
    losses = {1: 0.5, 2: 0.4, 3: 0.41}
    assert follow(PLAN, 4, losses) == (5, None)
    assert follow(PLAN, 5, losses | {4: 0.42}) == (after_training(PLAN), 2)


def test_a_gain_too_small_to_matter_does_not_go_on_for_ever() -> None:
    losses = {version: 0.4 - 1e-5 * version for version in range(1, 4)}
    assert follow(PLAN, 4, losses) == (after_training(PLAN), 3)


def test_no_patience_trains_every_round() -> None:
    forever = msgspec.structs.replace(PLAN, rounds=Rounds(count=9, patience=0))
    assert follow(forever, 9, {version: 1.0 * version for version in range(1, 9)}) == (10, None)


def test_a_version_that_loses_by_the_margin_is_not_taken() -> None:
    """The next round goes on from the best one; where nothing is in the plan every version is taken."""
    voting = msgspec.structs.replace(PLAN, rounds=Rounds(count=9, patience=5, rollback=0.1))
    losses = {1: 0.5, 2: 0.4}
    assert follow(voting, 4, losses | {3: 0.43}) == (5, None)
    assert follow(voting, 4, losses | {3: 0.45}) == (5, 2)
    assert follow(voting, 5, losses | {3: 0.45, 4: 0.4}) == (6, None)
    assert follow(voting, 3, {1: 0.5}) == (4, None)
    deaf = msgspec.structs.replace(voting, rounds=Rounds(count=9, patience=5))
    assert follow(deaf, 4, losses | {3: 9.0}) == (5, None)


def test_what_comes_late_from_a_version_that_is_not_taken_is_not_folded() -> None:
    """The next round starts from another version, and nothing would tell such an update from others."""
    with pytest.raises(ValueError, match='rollback needs late = "reject"'):
        Rounds(rollback=0.1, late="fold")


@pytest.mark.parametrize("unfit", [{"patience": 0}, {"mode": "async"}])
def test_versions_are_compared_on_validation_cases_of_whole_rounds(unfit) -> None:
    """Without them nobody votes."""
    with pytest.raises(ValueError, match="rollback needs mode"):
        Rounds(rollback=0.1, **unfit)


def test_the_last_round_keeps_what_it_made_only_where_the_version_before_was_the_best() -> None:
    last = after_training(PLAN) - 1
    assert follow(PLAN, last, FALLING | {last - 1: 0.1}) == (last + 1, None)
    assert follow(PLAN, last, FALLING | {last - 1: 0.2}) == (last + 1, 8)


def test_a_head_that_is_merely_too_sure_of_itself_is_no_worse() -> None:
    results = {ANSWERS: 10.0} | dict.fromkeys(LOSSES.values(), 8.0)
    softened = results | {LOSSES[1.0]: 80.0, LOSSES[4.0]: 4.0}
    assert pooled_loss(softened) == pytest.approx(0.4)


def test_without_cases_held_out_training_goes_on_to_the_end() -> None:
    assert pooled_loss({"cases": 3.0}) is None
    assert pooled_loss({ANSWERS: 0.0, LOSSES[1.0]: math.inf}) is None
    assert follow(PLAN, 5, {}) == (6, None)
