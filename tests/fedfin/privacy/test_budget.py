"""One budget for all rounds of a plan: what each may cost, so that no patient is told of beyond the promise."""

from collections import defaultdict

import pytest
from msgspec.structs import replace
from private_plan import private_plan

from fedfin.plan import Plan
from fedfin.privacy.budget import SIDES, budget_of, rho_of_round
from fedfin.privacy.release import release_of
from fedfin.protocol.schedule import last_round, task_of


def _answered_by(plan: Plan, answer: str) -> Plan:
    return replace(plan, model=replace(plan.model, answer=answer))


PLANS = {
    "experts": private_plan(),
    "both": private_plan(trains=True),
    "head": _answered_by(private_plan(trains=True), "head"),
}


@pytest.mark.parametrize("answer", PLANS)
def test_the_rounds_of_a_plan_spend_the_budget_and_no_more(answer: str) -> None:
    """On every side of the split that the plan tells of."""
    plan = PLANS[answer]
    spent: dict[str, float] = defaultdict(float)
    for round_ in range(1, last_round(plan) + 1):
        task = task_of(plan, round_)
        release = release_of(plan, task, ["st-mary"], run="1" * 16, round_=round_, update="7" * 64)
        for side in SIDES[task]:
            spent[side] += release.rho
    assert budget_of(plan).allows(max(spent.values()))
    for side in ("training", "held out"):
        assert spent[side] > 0.99 * budget_of(plan).rho


def test_training_gets_the_share_that_the_plan_says() -> None:
    """Over its rounds alike; calibration, which is of other patients, as much at once."""
    plan = private_plan(trains=True)
    plan = replace(plan, privacy=replace(plan.privacy, training_share=0.3))
    whole = budget_of(plan).rho
    wanted = {"second_moments": 0.7, "train": 0.1, "calibrate": 0.3, "evaluate": 1.0}
    assert {task: rho_of_round(plan, task) / whole for task in wanted} == pytest.approx(wanted)


def test_with_noise_training_comes_after_the_second_moments() -> None:
    """Nobody pools moments; experts alone train nothing."""
    tasks = {
        answer: [task_of(plan, round_) for round_ in range(1, last_round(plan) + 1)]
        for answer, plan in PLANS.items()
    }
    assert tasks == {
        "experts": ["second_moments", "evaluate"],
        "both": ["second_moments", *["train"] * 3, "calibrate", "evaluate"],
        "head": ["second_moments", *["train"] * 3, "evaluate"],
    }
