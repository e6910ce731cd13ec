"""Of two labels that a model scores alike the later one is in no histogram and no calibration."""

from dataclasses import replace

import numpy as np
import pytest
from closed_form_cases import draw, make_plan, solved
from msgspec.structs import replace as replace_struct

from fedfin.fusion.model import load_model
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION
from fedfin.plan_sections import Privacy, Rounds
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.alike_labels import alike_labels, alike_pairs
from fedfin_edge.tasks.calibrate import measure_scores
from fedfin_edge.tasks.evaluate import evaluate

PLAN = make_plan({"image": 4, "text": 3}, labels=3, answer="both", head_width=4)
CASES = 200


def trained(dataset: Dataset) -> dict[str, np.ndarray]:
    """The experts, solved of its second moments; the head as it was drawn, whose labels are all unlike."""
    return initial_model(PLAN) | solved(PLAN, {"s0": dataset})


def same_in_training() -> Dataset:
    """The third label is the first one."""
    dataset = draw(PLAN, CASES, 1)
    dataset.labels[:, 2] = dataset.labels[:, 0]
    return dataset


def test_labels_that_are_the_same_in_training_are_alike() -> None:
    """Experts answer them alike, whatever the head says; of others they do not."""
    model = load_model(PLAN, trained(same_in_training()))
    assert alike_pairs(model, PLAN).any(axis=0).tolist() == [False, False, True]
    assert not alike_pairs(load_model(PLAN, trained(draw(PLAN, CASES, 1))), PLAN).any()


def test_a_label_that_is_another_s_opposite_is_scored_the_other_way_round() -> None:
    """Its histogram, mirrored, is the other's but for whoever has both, or neither."""
    dataset = draw(PLAN, CASES, 1)
    dataset.labels[:, 2] = 1 - dataset.labels[:, 0]
    assert alike_pairs(load_model(PLAN, trained(dataset)), PLAN).any(axis=0).tolist() == [False, False, True]


def test_scores_that_do_not_vary_are_not_alike() -> None:
    """Experts that know nothing yet say the same of all labels, and of all cases: nothing is told of any."""
    assert not alike_pairs(load_model(PLAN, initial_model(PLAN)), PLAN).any()


@pytest.mark.parametrize("cases", [60, 200])
def test_the_patient_who_has_one_of_two_labels_that_are_alike_is_not_told(cases: int) -> None:
    """Neither by a histogram nor by the calibration."""
    model, judged = load_model(PLAN, trained(same_in_training())), []
    for answer in (1, 0):
        dataset = replace(draw(PLAN, cases, 2), least_patients=10)
        dataset.labels[:, 2] = dataset.labels[:, 0]
        dataset.labels[0, 2] = answer
        everybody = np.ones(cases, np.bool_)
        histograms = evaluate(model, PLAN, replace(dataset, held_out=everybody))[0]
        scores = measure_scores(model, PLAN, replace(dataset, validation=everybody))[0][CALIBRATION]
        assert not any(values[2].any() for values in histograms.values())
        assert not scores[:, 2].any()
        assert scores[:, 1].any()
        judged.append([*histograms.values(), scores])
    assert all(np.array_equal(one, other) for one, other in zip(*judged, strict=True))


def test_without_a_floor_all_labels_are_told() -> None:
    """As everything else is."""
    dataset = same_in_training()
    assert not alike_labels(load_model(PLAN, trained(dataset)), PLAN, dataset).any()


@pytest.mark.parametrize("few", [True, False])
def test_an_earlier_label_that_too_few_have_everywhere_does_not_hide_the_later_one(few: bool) -> None:
    """Nothing can be taken off it there; where any scenario tells the earlier one, the later one is in none."""
    secure = Privacy(level="secure", least_answers=10)
    plan = replace_struct(PLAN, privacy=secure, rounds=Rounds(count=1, sites=3, min_sites=3))
    dataset = same_in_training()
    enough = np.ones((4, 3), np.float32)
    enough[1 - few :, 0] = 0
    model = initial_model(plan) | solved(PLAN, {"s0": dataset}) | {"enough.evaluate": enough}
    assert alike_labels(load_model(plan, model), plan, dataset).tolist() == [False, False, not few]
