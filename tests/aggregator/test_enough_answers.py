"""What too few patients of all sites have is in no label moments and no evaluation, and calibration tells no label."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from closed_form_cases import draw, make_plan
from msgspec.structs import replace as replace_struct

from fedfin.codec import Tensors
from fedfin.errors import ProtocolError
from fedfin.model.answer_counts import NOBODY, count_shapes, enough_shapes, suppressed
from fedfin.model.blocks import Blocks, blocks_of
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION, Task, scenarios
from fedfin.model.second_moment_spec import OTHER_HALF
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Privacy, Rounds
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.protocol.schedule import last_round, task_of
from fedfin.secure_sums.fixed_point import ONE
from fedfin.secure_sums.summand import Summand
from fedfin_aggregator.fold.fold import Sum, apply_means
from fedfin_aggregator.fold.partial_sum import decode_sum, unpack
from fedfin_aggregator.rounds.close import close_round
from fedfin_aggregator.rounds.enough_answers import enough_answers
from fedfin_aggregator.rounds.evaluation import evaluation
from fedfin_aggregator.rounds.rounds import sum_shapes
from fedfin_aggregator.rounds.secure_rounds import SecureRounds
from fedfin_aggregator.rounds.update_checks import check_values
from fedfin_aggregator.store.journal import Journal
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.run_task import run_task

QUIET = {"progress": lambda _: None, "stop": lambda: False}
LEAST, CASES = 10, 90
ALL, IMAGE, TEXT, AS_IS = range(4)


def counting(least: int = LEAST, **privacy) -> Plan:
    """Secure sums that count, of head and experts."""
    plan = make_plan({"image": 4, "text": 3}, labels=2, answer="both", head_width=4)
    return replace_struct(
        plan,
        privacy=Privacy(level="secure", least_answers=least, **privacy),
        rounds=Rounds(count=1, sites=3, min_sites=3),
    )


PLAN = counting()


class Sites:
    """Three sites, whose sums are made as the aggregator gets them: all but masks."""

    def __init__(self, plan: Plan, datasets: Sequence[Dataset]) -> None:
        self.plan, self.datasets, self.model = plan, datasets, initial_model(plan)

    def sum(self, task: Task) -> dict[str, Sum]:
        """Of whole words."""
        round_ = next(n for n in range(1, last_round(self.plan) + 1) if task_of(self.plan, n) == task)
        form, given = Summand(self.plan, task), []
        for number, dataset in enumerate(self.datasets):
            result = run_task(self.plan, task, round_, self.model, dataset, f"s{number}", **QUIET)
            given.append((result.deltas, result.weights, dataset.familiar_labels))
        if (blocks := blocks_of(self.plan, task)) is not None:
            judgement = blocks.judge({f"s{n}": blocks.given(*one) for n, one in enumerate(given)})
            given = [(*judgement.apply(values, weights), labels) for values, weights, labels in given]
        words = sum(form.words(values, weights, {}, len(given)) for values, weights, _ in given)
        return {name: Sum(*tensor) for name, tensor in form.opened(words, {}).tensors.items()}

    def count(self) -> Tensors:
        """The first round; the model as it is then."""
        _, replaced = close_round(self.plan, "moments", self.sum("moments"), {}, self.model)
        self.model = apply_means(self.model, replaced, replace=True)
        return self.model


def three(positives: Sequence[int], **changes) -> list[Dataset]:
    """Of each a third judges and a third calibrates; in each third so many have the first finding."""
    made = []
    for number, count in enumerate(positives):
        dataset, third = draw(PLAN, CASES, number), np.arange(CASES) % 3
        dataset.labels[:, 0] = np.arange(CASES) < 3 * count
        made.append(replace(dataset, held_out=third == 0, validation=third == 1, **changes))
    return made


def same(one: dict[str, Sum], other: dict[str, Sum]) -> bool:
    """To the bit."""
    return one.keys() == other.keys() and all(
        np.array_equal(sum_.total, other[name].total) and sum_.weight == other[name].weight
        for name, sum_ in one.items()
    )


@pytest.mark.parametrize("task", ["evaluate", "calibrate"])
@pytest.mark.parametrize("rest", [0, 8], ids=["the single positive", "one of nine"])
def test_no_sum_changes_with_the_answer_of_a_patient_whose_finding_few_of_all_sites_have(task, rest) -> None:
    """Not a bit of it; without the key it does, and tells the score."""
    for plan, hidden in ((PLAN, True), (counting(0), False)):
        sums = []
        for answer in (1, 0):
            sites = Sites(plan, three((1, rest, 0), least_patients=10))
            patients = sites.datasets[0].held_out
            if task == "calibrate":  # of all labels in one: nobody has the other finding
                patients = sites.datasets[0].calibration_held_out
                for dataset in sites.datasets:
                    dataset.labels[:, 1] = 0
            sites.datasets[0].labels[np.flatnonzero(patients)[0], 0] = answer
            sites.count()
            sums.append(sites.sum(task))
        assert same(*sums) == hidden


def training(positives: Sequence[int], halves: bool = True) -> list[Dataset]:
    """Everybody trains; of each site so many have the first finding, alternately in either half of the patients."""
    datasets = three([0] * len(positives), least_patients=10)
    for dataset, count in zip(datasets, positives, strict=True):
        dataset.held_out[:] = False
        dataset.labels[:, 0] = np.arange(CASES) < count
    return [replace(one, second_half=np.arange(CASES) % 2 == int(halves)) for one in datasets]


def label_moments_of(sites: Sites, label: int = 0) -> list[bool]:
    """Whether there are any of complete cases, of either half."""
    sites.count()
    sums = sites.sum("second_moments")
    return [bool(sums[f"{half}labels.complete.image"].total[label].any()) for half in ("", OTHER_HALF)]


@pytest.mark.parametrize(
    ("positives", "there"),
    [
        ((1, 1, 1), [False, False]),
        ((6, 6, 6), [False, False]),
        ((8, 6, 6), [True, True]),
        ((7, 6, 6), [True, False]),
    ],
)
def test_a_finding_that_ten_of_all_sites_have_is_in_label_moments_whoever_has_it(positives, there) -> None:
    """Ten of each half; no site has ten. Without the key each site's floor keeps all of it."""
    assert label_moments_of(Sites(PLAN, training(positives))) == there
    of_each = label_moments_of(Sites(counting(0), training(positives)))
    assert of_each == [False, min(positives) == 1]  # nobody of the other half has it, and that is told
    assert label_moments_of(Sites(PLAN, training(positives)), label=1) == [True, True]


