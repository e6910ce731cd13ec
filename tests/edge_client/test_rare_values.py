"""A feature in which few patients differ from all others tells of them alone: in sums they do not differ."""

from dataclasses import replace

import numpy as np
import pytest
from closed_form_cases import draw, make_plan
from msgspec.structs import replace as replace_struct

from fedfin.model.initial_model import initial_model
from fedfin.plan_sections import Privacy, Rounds
from fedfin_edge.agent.joining import few_values
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.rare_values import coded_features, without_rare_values
from fedfin_edge.tasks.run_task import run_task

PLAN = make_plan({"image": 4, "text": 3}, labels=2)
SUMMED = replace_struct(PLAN, privacy=Privacy(level="secure"), rounds=Rounds(sites=3, min_sites=3))
CASES = 60
QUIET = {"progress": lambda _: None, "stop": lambda: False}


def with_values(count: int, usual: float = 0.0) -> Dataset:
    """So many patients have another value than the usual one of the image's first feature."""
    dataset = draw(PLAN, CASES, 1)
    dataset.features["image"][:, 0] = usual
    dataset.features["image"][:count, 0] = 1.0 + np.arange(count)
    return replace(dataset, least_patients=10)


@pytest.mark.parametrize("usual", [0.0, -2.5])
@pytest.mark.parametrize("count", [1, 2])
def test_what_one_or_two_patients_alone_have_is_as_if_they_had_it_not(count: int, usual: float) -> None:
    """Whatever it is; other features stay, bit for bit."""
    found = without_rare_values(with_values(count, usual)).features
    assert (found["image"][:, 0] == usual).all()
    before = with_values(count, usual).features
    assert np.array_equal(found["image"][:, 1:], before["image"][:, 1:])
    assert np.array_equal(found["text"], before["text"])


def test_what_three_have_stays_and_what_two_of_a_half_have_does_not() -> None:
    """Each half of the patients is told of by itself."""
    assert np.array_equal(
        without_rare_values(with_values(3)).features["image"], with_values(3).features["image"]
    )
    second = np.arange(CASES) % 2 == 1
    found = without_rare_values(replace(with_values(5), second_half=second)).features["image"][:, 0]
    assert found[:6].tolist() == [1, 0, 3, 0, 5, 0]


def test_patients_are_counted_and_not_cases() -> None:
    """Five cases of one patient."""
    patient = np.arange(CASES)
    patient[:5] = 0
    assert not without_rare_values(replace(with_values(5), patient=patient)).features["image"][:, 0].any()


def test_who_has_other_modalities_is_told_of_apart() -> None:
    """Ten with an image and a text have it, and one with an image alone."""
    dataset = with_values(11)
    dataset.present["text"][10:30] = False
    found = without_rare_values(dataset).features["image"][:, 0]
    assert found[:11].tolist() == [*range(1, 11), 0]


def test_one_patient_of_a_combination_does_not_hide_behind_others_of_incomplete_cases() -> None:
    """Second moments are of all incomplete cases together: he alone has an image, an ecg and no text, and the value."""
    dataset = with_values(1)
    ecg = {"ecg": np.arange(CASES) < 1}
    present = dataset.present | {"text": np.arange(CASES) >= 30} | ecg
    dataset = replace(
        dataset, present=present, features=dataset.features | {"ecg": np.ones((CASES, 2), np.float32)}
    )
    assert not without_rare_values(dataset).features["image"][:, 0].any()


def test_who_trains_the_head_is_told_of_without_those_who_calibrate_it() -> None:
    """Three have the value, two of whom the head does not train on."""
    dataset = replace(with_values(3), validation=np.isin(np.arange(CASES), [0, 1]))
    assert without_rare_values(dataset).features["image"][:3, 0].tolist()[2] == 0


def test_values_that_differ_in_their_last_bits_are_one_value() -> None:
    """As of a text that is encoded in batches of another size."""
    dataset = with_values(1, usual=0.25)
    jitter = np.random.default_rng(0).normal(0, 1e-5, CASES - 1)
    dataset.features["image"][1:, 0] += jitter.astype(np.float32)
    assert np.ptp(without_rare_values(dataset).features["image"][:, 0]) < 1e-4


def test_held_out_cases_stay() -> None:
    """Of them nothing but scores is told."""
    dataset = replace(with_values(1), held_out=np.arange(CASES) < 5)
    assert without_rare_values(dataset).features["image"][0, 0] == 1


def test_features_that_have_few_values_are_counted() -> None:
    """Two codes and a category of five; of those that vary none, however few cases there are."""
    dataset, rng = draw(PLAN, CASES, 1), np.random.default_rng(1)
    dataset.features["image"][:, :2] = rng.integers(0, 2, (CASES, 2))
    dataset.features["image"][:, 2] = rng.integers(0, 5, CASES)
    assert coded_features(dataset) == {"image": 3, "text": 0}
    assert few_values(SUMMED, dataset) == "3 of 4 of image"
    assert few_values(PLAN, dataset) == "", "no sums"
    assert all(coded_features(draw(PLAN, count, 1)) == {"image": 0, "text": 0} for count in (1, 2, 5, 14))


@pytest.mark.parametrize("cases", [2, 3, 4, 10, 60])
def test_features_that_all_vary_stay(cases: int) -> None:
    """As those of a projection; however few cases there are."""
    dataset = replace(draw(PLAN, cases, 1), least_patients=10, second_half=np.arange(cases) % 2 == 0)
    found = without_rare_values(dataset)
    assert all(np.array_equal(found.features[m], dataset.features[m]) for m in PLAN.dims)


@pytest.mark.parametrize("task", ["moments", "second_moments", "train"])
def test_no_sum_tells_who_alone_has_a_value(task: str) -> None:
    """His other features and labels beside it: the same bytes as if he had it not."""
    alone, usual = with_values(1), with_values(0)
    told = [run_task(SUMMED, task, 2, initial_model(SUMMED), one, "s", **QUIET) for one in (alone, usual)]
    assert told[0].deltas
    assert all(np.array_equal(value, told[1].deltas[name]) for name, value in told[0].deltas.items())
    open_ = [run_task(PLAN, task, 2, initial_model(PLAN), one, "s", **QUIET) for one in (alone, usual)]
    assert not all(np.array_equal(value, open_[1].deltas[name]) for name, value in open_[0].deltas.items())
