"""The benchmark of leakage: every attack works where it should, and finds nothing where there is nothing."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.leakage import differencing
from benchmarks.leakage.hits import joint_membership, membership
from benchmarks.leakage.levels import EXACT, FLOORS, OPEN, SECURE, UNCOUNTED
from benchmarks.leakage.listener import in_sums, listen
from benchmarks.leakage.measure import EVERYTHING, HeldOut, View, attack, judging, make_listener
from benchmarks.leakage.people import WHOLE, deal, made_up, together
from benchmarks.leakage.projection import principal_axes
from benchmarks.leakage.rare_answers import HELD_OUT as OF_A_SITE
from benchmarks.leakage.rare_answers import of_sum, table
from benchmarks.leakage.real_people import hancock
from benchmarks.leakage.report import Report, front_table, read_report, report_json
from benchmarks.leakage.second_moments import halves, of_features, whole
from benchmarks.leakage.tables import (
    HELD_OUT,
    TRAINED_ON,
    first_of_each,
    rounds_table,
    single_table,
    tables,
)
from fedfin.errors import InputError
from fedfin.limits import SUMMED_ROUNDS

ROOT = Path(__file__).parents[2]

PATIENTS, SITES = 10, 3
ATTACKS = (EVERYTHING, *TRAINED_ON)


@pytest.fixture(scope="module")
def world():
    """What a listener knows, others who are at no site, and three small sites, in all dimensions."""
    reference, others, *sites = deal(made_up(430, seed=0), [200, 200, *[PATIENTS] * SITES])
    return make_listener(reference, rounds=3, epochs=1), others, sites


@pytest.fixture(scope="module")
def cells(world):
    """By level."""
    listener, others, sites = world
    return {cell.level: cell for cell in attack(listener, sites, others, seed=0)}


@pytest.mark.parametrize("adversary", ["weak", "strong"])
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_on_ten_patients_in_all_dimensions_finds_nearly_all(cells, name, adversary):
    """Else a low figure elsewhere would say nothing: the attack might be void."""
    assert cells["open"].dims == WHOLE
    assert cells["open"].scores[f"{name}, {adversary}"] > 0.9


def test_ten_records_are_found_and_their_labels_read_by_who_knew_none(cells):
    """From second moments in all dimensions."""
    scores = cells["open"].scores
    assert scores["records found"] > 0.9
    assert scores["records by chance"] == 0.0
    assert scores["label"] > 0.9


def test_a_sum_of_three_small_sites_tells_of_their_patients_too(cells):
    """While these are fewer than the dimensions."""
    assert cells["secure"].scores["second moments, weak"] > 0.9


def test_no_attack_tells_apart_people_who_were_not_there(world):
    """Of two groups of a hundred strangers each: AUC .5, but for its deviation of .04."""
    listener, others, sites = world
    (judges, others) = judging(others, sites)
    heard = listen(listener.heard.plan, sites, judges)
    seen = {task: parts[0] for task, parts in heard.sent.items()}
    strangers = HeldOut(others.rows(slice(0, 40)), others.rows(slice(40, 80)))
    view = View(listener, heard, seen, heard.first_site, others, len(others) // 2, 0, strangers)
    scores = view.scores()
    for name in (*ATTACKS, *HELD_OUT):
        for adversary in ("weak", "strong"):
            assert abs(scores[f"{name}, {adversary}"] - 0.5) < 0.13
    assert abs(scores["label"] - 0.5) < 0.18
    assert scores["records found"] == scores["records by chance"] == 0.0


def test_the_best_of_many_tests_that_know_nothing_is_no_better_than_chance():
    """A test is picked on other candidates than it is judged by."""
    rng = np.random.default_rng(0)
    is_member = np.arange(100) < 50
    found = [membership(list(rng.normal(size=(20, 100))), is_member) for _ in range(40)]
    assert abs(np.mean(found) - 0.5) < 0.03


def test_who_judges_a_model_is_found_in_the_histogram_of_one_site():
    """Of few patients in many bins; else low figures of sums would say nothing."""
    reference, others, site = deal(made_up(460, seed=1), [200, 200, 60])
    project = principal_axes(reference, 8)
    listener = make_listener(project(reference), rounds=1, epochs=1)
    (cell,) = attack(listener, [project(site)] * SITES, project(others), seed=0, levels=[OPEN])
    assert cell.scores["evaluate, weak"] > 0.8


def test_what_is_learnt_of_many_tests_that_know_nothing_is_no_better_than_chance():
    """It is learnt on other candidates than it is judged by."""
    rng = np.random.default_rng(0)
    is_member = np.arange(100) < 50
    found = [joint_membership(list(rng.normal(size=(20, 100))), is_member) for _ in range(40)]
    assert abs(np.mean(found) - 0.5) < 0.03


def test_tests_that_know_a_little_know_more_together():
    """Of ten independent ones, each of an AUC of .58."""
    rng = np.random.default_rng(0)
    is_member = np.arange(1000) < 500
    scores = rng.normal(size=(10, 1000)) + 0.3 * is_member
    assert membership(list(scores), is_member) < 0.62
    assert joint_membership(list(scores), is_member) > 0.7


@pytest.mark.parametrize("members", [[True], [True, False], [True, False, True]])
def test_so_few_that_a_half_teaches_nothing_are_told_no_better_than_by_chance(members):
    """One calibrator and one stranger: the half to learn from is of a single one. No division by zero."""
    with np.errstate(all="raise"):
        found = joint_membership([np.arange(len(members), dtype=np.float64)] * 2, np.array(members))
    assert found == 0.5


def test_two_halves_of_the_patients_are_seen_where_sums_are_and_are_one_sum_together(world):
    """As secure sums of second moments travel."""
    listener, _, sites = world
    sent = listen(in_sums(listener.heard.plan, SITES), sites).sent["second_moments"]
    summed = SECURE.sees(sent)
    assert len(halves(summed)) == 2
    plain = OPEN.sees(listen(listener.heard.plan, [together(sites)]).sent["second_moments"])
    assert len(halves(plain)) == 1
    assert np.allclose(of_features(whole(summed)), of_features(whole(plain)), atol=0.05)


def test_a_level_sees_the_mean_of_the_cases_behind_a_sum(world):
    """As the aggregator folds it."""
    parts = world[0].heard.sent["moments"]
    name = "norm.features.mean"
    seen = SECURE.sees([parts[0], parts[0]])
    assert np.allclose(seen.values[name], parts[0].values[name], atol=1e-6)
    assert seen.weights[name] == 2 * parts[0].weights[name]


ALL_ATTACKS = {**differencing.ATTACKS, **differencing.ALONE}
IN_A_SUM_ALONE = {
    "ten incomplete cases of one site, one of them in its half"
}  # at open these come in no halves
TWO_SUBMISSIONS = "one patient added between two submissions"
LONE = {
    "the single positive of all sites, in a histogram",
    "the single positive of all sites, in the calibration",
}


def test_what_shows_one_patient_is_found_in_open_and_not_with_floors():
    """But for two submissions: a difference is a difference."""
    assert found_at(OPEN) == set(ALL_ATTACKS) - IN_A_SUM_ALONE
    assert found_at(FLOORS) == {TWO_SUBMISSIONS}


def test_in_a_sum_one_patient_is_found_only_where_nobody_counts_first():
    """By an answer that nobody else gave; and no site is in a second sum of nearly the same."""
    assert found_at(UNCOUNTED) == set(LONE)
    assert found_at(SECURE) == set()
    assert {one.attack for one in differencing.run(SECURE) if one.refused} == {TWO_SUBMISSIONS}


def test_without_floors_a_sum_hides_no_case_that_only_one_site_has():
    """Else these attacks might be void."""
    assert found_at(replace(UNCOUNTED, least_patients=0)) >= set(differencing.ALONE)


def found_at(level):
    """The attacks that recover a patient."""
    return {one.attack for one in differencing.run(level) if one.recovered}


def test_a_folder_that_is_not_the_data_set_s_is_an_error_that_names_it(tmp_path):
    """And no traceback."""
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: is not the folder")):
        hancock(tmp_path, seed=0)


def test_a_report_reads_back_as_it_was_written(tmp_path, cells):
    """So that the tables can be printed of a file."""
    report = Report(
        data="made-up", rounds=3, seeds=1, cells=list(cells.values()), single=differencing.run(OPEN)
    )
    path = tmp_path / "leakage.json"
    path.write_text(report_json(report), encoding="utf-8")
    assert read_report(path) == report
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="is no output of"):
        read_report(path)


PAGE = (ROOT / "docs" / "leakage.md").read_text(encoding="utf-8")
MEASURED = ROOT / "benchmarks" / "leakage" / "measured"
DEFAULT = ("default", "before", "four-rounds")
ROUNDS = ("default", "three-rounds", "four-rounds")
BY_SIZE = {f"membership from {name}" for name in (EVERYTHING, "second moments", "final model")}
SHOWN = {
    "made-up": BY_SIZE | {"label of a known member"},
    "hancock": BY_SIZE,
    "few": {f"membership from {EVERYTHING}"},
}


def measured(name):
    """What the command printed, as it was."""
    return read_report(MEASURED / f"{name}.json")


def in_markdown(rows):
    """A table of the page."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_has_the_tables_of_what_was_measured(name):
    """Figure by figure."""
    found = tables(first_of_each(measured(name).cells))
    assert [title for title in SHOWN[name] if in_markdown(found[title]) not in PAGE] == []