def test_of_whom_few_patients_of_all_sites_a_label_is_unknown_is_in_no_label_moment() -> None:
    """All features less those of whom it is known would be theirs alone."""
    for unknown, there in ((4, False), (0, True)):
        datasets = training((30, 30, 30))
        datasets[0].labels[: 2 * unknown : 2, 1] = np.nan
        in_first, in_second = label_moments_of(Sites(PLAN, datasets), label=1)
        assert (in_first, in_second) == (there, True)
        assert label_moments_of(Sites(PLAN, datasets), label=0) == [True, True]


@pytest.mark.parametrize(("differ", "there"), [(2, False), (3, True), (0, True)])
def test_a_site_tells_not_of_two_labels_that_fewer_than_three_of_its_patients_have_apart(
    differ, there
) -> None:
    """Nobody counts who has two labels: what a site tells of both must not be of a single one whatever others have."""
    (dataset, *_) = training((30, 30, 30))
    dataset.labels[:, 1] = dataset.labels[:, 0]
    dataset.labels[: 2 * differ : 2, 1] = 0
    flags = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(PLAN).items()}
    given = run_task(PLAN, "second_moments", 2, initial_model(PLAN) | flags, dataset, "s0", **QUIET).deltas
    of_labels = given["labels.complete.image"]
    assert [bool(of_label.any()) for of_label in of_labels] == [True, there]


