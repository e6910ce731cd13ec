"""A round's work: what cannot be sent is left out, and the site's operator is told."""

from typing import Any

import numpy as np

from fedfin.codec import Tensors
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Training
from fedfin.protocol.payloads import Update, decode_payload, open_update
from fedfin.protocol.site.effects import Work
from fedfin_edge.agent.error_feedback import Feedback
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.update import make_update
from fedfin_edge.cases.dataset import Dataset

Events = list[tuple[str, dict[str, Any]]]


def _plan(rate: float) -> Plan:
    return Plan(
        federation="ward",
        labels=("x",),
        modalities=(Modality(name="image", encoder="a" * 64, dim=6),),
        model=Model(fin="mlp", answer="head", head_width=4),
        training=Training(learning_rate=rate, epochs=2, batch_size=4),
    )


def _dataset() -> Dataset:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((16, 6)).astype(np.float32)
    labels = (features[:, :1] > 0).astype(np.float32)
    return Dataset({"image": features}, {"image": np.ones(16, np.bool_)}, labels, np.zeros(16, np.bool_))


def _work(rate: float) -> tuple[Outbox, Events]:
    """A training round, and what was reported of it."""
    plan, events = _plan(rate), []
    outbox = make_update(
        plan,
        Work(2, "train", 1),
        initial_model(plan),
        _dataset(),
        "s0",
        "1" * 16,
        Feedback("1" * 16),
        report=lambda event, facts: events.append((event, facts)),
        stop=lambda: False,
    )
    return outbox, events


def _sent(outbox: Outbox, rate: float) -> tuple[Tensors, Update]:
    update = decode_payload(outbox.payload, Update)
    return open_update(update, task_specs(_plan(rate), "train"))[0], update


def test_training_that_diverged_sends_what_is_finite_and_names_the_rest() -> None:
    """The loss is left out too. The event names a tensor, how many more, and what to do."""
    outbox, events = _work(1e30)
    values, update = _sent(outbox, 1e30)
    left_out = sorted(task_specs(_plan(1e30), "train").keys() - values.keys())
    assert left_out
    ((_, told),) = [event for event in events if event[0] == "diverged"]
    assert told["round"] == 2
    assert told["tensor"].startswith(left_out[0])
    assert len(left_out) == 1 or told["tensor"].endswith(f" and {len(left_out) - 1} more")
    assert "smaller `learning_rate`" in told["reason"]
    assert update.metrics.keys() == {"cases", "fin_loss"}


def test_training_that_went_well_reports_its_progress_only() -> None:
    """Every tensor is sent."""
    outbox, events = _work(0.01)
    values, update = _sent(outbox, 0.01)
    assert values.keys() == task_specs(_plan(0.01), "train").keys()
    assert {event for event, _ in events} == {"progress"}
    assert events[-1][1] == {"round": 2, "share": 1.0}
    assert update.metrics["cases"] == 16.0