def test_the_page_begins_with_the_default_plan_beside_before():
    """Every attack on it."""
    assert in_markdown(front_table([measured(name) for name in DEFAULT])) in PAGE


def test_the_page_says_what_more_rounds_tell():
    """Each number of rounds by its own run."""
    reports = [measured(name) for name in ROUNDS]
    assert in_markdown(rounds_table({one.rounds: one.cells for one in reports})) in PAGE


@pytest.mark.parametrize("name", [*ROUNDS, "before", *SHOWN])
def test_what_was_measured_trains_as_many_steps_as_a_plan_makes(name):
    """Eleven epochs of a site of 72."""
    assert measured(name).epochs == 0


@pytest.mark.parametrize("name", ["default", *SHOWN])
def test_what_was_measured_trains_as_many_rounds_as_are_drafted(name):
    """With secure sums."""
    assert measured(name).rounds == SUMMED_ROUNDS


@pytest.mark.parametrize(
    ("name", "level", "bound"),
    [("default", "secure", 0.605), ("four-rounds", "private, epsilon 8", 0.555)],
)
def test_the_default_plan_tells_no_more_of_who_is_in_it_than_it_is_held_to(name, level, bound):
    """Ten sites of 72 in 16 dimensions, as the page prints it: .60 in sums, .55 with noise; no record is found."""
    (scores,) = [cell.scores for cell in measured(name).cells if cell.level == level]
    told = {key: score for key, score in scores.items() if key.endswith(("weak", "strong"))}
    assert {key: score for key, score in told.items() if score >= bound} == {}
    assert scores["records found"] <= scores["records by chance"] + 0.005