def test_what_nobody_has_is_not_missed() -> None:
    """Of complete cases alone nobody is behind the label moments of others: nothing is said of them."""
    sites = Sites(PLAN, training((9, 0, 0)))
    flags = sites.count()["enough.second_moments"]
    assert (flags[2:4] == NOBODY).all()
    assert suppressed(PLAN, "second_moments", sites.model) == [PLAN.labels[0]]
    assert not (flags[:2, 0] > 0).any()


def test_counts_do_not_say_which_findings_a_patient_has_together() -> None:
    """The one with a rare finding has the other one, too, or another patient has it in his place: the same counts."""
    found = []
    for has_both in (True, False):
        datasets = three((1, 0, 0))
        for dataset in datasets:
            dataset.labels[:, 1] = 0
        judges, trains = datasets[0].held_out, ~datasets[0].held_out & ~datasets[0].calibration_held_out
        for of in (judges, datasets[0].calibration_held_out, trains):
            rows = np.flatnonzero(of)
            datasets[0].labels[:, 0][rows] = np.arange(len(rows)) == 0
            datasets[0].labels[:, 1][rows] = np.arange(len(rows)) % 2 == int(not has_both)
        sites = Sites(PLAN, [replace(one, second_half=np.zeros(CASES, np.bool_)) for one in datasets])
        sums = sites.sum("moments")
        found.append({name: sum_ for name, sum_ in sums.items() if name.startswith("count.")})
    assert same(*found)


def few_of_each(first: int, other: int) -> Sites:
    """At each site so many who calibrate have either finding, and nobody has both."""
    datasets = three((0, 0, 0))
    for dataset in datasets:
        calibrating = np.flatnonzero(dataset.calibration_held_out)
        dataset.labels[:, 1] = 0
        dataset.labels[calibrating[:first], 0] = dataset.labels[calibrating[first : first + other], 1] = 1
    sites = Sites(PLAN, datasets)
    sites.count()
    sites.model["head.output.weight"] *= -1  # as drawn it separates them the wrong way
    return sites


def test_all_labels_are_calibrated_in_one() -> None:
    """Of fifteen who have any finding nobody sees which: each label's cell has as many, about the label's own mean."""
    sites = few_of_each(3, 2)
    assert sites.model["enough.calibrate"].tolist() == [NOBODY, 1, 1, 1]
    sums = sites.sum("calibrate")
    assert sums[CALIBRATION].total.shape == (4, 1, 2, 3)
    other = few_of_each(2, 3).sum("calibrate")[CALIBRATION].total
    assert np.array_equal(sums[CALIBRATION].total[..., 0], other[..., 0])
    one, another = close_round(PLAN, "calibrate", sums, {}, sites.model)[1]["calibration.slope"][3]
    assert 0 < one != 1
    assert one == pytest.approx(another, rel=1e-2)


def test_calibration_of_all_labels_in_one_is_about_each_label_s_own_mean() -> None:
    """A head whose one label lies two higher everywhere is calibrated two lower there, and alike else."""
    sites = few_of_each(3, 3)
    before = close_round(PLAN, "calibrate", sites.sum("calibrate"), {}, sites.model)[1]
    sites.model["head.output.bias"] = sites.model["head.output.bias"] + np.array([2, 0], np.float32)
    after = close_round(PLAN, "calibrate", sites.sum("calibrate"), {}, sites.model)[1]
    slope = before["calibration.slope"][1:]
    assert (slope[-1] > 0).all()
    assert np.allclose(after["calibration.slope"][1:], slope, rtol=1e-2, atol=1e-3)
    moved = after["calibration.intercept"][1:] - before["calibration.intercept"][1:]
    assert np.allclose(moved, -slope * [2, 0], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("first", "other", "enough"), [(1, 2, False), (3, 0, False), (2, 2, True)])
