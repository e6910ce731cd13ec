"""How many patients have each answer, as a site counts them in the first task where the plan asks."""

from dataclasses import replace

import numpy as np
import pytest
from closed_form_cases import draw, make_plan, some_hidden
from msgspec.structs import replace as replace_struct

from fedfin.fusion.model import load_model
from fedfin.model.answer_counts import ENOUGH, count_shapes, enough_shapes, suppressed
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION, CENTRES, model_shapes, scenarios, task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Privacy, Rounds
from fedfin_edge.agent.explain_update import tells
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.answer_counts import count_answers
from fedfin_edge.tasks.calibrate import measure_scores
from fedfin_edge.tasks.evaluate import evaluate
from fedfin_edge.tasks.run_task import run_task

QUIET = {"progress": lambda _: None, "stop": lambda: False}
ALL, IMAGE, TEXT, AS_IS = range(4)


def counting(least: int = 10, *, labels: int = 2, **privacy) -> Plan:
    """Secure sums that count, of head and experts."""
    plan = make_plan({"image": 4, "text": 3}, labels=labels, answer="both", head_width=4)
    return replace_struct(
        plan,
        privacy=Privacy(level="secure", least_answers=least, **privacy),
        rounds=Rounds(sites=3, min_sites=3),
    )


PLAN = counting()


def judges(dataset: Dataset, **changes) -> Dataset:
    """All of them held out."""
    return replace(dataset, held_out=np.ones(len(dataset), np.bool_), **changes)


def calibrates(dataset: Dataset, **changes) -> Dataset:
    """All of them calibrate."""
    return replace(dataset, validation=np.ones(len(dataset), np.bool_), **changes)


def counted(dataset: Dataset, task: str = "evaluate", plan: Plan = PLAN) -> np.ndarray:
    """[rows, labels, answers], of calibration [rows, answers]."""
    return count_answers(plan, dataset)[0][f"count.{task}"]


def with_positives(count: int, cases: int = 40, *, patients: int | None = None) -> Dataset:
    """Of the first label; of so many patients by turns, each of another if nobody says so."""
    dataset = draw(PLAN, cases, 1)
    dataset.labels[:, 0] = np.arange(cases) < count
    return replace(dataset, patient=np.arange(cases) % (patients or cases))


@pytest.mark.parametrize(("positives", "count"), [(0, 0), (1, 1), (9, 9), (10, 10), (30, 10)])
def test_patients_are_counted_up_to_what_the_plan_asks_for(positives: int, count: int) -> None:
    """More would tell more, and no more is asked."""
    assert counted(judges(with_positives(positives)))[ALL, 0].tolist() == [10, count]


def test_patients_are_counted_and_not_cases() -> None:
    """Twelve cases with the finding, of three patients, who have cases without it, too."""
    dataset = judges(with_positives(12, patients=3))
    assert counted(dataset)[AS_IS, 0].tolist() == [3, 3]


def test_who_neither_judges_nor_calibrates_is_not_counted() -> None:
    """Moments are of them, and say nothing of answers."""
    dataset = draw(PLAN, 40, 1)
    assert not counted(dataset).any()
    assert not counted(dataset, "calibrate").any()
    assert counted(calibrates(dataset), "calibrate")[3].any()
    assert not counted(judges(calibrates(dataset)), "calibrate").any(), "who is held out does not calibrate"


@pytest.mark.parametrize("task", ["evaluate", "calibrate"])
def test_a_site_below_its_floor_counts_nobody(task: str) -> None:
    """As it gives nothing there."""
    side = judges if task == "evaluate" else calibrates
    assert not counted(side(draw(PLAN, 9, 1), least_patients=10), task).any()
    assert counted(side(draw(PLAN, 10, 1), least_patients=10), task).any()


def test_a_site_counts_nobody_of_a_label_that_it_keeps_to_itself() -> None:
    """Calibration counts those who have the other one."""
    dataset = replace(with_positives(3), least_patients=10, rare_answers=False)
    assert not counted(judges(dataset))[:, 0].any()
    assert counted(judges(dataset))[3, 1].all()
    assert counted(calibrates(dataset), "calibrate")[3].all()
    dataset.labels[:, 1] = 0
    assert counted(calibrates(dataset), "calibrate")[3].tolist() == [10, 0]


