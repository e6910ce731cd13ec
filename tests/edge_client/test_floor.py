"""The floor: what too few patients tell together does not leave a site by itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from closed_form_cases import draw, make_plan, second_moments
from edge_sites import edge
from msgspec.structs import replace as replace_struct

from fedfin.errors import InputError
from fedfin.fusion.model import load_model
from fedfin.limits import LEAST_PATIENTS
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION, Task
from fedfin.model.second_moment_spec import OTHER_HALF
from fedfin.plan import Plan
from fedfin.plan_sections import Privacy, Rounds
from fedfin.protocol.convergence import ANSWERS
from fedfin_aggregator.closed_form.moment_checks import check
from fedfin_edge.agent.joining import check_patients, labels_below_floor
from fedfin_edge.cases.dataset import FEW, Dataset, load_dataset
from fedfin_edge.cases.floor import Floor
from fedfin_edge.site import open_site
from fedfin_edge.tasks.calibrate import measure_scores
from fedfin_edge.tasks.evaluate import evaluate
from fedfin_edge.tasks.held_out_loss import held_out_loss
from fedfin_edge.tasks.moments import pool_moments
from fedfin_edge.tasks.run_task import run_task

PLAN = make_plan({"image": 4, "text": 3}, labels=2)
SUMMED = replace_struct(PLAN, privacy=Privacy(level="secure"), rounds=Rounds(sites=3, min_sites=3))
BOTH = make_plan({"image": 4, "text": 3}, labels=2, answer="both", head_width=4)


def floored(dataset: Dataset, least: int = LEAST_PATIENTS) -> Dataset:
    """With a floor."""
    return replace(dataset, least_patients=least)


def with_text(count: int, cases: int = 40) -> Dataset:
    """So many of its cases have a text beside the image."""
    dataset = draw(PLAN, cases, 1)
    return replace(dataset, present=dataset.present | {"text": np.arange(cases) < count})


def with_positives(count: int, cases: int = 40) -> Dataset:
    """Of the first label."""
    dataset = draw(PLAN, cases, 1)
    dataset.labels[:, 0] = np.arange(cases) < count
    return dataset


def test_people_are_counted_and_not_cases() -> None:
    """Ten cases of nine patients are below a floor of ten."""
    everyone = np.ones(10, np.bool_)
    assert Floor(10, np.arange(10)).allows(everyone)
    assert not Floor(10, np.array([0, 0, *range(1, 9)])).allows(everyone)
    assert not Floor(0, np.arange(10)).allows(~everyone)


def test_moments_of_a_modality_that_too_few_patients_have_are_not_sent() -> None:
    """Those of the other are."""
    assert {name.split(".")[1] for name in pool_moments(floored(with_text(9)))[0]} == {"image"}
    assert {name.split(".")[1] for name in pool_moments(floored(with_text(10)))[0]} == {"image", "text"}


@pytest.mark.parametrize(("complete", "counted"), [(40, 40), (31, 31), (9, 31), (20, 40)])
def test_moments_are_of_the_cases_that_second_moments_are_of(complete: int, counted: int) -> None:
    """Else the sum of all images less that of complete cases' is that of the few incomplete ones."""
    dataset = floored(with_text(complete))
    second = second_moments(PLAN, dataset)[1]
    assert pool_moments(dataset)[1]["norm.image.mean"] == counted
    assert sum(cases for name, cases in second.items() if name.endswith(".image.image")) == counted


@pytest.mark.parametrize(("complete", "sent"), [(40, {"complete"}), (31, {"complete"}), (9, {"partial"})])
def test_second_moments_of_too_few_incomplete_or_complete_cases_are_not_sent(
    complete: int, sent: set[str]
) -> None:
    """Whichever of both they are."""
    names = second_moments(PLAN, floored(with_text(complete)))[0]
    assert {name.split(".")[1] for name in names} == sent
    assert {name.split(".")[1] for name in second_moments(PLAN, with_text(39))[0]} == {"complete", "partial"}