def test_a_pattern_is_calibrated_where_ten_have_a_finding_whichever(first: int, other: int, enough) -> None:
    """Nine are too few."""
    sites = few_of_each(first, other)
    assert sites.model["enough.calibrate"][3] == float(enough)
    assert bool(sites.sum("calibrate")[CALIBRATION].total[3].any()) == enough


def test_an_aggregator_that_lies_of_the_counts_sees_no_single_patient() -> None:
    """A site has three of either answer for itself, or tells nothing of the label."""
    sums = []
    for answer in (1, 0):
        sites = Sites(PLAN, training((1, 0, 0)))
        sites.datasets[0].labels[0, 0] = answer
        sites.count()
        lies = {name: np.ones(shape, np.float32) for name, shape in enough_shapes(PLAN).items()}
        sites.model = sites.model | lies
        sums.append(sites.sum("second_moments"))
    halves = [sums[0][f"{half}labels.complete.image"].total[0] for half in ("", OTHER_HALF)]
    assert all(of_label.any() for of_label in halves), "the other sites tell of it: nobody there has it"
    assert not any(of_label[1].any() for of_label in halves)


def test_no_label_moment_changes_with_the_answer_of_whom_few_are_like() -> None:
    """Not a bit of it."""
    sums = []
    for answer in (1, 0):
        sites = Sites(PLAN, training((1, 3, 3)))
        sites.datasets[0].labels[0, 0] = answer
        sites.count()
        sums.append(sites.sum("second_moments"))
    assert same(*sums)


def test_sites_that_keep_rare_answers_to_themselves_ask_their_own_floor() -> None:
    """And count nobody."""
    wary = [replace(one, rare_answers=False) for one in training((8, 8, 8))]
    assert label_moments_of(Sites(PLAN, wary)) == [False, False]


def test_where_sites_stand_behind_blocks_who_trains_is_not_counted() -> None:
    """Bits that others see would tell whom a site has."""
    for plan in (counting(least_sites_per_block=3), counting(0)):
        assert not any("moments" in name for name in (*count_shapes(plan), *enough_shapes(plan)))
    assert "count.second_moments" in count_shapes(PLAN)


def test_what_ten_have_is_there_and_the_other_label_is_as_it_was() -> None:
    """Nine and ten; AUC is the mean over what is there."""
    for positives, there in (((1, 4, 4), False), ((1, 4, 5), True)):
        sites = Sites(PLAN, three(positives))
        plain = Sites(counting(0), sites.datasets)
        for one in (sites, plain):
            one.count()
        histograms, before = sites.sum("evaluate"), plain.sum("evaluate")
        for scenario in scenarios(PLAN):
            total, of_before = (sums[f"eval.{scenario}"].total for sums in (histograms, before))
            assert bool(total[0].any()) == there
            assert np.array_equal(total[1], of_before[1])
        whole = {name: Sum(np.delete(sum_.total, 0, axis=0), sum_.weight) for name, sum_ in before.items()}
        expected = evaluation(before if there else whole, before if there else whole)
        assert evaluation(histograms, histograms) == expected


@pytest.mark.parametrize(("known", "share"), [((1.0, 1.0), 0.0), ((1.0, 0.0), 0.5), ((0.0, 0.0), 1.0)])
def test_where_too_few_calibrate_the_head_answers_for_what_experts_know_nothing_of(known, share) -> None:
    """As it learnt: else nobody would answer where too few have an answer in the experts' sums, too."""
    sites = Sites(PLAN, three((0, 0, 0)))
    for dataset in sites.datasets:
        dataset.labels[:, 1] = 0
    power = np.broadcast_to(np.array(known, np.float32), (4, 2))
    model = sites.count() | {"blend.power": power}
    _, replaced = close_round(PLAN, "calibrate", sites.sum("calibrate"), {}, model)
    assert (replaced["calibration.slope"][1:] == 1).all()
    assert not replaced["calibration.intercept"][1:].any()
    assert (replaced["calibration.head_weight"][1:] == share).all()