def test_counts_are_of_what_evaluation_and_calibration_hold() -> None:
    """Where each case is a patient, of whatever modalities it has, and of labels that are known in part."""
    plan = counting(1000, labels=3)
    dataset = some_hidden(draw(plan, 60, 2, known=0.7), 3)
    flags = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(plan).items()}
    model = load_model(plan, initial_model(plan) | flags)
    histograms, weights = evaluate(model, plan, judges(dataset))
    for row, scenario in enumerate(scenarios(plan)):
        name = f"eval.{scenario}"
        held = np.rint(histograms[name].sum(axis=-1) * weights[name])
        assert np.array_equal(counted(judges(dataset), plan=plan)[row], held), scenario


def test_calibration_counts_whose_scores_it_holds() -> None:
    """Of each patient one for each answer, however many labels have it: both together do not say who has two."""
    plan = counting(1000, labels=3)
    dataset = calibrates(some_hidden(draw(plan, 60, 2, known=0.7), 3))
    flags = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(plan).items()}
    scores, cases = measure_scores(load_model(plan, initial_model(plan) | flags), plan, dataset)
    held = np.rint(scores[CALIBRATION][:, 0, :, 0] * cases[CALIBRATION])
    assert held[3].all()
    patterns, combinations = np.split(counted(dataset, "calibrate", plan), 2)
    assert np.array_equal(patterns, held)
    assert np.array_equal(patterns[1:3], combinations[1:3] + combinations[3]), "alone, and with the other one"


def test_nothing_of_the_experts_is_told_with_all_labels_in_one() -> None:
    """Of a label of which they know nothing they say the same of all: what is left would be of few."""
    flags = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(PLAN).items()}
    sums = []
    for power in (0.0, 1.0):
        tensors = initial_model(PLAN) | flags
        tensors["blend.weight"] = np.full_like(tensors["blend.weight"], power)
        sums.append(
            measure_scores(load_model(PLAN, tensors), PLAN, calibrates(draw(PLAN, 40, 2)))[0][CALIBRATION]
        )
    assert np.array_equal(*sums)


def test_calibration_of_all_labels_in_one_does_not_say_of_which_an_answer_is() -> None:
    """Two labels change places at all patients: shares stay. The centres are of no patient."""
    plan = counting(1000)
    flags = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(plan).items()}
    model, dataset = load_model(plan, initial_model(plan) | flags), calibrates(draw(plan, 40, 2))
    before = measure_scores(model, plan, dataset)[0]
    dataset.labels[:, 1] = np.nan
    after = measure_scores(model, plan, dataset)[0]
    assert before[CALIBRATION].shape == (4, 1, 2, 3)
    dataset_of_others = calibrates(draw(plan, 50, 9))
    assert np.array_equal(before[CENTRES], measure_scores(model, plan, dataset_of_others)[0][CENTRES]), (
        "of no case"
    )
    dataset.labels[:] = dataset.labels[:, ::-1]
    swapped = measure_scores(model, plan, dataset)[0]
    assert np.array_equal(swapped[CALIBRATION][..., 0], after[CALIBRATION][..., 0])


def test_each_case_adds_to_a_calibration_by_itself() -> None:
    """The sum of two sites is that of one with the cases of both: products would tell what either has."""
    plan = counting(1000)
    flags = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(plan).items()}
    model, dataset = (
        load_model(plan, initial_model(plan) | flags),
        calibrates(some_hidden(draw(plan, 60, 2), 3)),
    )

    def sums(cases: np.ndarray) -> dict[str, np.ndarray]:
        part = dataset.of(cases, dataset.features, dataset.present)
        means, counts = measure_scores(model, plan, calibrates(part))
        return {name: values.astype(np.float64) * counts[name] for name, values in means.items()}

    first = np.arange(60) < 20
    whole, one, other = sums(first | True), sums(first), sums(~first)
    for name, total in whole.items():
        assert np.allclose(one[name] + other[name], total, rtol=1e-4, atol=1e-4), name


def test_calibration_counts_who_has_an_answer_of_any_label_once() -> None:
    """Nine and nine of ten have a finding, eight of them both."""
    dataset = calibrates(draw(PLAN, 10, 2))
    dataset.labels[:, 0], dataset.labels[:, 1] = np.arange(10) < 9, np.arange(10) > 0
    assert counted(dataset, "calibrate", counting(1000))[3].tolist() == [2, 10]