def test_the_page_says_what_shows_one_patient_today():
    """These attacks are exact, so they are made anew."""
    today = [one for level in EXACT for one in differencing.run(level)]
    assert in_markdown(single_table(today)) in PAGE
    assert measured("default").single == today


def test_every_table_of_the_page_is_measured():
    """None was written by hand."""
    blocks = re.findall(r"(?:^\|.*\n)+", PAGE, flags=re.MULTILINE)
    assert len(blocks) == sum(map(len, SHOWN.values())) + len(["default", "rounds", "single", "rare answers"])


def test_the_single_positive_of_all_sites_is_in_no_histogram_where_rare_answers_stay_at_home():
    """At its own cost: the row of the table says how much is left."""
    assert not found_at(replace(UNCOUNTED, rare_answers=False)) & LONE
    assert found_at(UNCOUNTED) >= LONE


def test_a_floor_on_each_answer_leaves_nothing_of_sites_of_72_and_nearly_all_of_large_ones():
    """As the page says; and how often all sites together have one positive."""
    rng = np.random.default_rng(1)
    few, many = of_sum(72, 0.01, OF_A_SITE, rng), of_sum(1_000, 0.2, OF_A_SITE, rng)
    assert (few.left, many.lone) == (0.0, 0.0)
    assert 0.3 < few.lone < 0.38
    assert many.left > 0.99


def test_the_count_over_all_sites_leaves_what_a_floor_at_each_takes():
    """Of one in twenty at sites of 300: all of the evaluation, and most of the calibration."""
    rng = np.random.default_rng(1)
    judged, calibrated = (of_sum(300, 0.05, kept, rng) for kept in (OF_A_SITE, 0.08))
    assert judged.counted > 0.99
    assert judged.left < 0.01
    assert 0.75 < calibrated.counted < 0.9


def test_the_page_has_the_table_of_rare_answers():
    """To the last cell."""
    page = (ROOT / "docs" / "leakage.md").read_text()
    assert "\n".join(table()) in page