@pytest.mark.parametrize("unknown", [1, 2])
def test_where_no_site_has_patients_enough_to_calibrate_the_head_answers_what_it_alone_knows(
    unknown: int,
) -> None:
    """Three of each site calibrate: no sum of it at all."""
    sites = Sites(PLAN, three((10, 10, 10), least_patients=10))
    for dataset in sites.datasets:
        dataset.validation[9:] = False
    power = np.broadcast_to(np.array([0, 2 - unknown], np.float32), (4, 2))
    model = sites.count() | {"blend.power": power}
    sums = sites.sum("calibrate")
    assert not sums
    replaced = close_round(PLAN, "calibrate", sums, {}, model)[1]
    assert (replaced["calibration.slope"][1:] == 1).all()
    assert replaced["calibration.head_weight"].tolist() == [0, *[unknown / 2] * 3]
    public = replace_struct(PLAN, privacy=Privacy())
    assert not close_round(public, "calibrate", sums, {}, model)[1]


def test_a_label_that_the_head_alone_knows_is_not_lost_where_few_do_not_show_that_it_separates() -> None:
    """Slope and weight are none by the few who calibrate: the prior for everybody; of others the experts answer."""
    sites = few_of_each(3, 3)
    sums = sites.sum("calibrate")
    sums[CALIBRATION].total[..., 1] = 0  # the head says the same of all
    model = sites.model | {"blend.power": np.broadcast_to(np.array([0, 1], np.float32), (4, 2))}
    replaced = close_round(PLAN, "calibrate", sums, {}, model)[1]
    assert np.allclose(replaced["calibration.slope"][1:], [1, 0])
    assert replaced["calibration.intercept"][1:, 0].tolist() == [0] * 3
    assert replaced["calibration.head_weight"][1:].tolist() == [0.5] * 3


def counts(**rows: int) -> dict[str, Sum]:
    """The sum of three sites: so many of each answer of both labels in each row, by name; of rows without one 30."""
    shape = count_shapes(PLAN)["count.evaluate"]
    names = ("all", "image", "text", "as_is", "with_nothing", "with_image", "with_text", "with_both")
    values = np.array([rows.get(name, 30) for name in names], np.int64)
    total = np.broadcast_to(values[:, None, None], shape) * round(ONE)
    found = {"count.evaluate": Sum(total, 3)}
    return found | {f"norm.{m}.mean": Sum(np.ones(dim, np.int64), 3) for m, dim in PLAN.dims.items()}


def flags(sums: dict[str, Sum], plan: Plan = PLAN) -> list[int]:
    """By scenario, alike for both labels."""
    enough = enough_answers(plan, sums)["enough.evaluate"]
    assert enough.shape == enough_shapes(plan)["enough.evaluate"]
    assert np.array_equal(enough[:, 0], enough[:, 1])
    return enough[:, 0].astype(int).tolist()


def test_as_is_is_left_out_where_others_taken_off_it_would_leave_few() -> None:
    """Nobody, or enough, of each combination; and of a modality of each that has it and is not complete."""
    assert flags(counts()) == [1, 1, 1, 1]
    assert flags(counts(with_both=0, with_text=0)) == [1, 1, 1, 1]
    for combination, left in {
        "with_both": [1, 1, 1, 0],
        "with_image": [1, 0, 1, 0],
        "with_text": [1, 1, 0, 0],
    }.items():
        assert flags(counts(**{combination: 1})) == left
        assert flags(counts(**{combination: 9})) == left
        assert flags(counts(**{combination: 10})) == [1, 1, 1, 1]
    assert flags(counts(all=9)) == [0, 1, 1, 1]
    assert flags(counts(as_is=9)) == [1, 1, 1, 0]