def test_scenarios_are_counted_by_what_cases_have_exactly_too() -> None:
    """They can be taken off each other: complete cases, images alone, texts alone."""
    plan = counting(1000)
    dataset = draw(plan, 60, 4)
    dataset.present["text"][:20] = False
    dataset.present["image"][20:35] = False
    rows = counted(judges(dataset), plan=plan)
    combinations = rows[4:].sum(axis=-1)
    assert combinations[:, 0].tolist() == [0, 20, 15, 25]
    assert np.array_equal(rows[4:].sum(axis=0), rows[AS_IS])
    combinations = counted(judges(dataset, least_patients=16), plan=plan)[4:].sum(axis=-1)
    assert combinations[:, 0].tolist() == [0, 20, 0, 25], "texts alone are in nothing"


@pytest.mark.parametrize("privacy", [{}, {"least_sites_per_block": 3}])
def test_labels_are_told_of_a_combination_of_modalities_or_not(privacy) -> None:
    """Of those with a text five have a known one: it is in no pattern of theirs, so that none differ by these five."""
    dataset = calibrates(draw(PLAN, 40, 5), least_patients=10)
    dataset.present["text"][20:] = False
    dataset.labels[:15] = np.nan
    rows = counted(dataset, "calibrate", counting(**privacy))
    assert not rows[[2, 3]].any()
    assert np.array_equal(rows[1], rows[4 + 1])
    assert rows[1].all()


def test_counts_travel_as_whole_numbers_beside_the_moments_and_are_one_site_s_each() -> None:
    """Whatever it has; a plan that does not ask has none of it."""
    model = initial_model(PLAN)
    result = run_task(PLAN, "moments", 1, model, draw(PLAN, 5, 1), "s", **QUIET)
    assert {name: result.deltas[name].shape for name in count_shapes(PLAN)} == count_shapes(PLAN)
    assert {result.weights[name] for name in count_shapes(PLAN)} == {1}
    assert count_shapes(PLAN).keys() <= task_specs(PLAN, "moments").keys()
    assert "up to 10" in tells(PLAN, "moments")
    for privacy in (Privacy(level="secure"), Privacy(level="secure", least_answers=0)):
        plain = replace_struct(PLAN, privacy=privacy)
        assert not count_shapes(plain)
        assert not any(name.startswith(ENOUGH) for name in model_shapes(plain))
        assert (
            task_specs(plain, "moments").keys()
            == task_specs(PLAN, "moments").keys() - count_shapes(PLAN).keys()
        )


def test_what_the_model_says_too_few_have_is_left_out_and_nothing_else() -> None:
    """By scenario and label, and by pattern."""
    flags = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(PLAN).items()}
    everything = load_model(PLAN, initial_model(PLAN) | flags)
    flags["enough.evaluate"][IMAGE, 0] = flags["enough.calibrate"][3] = 0
    some = load_model(PLAN, initial_model(PLAN) | flags)
    dataset = draw(PLAN, 40, 6)
    before, after = (evaluate(model, PLAN, judges(dataset))[0] for model in (everything, some))
    assert not after["eval.only-image"][0].any()
    after["eval.only-image"][0] = before["eval.only-image"][0]
    assert all(np.array_equal(before[name], after[name]) for name in before)
    before, after = (
        measure_scores(model, PLAN, calibrates(dataset))[0][CALIBRATION] for model in (everything, some)
    )
    assert not after[3].any()
    assert before[3].any()
    assert np.array_equal(before[:3], after[:3])


def test_it_is_said_in_words_of_which_labels() -> None:
    """Once where it is so everywhere; of tasks without answers nothing."""
    flags = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(PLAN).items()}
    flags["enough.evaluate"][:, 0] = flags["enough.evaluate"][[IMAGE, AS_IS], 1] = 0
    flags["enough.calibrate"][[1, 3]] = 0
    one, other = PLAN.labels
    assert suppressed(PLAN, "evaluate", flags) == [one, f"{other} of only-image, as-is"]
    assert suppressed(PLAN, "calibrate", flags) == ["any label of image", "any label of image + text"]
    assert suppressed(PLAN, "moments", flags) == []
