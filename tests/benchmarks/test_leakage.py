"""The benchmark of leakage: every attack works where it should, and finds nothing where there is nothing."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.leakage import differencing
from benchmarks.leakage.hits import membership
from benchmarks.leakage.levels import EXACT, FLOORS, OPEN, SECURE
from benchmarks.leakage.listener import listen
from benchmarks.leakage.measure import View, attack, make_listener
from benchmarks.leakage.people import WHOLE, deal, made_up
from benchmarks.leakage.real_people import hancock
from benchmarks.leakage.report import Report, read_report, report_json
from benchmarks.leakage.tables import MEMBERSHIP, single_table, tables
from fedfin.errors import InputError

ROOT = Path(__file__).parents[2]

PATIENTS, SITES = 10, 3
ATTACKS = MEMBERSHIP


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
    heard = listen(listener.heard.plan, sites)
    seen = {task: parts[0] for task, parts in heard.sent.items()}
    view = View(listener, heard, seen, heard.first_site, others, len(others) // 2, seed=0)
    scores = view.scores()
    for name in ATTACKS:
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


def test_a_level_sees_the_mean_of_the_cases_behind_a_sum(world):
    """As the aggregator folds it."""
    parts = world[0].heard.sent["moments"]
    name = "norm.features.mean"
    seen = SECURE.sees([parts[0], parts[0]])
    assert np.allclose(seen.values[name], parts[0].values[name], atol=1e-6)
    assert seen.weights[name] == 2 * parts[0].weights[name]


def test_what_shows_one_patient_is_found_in_open_and_not_in_a_sum_of_three():
    """But for two submissions: a difference of sums is a difference."""
    assert {one.attack for one in differencing.run(OPEN) if one.recovered} == set(differencing.ATTACKS)
    left = {one.attack for one in differencing.run(FLOORS) if one.recovered}
    assert left == {"one patient added between two submissions"}
    found = {one.attack for one in differencing.run(SECURE) if one.recovered}
    assert found == {"one patient added between two submissions"}


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
SHOWN = {
    "made-up": {
        f"membership from {name}" for name in ("moments", "second moments", "train delta", "final model")
    }
    | {"records found", "label of a known member"},
    "later-rounds": {f"membership from {name}" for name in ATTACKS if name != "moments"}
    | {"label of a known member"},
    "eight-rounds": {"membership from all train deltas", "membership from final model"},
    "default-epochs": {"membership from all train deltas", "membership from final model"},
    "hancock": {"membership from second moments", "membership from final model"},
    "covid-cxr": {"membership from second moments", "membership from final model", "records found"},
}


def in_markdown(rows):
    """A table of the page."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_has_the_tables_of_what_was_measured(name):
    """Figure by figure."""
    found = tables(read_report(MEASURED / f"{name}.json").cells)
    assert [title for title in SHOWN[name] if in_markdown(found[title]) not in PAGE] == []


def test_the_page_says_what_shows_one_patient_today():
    """These attacks are exact, so they are made anew."""
    today = [one for level in EXACT for one in differencing.run(level)]
    assert in_markdown(single_table(today)) in PAGE
    assert read_report(MEASURED / "made-up.json").single == today


def test_every_table_of_the_page_is_measured():
    """None was written by hand."""
    blocks = re.findall(r"(?:^\|.*\n)+", PAGE, flags=re.MULTILINE)
    assert len(blocks) == sum(map(len, SHOWN.values())) + 1
