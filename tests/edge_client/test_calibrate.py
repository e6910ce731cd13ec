"""Promises of the task `calibrate`: it tells of cases that the head did not train on, and of no others."""

from dataclasses import replace

import numpy as np
import torch
from closed_form_cases import draw, make_plan

from fedfin.fusion.model import FusionModel
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION as NAME
from fedfin.model.model_spec import task_specs
from fedfin_edge.tasks.run_task import run_task

PLAN = make_plan({"image": 6, "text": 4}, answer="both", head_width=4)


def run(task, dataset, model=None):
    """The task's result at a site."""
    return run_task(
        PLAN,
        task,
        2,
        model or initial_model(PLAN),
        dataset,
        "s",
        progress=lambda _: None,
        stop=lambda: False,
    )


def apart(dataset, share=0.5):
    """The dataset with some cases kept apart."""
    return replace(dataset, validation=np.arange(len(dataset)) < share * len(dataset))


def test_it_counts_the_cases_kept_apart_by_pattern_label_and_class():
    """A complete case counts for every pattern."""
    dataset = apart(draw(PLAN, 40, 0))
    result = run("calibrate", dataset)
    scores = result.deltas[NAME]
    assert {NAME: scores.shape} == task_specs(PLAN, "calibrate")
    assert result.weights == {NAME: 20}
    known = np.stack([(dataset.labels[:20] == truth).sum(axis=0) for truth in (0, 1)], axis=1)
    for pattern in (1, 2, 3):
        assert np.allclose(20 * scores[pattern, :, :, 0], known)


def test_it_sums_what_head_and_experts_say():
    """The head's logits, and the experts' from the labels' rates in deviations within a class."""
    dataset = apart(draw(PLAN, 40, 0))
    drawn = np.random.default_rng(0)
    initial = {name: drawn.uniform(0.1, 1.0, of.shape) for name, of in initial_model(PLAN).items()}
    tensors = {name: of.astype(np.float32) for name, of in initial.items()}
    sums = 20 * run("calibrate", dataset, tensors).deltas[NAME][3]
    model = FusionModel(PLAN)
    model.load_tensors(tensors)
    features = {m: torch.from_numpy(of[:20]) for m, of in dataset.features.items()}
    shown = {m: torch.ones(20, dtype=torch.bool) for m in features}
    with torch.inference_mode():
        head, _ = model.calibration_logits(features, shown)
        experts = model.experts(model.standardise(features, shown), shown)
    deviations = (experts.numpy() - tensors["blend.prior"]) / np.sqrt(tensors["blend.power"][3])
    positive = dataset.labels[:20] == 1
    for place, of in ((1, head.numpy()), (3, deviations)):
        assert np.allclose(sums[:, 1, place], (of * positive).sum(axis=0), rtol=1e-3)
        assert np.allclose(sums[:, 1, place + 1], (of**2 * positive).sum(axis=0), rtol=1e-3)


def test_a_site_that_keeps_none_apart_says_nothing():
    """It has no case to tell of."""
    result = run("calibrate", draw(PLAN, 40, 0))
    assert (result.deltas, result.weights) == ({}, {})


def test_the_head_never_trains_on_cases_kept_apart():
    """Other labels of theirs change no byte of training; second moments take every training case."""
    dataset = apart(draw(PLAN, 40, 0))
    labels = dataset.labels.copy()
    labels[:20] = 1 - labels[:20]
    other = replace(dataset, labels=labels)
    one, two = run("train", dataset), run("train", other)
    assert all(np.array_equal(one.deltas[name], two.deltas[name]) for name in one.deltas)
    one, two = run("second_moments", dataset), run("second_moments", other)
    assert any(not np.array_equal(one.deltas[name], two.deltas[name]) for name in one.deltas)
