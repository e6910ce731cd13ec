"""What sums over a site's cases tell together, taken off each other."""

from dataclasses import replace

import numpy as np
import pytest
from closed_form_cases import draw, make_plan, second_moments

from fedfin.limits import LEAST_MERGED, LEAST_PATIENTS
from fedfin.model.second_moment_spec import unpack
from fedfin_edge.agent.joining import labels_below_floor
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Floor
from fedfin_edge.cases.isolation import isolated
from fedfin_edge.tasks.moments import pool_moments

PLAN = make_plan({"image": 4, "text": 3}, labels=3)
CASES, ONE = 60, 0


def floored(dataset: Dataset) -> Dataset:
    """With the usual floor."""
    return replace(dataset, least_patients=LEAST_PATIENTS)


def with_labels(*columns: np.ndarray) -> Dataset:
    """Of complete cases, each of another patient."""
    return replace(draw(PLAN, CASES, 1), labels=np.stack(columns, axis=1).astype(np.float32))


def told_of(dataset: Dataset, combination: dict[tuple[int, int], float], all_: float = 0.0) -> float:
    """How far a combination of sums is from the record of ONE. combination: factors of [label, known or true]."""
    tensors, weights = second_moments(PLAN, dataset)
    name = "labels.complete.image"
    of_labels = sum(factor * tensors[name][place] for place, factor in combination.items()) * weights[name]
    of_all = (
        unpack(tensors["second.complete.image.image"])[0, :5] * weights["second.complete.image.image"] * all_
    )
    record = np.insert(dataset.features["image"][ONE].astype(np.float64), 0, 1.0)
    return float(np.abs(of_labels[:5] + of_all - record).max())


ROWS = np.arange(CASES)
FIRST, SECOND = ROWS % 4 == 1, ROWS % 4 == 2  # nobody has both, and neither is ONE's


@pytest.mark.parametrize(
    ("dataset", "combination", "all_"),
    [
        (with_labels(np.where(ROWS == ONE, np.nan, FIRST), FIRST, SECOND), {(0, 0): -1.0}, 1.0),
        (with_labels(FIRST | (ROWS == ONE), FIRST, SECOND), {(0, 1): 1.0, (1, 1): -1.0}, 0.0),
        (
            with_labels(FIRST | SECOND | (ROWS == ONE), FIRST, SECOND),
            {(0, 1): 1.0, (1, 1): -1.0, (2, 1): -1.0},
            0.0,
        ),
    ],
    ids=["one is unknown", "two labels differ in one", "a label is two others but for one"],
)
def test_no_combination_of_label_moments_is_one_patient(dataset, combination, all_) -> None:
    """It is exactly that patient's record without a floor; with one, a label is left out."""
    assert told_of(dataset, combination, all_) < 1e-3
    assert told_of(floored(dataset), combination, all_) > 0.1
    left = second_moments(PLAN, floored(dataset))[0]["labels.complete.image"]
    assert [bool(of_label.any()) for of_label in left].count(True) == len(PLAN.labels) - 1


def test_labels_that_many_differ_in_or_nobody_are_told() -> None:
    """Fifteen of whom one is unknown, and two that are the same."""
    dataset = with_labels(np.where(ROWS % 4 == 3, np.nan, FIRST), FIRST, FIRST)
    plain, of_floored = (
        second_moments(PLAN, d)[0]["labels.complete.text"] for d in (dataset, floored(dataset))
    )
    assert np.array_equal(plain, of_floored)


def test_labels_that_few_are_unknown_of_are_named() -> None:
    """At the start, to the site's people."""
    few = with_labels(np.where(ROWS < LEAST_PATIENTS - 1, np.nan, FIRST), FIRST, SECOND)
    enough = with_labels(np.where(ROWS < LEAST_PATIENTS, np.nan, FIRST), FIRST, SECOND)
    assert labels_below_floor(PLAN, floored(few)) == PLAN.labels[0]
    assert labels_below_floor(PLAN, floored(enough)) == ""