@pytest.mark.parametrize(("positives", "told"), [(0, True), (1, False), (9, False), (10, True), (31, False)])
def test_a_label_with_too_few_of_an_answer_is_as_if_it_were_not_recorded(positives: int, told: bool) -> None:
    """A lone negative is shown by all positives as well; and the other label is told of all the same."""
    dataset = with_positives(positives)
    dataset.labels[:, 1] = np.arange(40) % 2
    moments = second_moments(PLAN, floored(dataset))[0]["labels.complete.image"]
    assert bool(moments[0].any()) == told
    assert np.array_equal(moments[1], second_moments(PLAN, dataset)[0]["labels.complete.image"][1])
    assert labels_below_floor(PLAN, floored(dataset)) == ("" if told else PLAN.labels[0])


def test_halves_go_together_where_a_label_is_below_the_floor_in_one_of_them() -> None:
    """So that the whole tells of it."""
    half = np.arange(2 * FEW) % 2 == 1

    def sent(positives: int) -> dict[str, np.ndarray]:
        dataset = with_positives(positives, 2 * FEW)
        dataset.labels[:, 1] = np.arange(2 * FEW) < FEW
        return second_moments(PLAN, floored(replace(dataset, second_half=half)))[0]

    assert any(name.startswith(OTHER_HALF) for name in sent(20))
    together = sent(18)
    assert not any(name.startswith(OTHER_HALF) for name in together)
    assert together["labels.complete.image"][0].any()


def test_halves_go_together_where_one_is_of_too_few_patients() -> None:
    """However many cases: were that half left out, moments less the other half would be its one patient's."""
    dataset = floored(with_positives(3, 3 * FEW))
    dataset.labels[:, 1] = dataset.labels[:, 0]
    second = np.arange(3 * FEW) < FEW
    dataset = replace(dataset, second_half=second, patient=np.where(second, 0, np.arange(3 * FEW)))
    weights = second_moments(PLAN, dataset)[1]
    assert weights["second.complete.image.image"] == pool_moments(dataset)[1]["norm.image.mean"] == 3 * FEW


@pytest.mark.parametrize("plan", [PLAN, SUMMED], ids=["open", "secure"])
def test_what_too_few_patients_have_two_of_makes_moments_of_no_cases_nowhere(plan: Plan) -> None:
    """Nine have image and ECG, and are not told of as such: beside the others a variance would be negative."""
    modalities = make_plan(dict.fromkeys(("image", "text", "ecg", "lab"), 2)).modalities
    plan = replace_struct(plan, modalities=modalities)
    shown = np.repeat(["all", "ite", "ie", "it", "te", "i", "t", "e"], [40, 8, 1, 15, 15, 1, 1, 1])
    dataset = floored(draw(plan, len(shown), 1))
    for modality in plan.dims:
        dataset.present[modality][:] = [of == "all" or modality[0] in of for of in shown]
    dataset.labels[:] = np.nan
    values, weights = second_moments(plan, dataset)
    check(plan, values, weights)
    assert weights["second.partial.image.image"] == weights["second.partial.image.text"] == 15
    assert pool_moments(dataset)[1]["norm.image.mean"] == 55


def test_without_a_floor_everything_is_sent() -> None:
    """As studies send, whose cases are public."""
    moments = second_moments(PLAN, with_positives(1))[0]["labels.complete.image"]
    assert moments[0, 1].any()


def test_a_site_of_too_few_patients_sends_nothing_and_says_whom_to_tell(maker, make_plan) -> None:
    """Two cases of one patient are one; the floor is the site's own."""
    rows = [
        {
            "case": f"c{n}",
            "patient": f"p{n // 2}",
            "image": maker.image(f"{n}.png", n),
            "text": "clear",
            "effusion": 0,
        }
        for n in range(4)
    ]
    site = maker.site(maker.table(rows))
    edge("encode", site.folder)
    dataset = load_dataset(site, make_plan())
    with pytest.raises(
        InputError, match=r"of 2 patients .* policy.least_patients in site.toml is 10: .* coordinator"
    ):
        check_patients(site, dataset)
    settings = Path(site.folder / "site.toml")
    settings.write_text(settings.read_text() + "\n[policy]\nleast_patients = 2\n", encoding="utf-8")
    lower = open_site(site.folder)
    check_patients(lower, load_dataset(lower, make_plan()))