def test_of_three_modalities_no_combination_hides_behind_another() -> None:
    """Ten with image and text, one with image and ecg: the image's less complete ones would be theirs together."""
    plan = replace_struct(PLAN, modalities=(*PLAN.modalities, Modality(name="ecg", encoder="0" * 64, dim=2)))
    values = np.full(count_shapes(plan)["count.evaluate"], 30)
    values[5 + 5] = 1  # of image and ecg: 2^0 and 2^2
    found = enough_answers(plan, {"count.evaluate": Sum(values * round(ONE), 3)})["enough.evaluate"]
    assert found[:, 0].tolist() == [1, 0, 1, 0, 0]


def test_the_one_incomplete_case_of_all_sites_is_not_told_by_a_difference_of_histograms() -> None:
    """As-is less all is its score; with the key there is no as-is then, and complete cases are there."""
    datasets = three((12, 12, 12))
    datasets[0].present["text"] = ~np.isin(np.arange(CASES), [0])
    sites = Sites(PLAN, datasets)
    sites.count()
    sums = sites.sum("evaluate")
    assert sums["eval.all"].total[0, 1].any()
    assert not sums["eval.as-is"].total.any()


def test_without_a_modality_that_nobody_pools_as_is_is_that_of_the_only_one_left() -> None:
    """Its cases are of other combinations than were counted; of several left nobody knows which."""
    plan = counting(least_sites_per_block=3)
    sums = counts(image=9)
    del sums["norm.text.mean"]
    assert flags(sums, plan) == [1, 0, 1, 0]
    assert flags(counts(with_text=0) | {"norm.text.mean": Sum(np.zeros(3, np.int64), 3)}, plan) == [
        1,
        1,
        1,
        1,
    ]
    more = replace_struct(plan, modalities=(*plan.modalities, Modality(name="ecg", encoder="0" * 64, dim=2)))
    everybody = {"count.evaluate": Sum(np.full(count_shapes(more)["count.evaluate"], 30 * round(ONE)), 3)}
    everybody["count.calibrate"] = Sum(np.full(count_shapes(more)["count.calibrate"], 30 * round(ONE)), 3)
    found = enough_answers(more, everybody | {f"norm.{m}.mean": Sum(np.ones(1), 3) for m in ("text", "ecg")})
    assert found["enough.evaluate"][:, 0].tolist() == [1, 1, 1, 1, 0]
    assert not found["enough.calibrate"].any()


def test_a_count_that_too_few_sites_give_is_not_taken_for_nobody(tmp_path: Path) -> None:
    """One site has incomplete cases: how many is in no sum, and as-is less all would be theirs."""
    plan = counting(least_sites_per_block=3)
    datasets = three((12, 12, 12), least_patients=10)
    datasets[0].present["text"] = np.arange(CASES) >= 40
    sites = Sites(plan, datasets)
    form, blocks = Summand(plan, "moments"), Blocks(plan, "moments")
    results = [run_task(plan, "moments", 1, sites.model, d, f"s{n}", **QUIET) for n, d in enumerate(datasets)]
    gives = {
        f"s{n}": blocks.given(r.deltas, r.weights, d.familiar_labels)
        for n, (r, d) in enumerate(zip(results, datasets, strict=True))
    }
    judgement = blocks.judge(gives)
    assert not any("count" in says for says in judgement.says())
    totals = sum(form.words(*judgement.apply(r.deltas, r.weights), {}, 3) for r in results)[None]
    names = tuple(gives)
    rounds = SecureRounds(Journal(tmp_path / "journal.sqlite", create=plan))
    sum_ = OpenSum(1, b"a" * 16, names, {}, names, {}, {}, gives=gives)
    sums = unpack(decode_sum(rounds._payload(sum_, totals)), sum_shapes(plan, "moments"))
    assert (sums["count.evaluate"].total[4 + 1] == round(ONE)).all(), "images alone"
    assert flags(sums, plan) == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("images_alone", "told"), [(0, [1, 1, 1]), (1, [0, 1, 1]), (9, [0, 1, 1]), (10, [1, 1, 1])]
)
def test_a_pattern_is_not_calibrated_of_which_a_combination_has_few_with_a_finding(
    images_alone, told
) -> None:
    """Where a text tells nothing, images alone less complete cases would be theirs."""
    rows = np.array([[0, 0], [60, 40], [50, 30], [50, 30], [0, 0], [20, images_alone], [0, 0], [50, 30]])
    sums = {"count.calibrate": Sum(rows * round(ONE), 3)}
    assert enough_answers(PLAN, sums)["enough.calibrate"].tolist() == [NOBODY, *told]


