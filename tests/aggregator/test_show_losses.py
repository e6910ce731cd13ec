"""`aggregator show` reads what a real site sends."""

import pytest

pytest.importorskip("torch")

from closed_form_cases import draw, initial_model, run_task
from round_helpers import METRICS, PLAN

from fedfin_aggregator.summary import LOSSES


@pytest.mark.parametrize("task", METRICS)
def test_the_metrics_of_the_fixtures_are_those_of_a_real_task(task: str) -> None:
    """Names alone: values differ."""
    dataset = draw(PLAN, 40, 1)
    dataset.held_out[:20] = True
    result = run_task(
        PLAN, task, 2, initial_model(PLAN), dataset, "s0", progress=lambda _: None, stop=lambda: False
    )
    assert set(result.metrics) == set(METRICS[task])


def test_a_training_site_sends_every_loss_that_show_has_a_column_for() -> None:
    """A name that no site sends would show as "-" for ever."""
    assert set(LOSSES.values()) <= set(METRICS["train"])