def halves_in_a_sum(dataset: Dataset, first: int) -> list[dict[str, np.ndarray]]:
    """What the site gives with secure sums, by half; the first so many cases are in the first half."""
    half = np.arange(len(dataset)) % 2 == 1
    half[: 2 * first] = np.arange(2 * first) >= first
    sent = second_moments(SUMMED, floored(replace(dataset, second_half=half)))[0]
    first_half = {name: array for name, array in sent.items() if not name.startswith(OTHER_HALF)}
    other = {name.removeprefix(OTHER_HALF): sent[name] for name in sent.keys() - first_half.keys()}
    return [first_half, other]


@pytest.mark.parametrize(
    ("positives", "told"),
    [(9, [False, False]), (10, [True]), (19, [True]), (20, [True, True])],
    ids=["withheld in both", "ten, all in one half", "nineteen, all in one half", "ten in each"],
)
def test_in_a_sum_no_half_tells_of_a_label_with_fewer_of_an_answer_than_the_floor(
    positives: int, told: list[bool]
) -> None:
    """The floor is not divided by the sites in the sum: this one alone may have such cases."""
    dataset = with_positives(positives, 80)
    halves = halves_in_a_sum(dataset, positives // 2)
    moments = [half["labels.complete.image"] for half in halves if half]
    assert [bool(of_half[0].any()) for of_half in moments] == told


@pytest.mark.parametrize(("incomplete", "halves"), [(9, 0), (10, 1), (19, 1), (20, 2)])
def test_in_a_sum_no_half_is_of_fewer_incomplete_cases_than_the_floor(incomplete: int, halves: int) -> None:
    """Where a half would be, all are in one; complete cases stay in two."""
    dataset = with_text(80, 80)
    dataset.present["text"][:incomplete] = False
    dataset.labels[:] = 0
    sent = halves_in_a_sum(dataset, incomplete // 2)
    assert sum("second.partial.image.image" in half for half in sent) == halves
    assert all("second.complete.image.image" in half for half in sent)


def test_in_a_sum_all_cases_are_in_the_half_that_has_more_of_them() -> None:
    """So that not all small sites are in the same one, and either judges the other."""
    dataset = floored(draw(PLAN, 15, 1))
    for second in (6, 9):
        half = np.arange(15) < second
        (name,) = {
            name.removesuffix("second.complete.image.image")
            for name in second_moments(SUMMED, replace(dataset, second_half=half))[0]
            if name.endswith("second.complete.image.image")
        }
        assert name == (OTHER_HALF if second == 9 else "")


def given(task: Task, dataset: Dataset) -> set[str]:
    """The tensors that a site gives of its floor and these cases."""
    result = run_task(
        BOTH,
        task,
        2,
        initial_model(BOTH),
        floored(dataset),
        "s",
        progress=lambda _: None,
        stop=lambda: False,
    )
    assert result.deltas.keys() == result.weights.keys()
    return set(result.deltas)


SIDES = {"evaluate": "held_out", "calibrate": "validation"}


@pytest.mark.parametrize(
    ("patients", "sent"),
    [(14, set()), (15, {"eval.as-is", "eval.only-image"}), (29, {"eval.only-image", "eval.as-is"})],
)
def test_histograms_of_too_few_patients_are_not_sent(patients: int, sent: set[str]) -> None:
    """Five have a text: they are in none, as those with an image less those without a text would be theirs."""
    dataset = replace(with_text(5), held_out=np.arange(40) < patients)
    assert given("evaluate", dataset) == sent
    left = evaluate(load_model(PLAN, initial_model(PLAN)), PLAN, floored(dataset))[1]
    assert set(left.values()) <= {patients - 5}


@pytest.mark.parametrize("task", ["evaluate", "calibrate"])
@pytest.mark.parametrize("texts", [9, 10])
def test_no_two_sums_differ_by_cases_of_too_few_patients(task: Task, texts: int) -> None:
    """Those with an image less complete ones are those without a text: of ten patients, or of none."""
    everybody = np.ones(40, np.bool_)
    dataset = floored(replace(with_text(40 - texts), **{SIDES[task]: everybody}))
    dataset.labels[:] = 0  # so that no answer is of few
    model = load_model(BOTH, initial_model(BOTH))
    if task == "evaluate":
        cases = evaluate(model, BOTH, dataset)[1]
        found = cases["eval.only-image"] - cases["eval.all"]
    else:
        scores, cases = measure_scores(model, BOTH, dataset)
        shares = scores[CALIBRATION][..., 0].sum(axis=(1, 2)) / len(BOTH.labels)
        found = round(float(shares[1] - shares[3]) * cases[CALIBRATION])
    assert found == (texts if texts == 10 else 0)


@pytest.mark.parametrize("task", ["evaluate", "calibrate"])
@pytest.mark.parametrize(("positives", "known"), [(0, True), (9, False), (10, True), (31, False)])
def test_a_lone_answer_is_in_no_histogram_and_no_calibration_of_a_site(
    task: Task, positives: int, known: bool
) -> None:
    """Where the site's own are seen; in a sum over sites nobody sees it. The other label is there all the same."""
    dataset = replace(with_positives(positives), **{SIDES[task]: np.ones(40, np.bool_)})
    dataset.labels[:, 1] = np.arange(40) % 2
    summed = replace_struct(BOTH, privacy=Privacy(level="secure"), rounds=Rounds(sites=3, min_sites=3))
    assert [_tells_of(BOTH, task, dataset, label) for label in (0, 1)] == [known, True]
    assert [_tells_of(summed, task, dataset, label) for label in (0, 1)] == [True, True]
    wary = replace(dataset, rare_answers=False)
    assert [_tells_of(summed, task, wary, label) for label in (0, 1)] == [known, True]


@pytest.mark.parametrize("task", ["evaluate", "calibrate"])
@pytest.mark.parametrize(("known", "there"), [(1, False), (9, False), (10, True)])
def test_a_label_that_too_few_patients_know_is_in_no_sum_of_histograms_or_calibration(
    task: Task, known: int, there: bool
) -> None:
    """It may be recorded here alone."""
    sides = {"evaluate": "held_out", "calibrate": "validation"}
    dataset = replace(draw(PLAN, 40, 1), **{sides[task]: np.ones(40, np.bool_)})
    dataset.labels[known:, 0] = np.nan
    summed = replace_struct(BOTH, privacy=Privacy(level="secure"), rounds=Rounds(sites=3, min_sites=3))
    assert [_tells_of(summed, task, dataset, label) for label in (0, 1)] == [there, True]


def _tells_of(plan: Plan, task: Task, dataset: Dataset, label: int) -> bool:
    """Whether what is sent holds any case whose answer for the label is known."""
    model = load_model(plan, initial_model(plan))
    cases = floored(dataset)
    if task == "calibrate":
        return bool(measure_scores(model, plan, cases)[0][CALIBRATION][-1, label, :, 0].any())
    return bool(evaluate(model, plan, cases)[0]["eval.all"][label].any())


@pytest.mark.parametrize(("patients", "sent"), [(9, set()), (10, {CALIBRATION})])
def test_the_calibration_of_too_few_patients_is_not_sent(patients: int, sent: set[str]) -> None:
    """The means of few logits tell of each."""
    dataset = replace(draw(PLAN, 40, 1), validation=np.arange(40) < patients)
    assert given("calibrate", dataset) == sent


@pytest.mark.parametrize("known", [1, 2, 9])
def test_training_ends_by_no_answer_that_calibration_keeps_to_itself(known: int) -> None:
    """Of cases with an image alone so few know the label: neither losses nor their number tell of them."""
    plan = replace_struct(
        BOTH, labels=("l0",), rounds=Rounds(sites=3, min_sites=3, patience=2), privacy=Privacy("secure")
    )
    found = []
    for answer in (np.nan, 0, 1):
        drawn = draw(plan, 60, 1)
        drawn.labels[:20, 0] = np.nan
        drawn.labels[:known, 0] = answer
        text = drawn.present | {"text": np.arange(60) >= 20}
        dataset = floored(replace(drawn, present=text, validation=np.ones(60, np.bool_)))
        found.append(held_out_loss(load_model(plan, initial_model(plan)), plan, dataset))
    assert found[0] == found[1] == found[2]
    assert found[0][ANSWERS] == 3 * 40