@pytest.mark.parametrize(
    ("lie", "reason"),
    [(-1.0, "fewer patients than none"), (11.0, "more than 10 of a site"), (0.5, "parts of")],
)
def test_counts_that_no_patients_give_are_refused(lie: float, reason: str) -> None:
    """Of the opened sum, as of an update."""
    values = {name: np.ones(shape) for name, shape in count_shapes(PLAN).items()}
    weights = dict.fromkeys(values, 3)
    check_values(PLAN, "moments", values, weights)
    values["count.evaluate"][0, 0, 0] = lie
    with pytest.raises(ProtocolError, match=rf"tensor count.evaluate counts .*{reason}"):
        check_values(PLAN, "moments", values, weights)


@pytest.mark.parametrize("sites", [3, 512])
def test_sums_of_counts_are_exact_however_many_sites_give_them(sites: int) -> None:
    """Whole numbers in the fold's fixed point, as large as any may be."""
    plan = counting(10_000)
    form = Summand(plan, "moments")
    values = {name: np.full(shape, 9_999, np.float32) for name, shape in count_shapes(plan).items()}
    words = form.words(values, dict.fromkeys(values, 1), {}, 512)
    total = form.opened(words * np.uint64(sites), {}).tensors["count.evaluate"][0]
    assert (total == 9_999 * sites * round(ONE)).all()


def test_before_anything_is_counted_nothing_is_told() -> None:
    """A run whose first sum nobody could make goes on without."""
    model = initial_model(PLAN)
    assert not any(model[name].any() for name in enough_shapes(PLAN))


def test_a_plan_without_the_key_is_what_it_was() -> None:
    """To the digest."""
    plain = replace_struct(PLAN, privacy=Privacy(level="secure"))
    assert b"least_answers" not in msgspec.msgpack.encode(plain)
    assert plain.digest() != PLAN.digest()


@pytest.mark.parametrize("level", ["open", "private"])
def test_the_key_is_for_secure_sums_without_noise(level: str) -> None:
    """With its name, and why."""
    with pytest.raises(
        ValueError, match=rf'privacy.least_answers is for privacy.level = "secure", not "{level}"'
    ):
        replace_struct(PLAN, privacy=Privacy(level=level, least_answers=10))


def test_of_what_a_lost_modality_makes_enough_it_is_told_that_it_is_left_out() -> None:
    """Nine have both and nine an image: counted nowhere, and 18 once nobody pools the text."""
    plan, sums = counting(least_sites_per_block=3), counts()
    sums["count.evaluate"].total[:] = 0
    del sums["norm.text.mean"]
    assert flags(sums, plan) == [0, 0, 0, 0]
    said = suppressed(plan, "evaluate", {"enough.evaluate": enough_answers(plan, sums)["enough.evaluate"]})
    assert said == list(plan.labels)


def test_sums_of_counts_are_whole() -> None:
    """Sites tell shares of their cases: what float32 rounds off them would say which site counted how many."""
    sites = Sites(PLAN, three((12, 15, 20)))
    sites.count()
    histograms, scores = sites.sum("evaluate"), sites.sum("calibrate")[CALIBRATION].total[..., 0]
    labels = sites.sum("second_moments")["labels.complete.image"].total[:, :, 0]
    for total in (*(sum_.total for sum_ in histograms.values()), scores, labels):
        assert total.any()
        assert not (total % round(ONE)).any()