def test_the_only_case_of_a_modality_alone_is_not_what_pairs_leave() -> None:
    """Of three modalities: all images less those with a text less those with an ECG. The case is left out of all."""
    plan = make_plan({"image": 4, "text": 3, "ecg": 3}, labels=1)
    dataset = draw(plan, CASES, 2)
    dataset.present["text"] = (ROWS > ONE) & (ROWS < 30)
    dataset.present["ecg"] = ROWS >= 30
    for given, cases in ((dataset, CASES), (floored(dataset), CASES - 1)):
        tensors, weights = second_moments(plan, given)
        names = [f"second.partial.image.{other}" for other in ("image", "text", "ecg")]
        assert [weights[name] for name in names] == [cases, 29, 30]
        assert pool_moments(given)[1]["norm.image.mean"] == cases
        parts = [
            tensors[name].reshape(-1)[1:5] if at == 0 else tensors[name][1:, 0]
            for at, name in enumerate(names)
        ]
        left = parts[0] * cases - parts[1] * 29 - parts[2] * 30
        record = dataset.features["image"][ONE]
        assert (np.abs(left - record).max() < 1e-3) == (given is dataset)


@pytest.mark.parametrize("cases_of_each", [1, 3])
def test_patients_are_counted_and_not_cases(cases_of_each: int) -> None:
    """Ten cases of ten patients are enough to be told apart; of fewer they are not."""
    apart = np.arange(60) < LEAST_PATIENTS
    sets = [np.ones(60, np.bool_), apart]
    floor = Floor(LEAST_PATIENTS, np.arange(60) // cases_of_each)
    assert np.array_equal(isolated(sets, floor), apart & (cases_of_each > 1))
    assert not isolated(sets, Floor(0, floor.patient)).any()


def test_all_cases_of_one_patient_together_are_no_combination() -> None:
    """An image, and an image with a text: neither is told apart, and all images less those with an ECG are both."""
    plan = make_plan({"image": 4, "text": 3, "ecg": 3, "lab": 3}, labels=1)
    kind = np.arange(300) % 5  # the ECG with the image, with the text, with both; the text alone; everything
    dataset = draw(plan, 300, 2)
    has = {"image": (0, 2, 4), "text": (1, 2, 3, 4), "ecg": (0, 1, 2, 4), "lab": (4,)}
    for modality, kinds in has.items():
        dataset.present[modality] = np.isin(kind, kinds)
        dataset.present[modality][:2] = modality == "image"
    dataset.present["text"][1] = True
    dataset = replace(dataset, patient=np.arange(300).clip(1))
    left = []
    for given in (dataset, floored(dataset)):
        weights = second_moments(plan, given)[1]
        left.append(weights["second.partial.image.image"] - weights["second.partial.image.ecg"])
    assert left == [2, 0]


def test_rows_that_one_patient_has_are_told_apart_only_together() -> None:
    """A label less another, whatever a third says of him; not of as many patients as the floor."""
    rows = np.repeat(
        [[1, 0, 0, 0], [1, 0, 0, 1], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 1]], 20, axis=0
    )
    mine, sets = np.arange(120) >= 80, list(rows.astype(np.bool_).T)
    assert np.array_equal(isolated(sets, Floor(LEAST_PATIENTS, np.arange(120).clip(max=80))), mine)
    assert not isolated(sets, Floor(LEAST_PATIENTS, np.arange(120))).any()


def test_two_rows_of_too_few_patients_are_told_together() -> None:
    """One label less another is of two patients, whom a third label tells apart; of three, where three are enough."""
    rows = np.repeat([[1, 0, 0, 0], [1, 0, 0, 1], [1, 1, 1, 0], [1, 1, 1, 1]], 20, axis=0).astype(np.bool_)
    pair = np.array([[1, 1, 0, 0], [1, 1, 0, 1]], np.bool_)
    for extra, mine in ((pair, 2), (pair[[0, 1, 1]], 0)):
        sets = list(np.concatenate([rows, extra]).T)
        found = isolated(sets, Floor(LEAST_MERGED, np.arange(len(rows) + len(extra))))
        assert np.flatnonzero(found).tolist() == [*range(80, 80 + mine)]


def test_the_features_of_two_patients_are_not_told_by_one_label_less_another() -> None:
    """Whatever a third label says of them."""
    second = np.where(ROWS < 2, 0, FIRST | (ROWS < 2))
    dataset = with_labels(FIRST | (ROWS < 2), second, SECOND | (ROWS == ONE))
    left = second_moments(PLAN, floored(dataset))[0]["labels.complete.image"]
    assert [bool(of_label.any()) for of_label in left] == [True, False, True]
