"""A FIN that trains measures what it leaves unexplained."""

import numpy as np
import pytest
import torch
from closed_form_cases import answers, draw, fusion_model, join, make_plan, solved
from msgspec.structs import replace

from fedfin.model.initial_model import initial_model
from fedfin.plan_sections import Training
from fedfin_edge.tasks.measured_spread import MeasuredSpread
from fedfin_edge.tasks.run_task import run_task

QUIET = {"progress": lambda _: None, "stop": lambda: False}


def test_it_is_the_mean_squared_error_of_what_was_asked() -> None:
    """Over all batches, by feature; what was never asked for is not in it."""
    rng, measured = np.random.default_rng(0), MeasuredSpread()
    errors = {m: rng.random((10, 3)).astype(np.float32) for m in ("a", "b", "c")}
    asked = {"a": rng.random(10) < 0.5, "b": np.ones(10, np.bool_), "c": np.zeros(10, np.bool_)}
    for rows in (slice(0, 4), slice(4, 10)):
        measured.add(
            {m: torch.from_numpy(v[rows]) for m, v in errors.items()},
            {m: torch.from_numpy(v[rows]) for m, v in asked.items()},
        )
    assert measured.tensors().keys() == {"spread.a", "spread.b"}
    for modality in ("a", "b"):
        wanted = errors[modality][asked[modality]].mean(axis=0)
        assert measured.tensors()[f"spread.{modality}"] == pytest.approx(wanted, rel=1e-5)


def trained(plan, rounds: int):
    """The model of two sites, by plain means."""
    sites = {f"s{i}": draw(plan, 200, i) for i in range(2)}
    model = initial_model(plan)
    model |= run_task(plan, "moments", 1, model, join(list(sites.values())), "s0", **QUIET).deltas
    if plan.model.fin == "refined":
        model |= {name: value.astype(np.float32) for name, value in solved(plan, sites).items()}
    for round_ in range(3, 3 + rounds):
        results = [
            run_task(plan, "train", round_, model, cases, site, **QUIET) for site, cases in sites.items()
        ]
        assert all(r.weights["spread.text"] == r.weights["fin.output.text.weight"] for r in results)
        model |= {n: model[n] + np.mean([r.deltas[n] for r in results], axis=0) for n in results[0].deltas}
    return model


@pytest.mark.parametrize("fin", ["mlp", "refined"])
def test_it_is_what_new_cases_show(fin: str) -> None:
    """The mean square error on cases that no site has is what it says, to 0.1 of the variance."""
    plan = make_plan({"image": 6, "text": 4}, fin=fin, fin_width=32, fin_layers=1, answer="head")
    plan = replace(plan, training=Training(epochs=2, learning_rate=3e-3))
    model, new = fusion_model(plan, trained(plan, 6)), draw(plan, 500, 77)
    everything = {m: torch.ones(500, dtype=torch.bool) for m in plan.dims}
    truth = model.standardise({m: torch.from_numpy(v) for m, v in new.features.items()}, everything)
    for source, target in (("image", "text"), ("text", "image")):
        _, mean, spread = answers(model, new, [source])
        left = np.square(mean[target] - truth[target].numpy()).mean()
        assert left == pytest.approx(spread[target].mean(), abs=0.1)
        assert left < 0.85
