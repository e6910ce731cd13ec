"""Few dimensions in the study: what trains in them, and how its table counts."""

import dataclasses
import gzip
from pathlib import Path

import numpy as np
import pytest
from codec_files import mfeat_cache
from study_cases import dealt, pool, row

from benchmarks.dimensions import at_drafted, attack, columns, leakage
from benchmarks.rows import read_rows
from benchmarks.study.grid import attempt
from benchmarks.study.jobs import jobs
from benchmarks.study.methods.plan_method import PlanMethod
from benchmarks.study.methods.projected import Projected
from benchmarks.study.methods.registry import METHODS
from benchmarks.study.settings import Reduction, Runs, Study
from fedfin.errors import SettingsError
from fedfin.plan_sections import Model
from fedfin.privacy.dimensions import together

ROOT = Path(__file__).parents[2]


def study(*reductions):
    """One setting of mfeat with a linear head."""
    runs = Runs(data=("mfeat",), settings=("8:0:2",), reductions=reductions)
    return Study(seeds=1, rounds=1, model=Model(head_width=0), runs=(runs,))


def test_a_reduction_trains_in_so_many_columns_and_sends_less(tmp_path):
    """A job for each number of dimensions, and less travels in fewer."""
    cache = mfeat_cache(tmp_path / "cache", digits=300)
    few, more = (
        attempt(job, cache) for job in jobs([study(Reduction(axes="principal", dims=(1, 2)))], METHODS)
    )
    assert few["method"] == "fedfin/principal/modality/1/1"
    assert few["up"] < more["up"]
    assert all(0 <= view["auc"] <= 100 for view in few["views"].values())


def test_axes_are_those_of_the_public_cases_alone():
    """With the test cases changed, the same model comes out."""
    federation = dealt(pool(900), ratio="2:0:2", public=0.2)
    moved = {m: values + 100 for m, values in federation.judge.features.items()}
    other = dataclasses.replace(federation, judge=dataclasses.replace(federation.judge, features=moved))
    method = Projected("p", PlanMethod("fedfin"), "principal", "modality", 2, 1.0)
    asked = federation.judge.features, federation.judge.present
    answers = [method.train(one, lambda _: None).answer(*asked) for one in (federation, other)]
    assert np.array_equal(*answers)


def test_secure_trains_in_secure_sums_halves_with_floors_and_no_random_features():
    """A modality of no more features than asked for stays as it is."""
    federation = dealt(pool(900), ratio="2:0:2", public=0.2)
    method = Projected("p", PlanMethod("fedfin"), "principal", "modality", 2, 1.0, level="secure")
    plan = method.plan(federation.plan, {"image": 2})
    assert (plan.privacy.level, plan.rounds.min_sites, plan.model.basis_total) == ("secure", 3, 5)
    assert [(m.dim, m.scale) for m in plan.modalities] == [(2, "modality"), (3, "feature")]
    trained = method.train(federation, lambda _: None)
    answers = trained.answer(federation.judge.features, federation.judge.present)
    assert answers.shape == federation.judge.labels.shape
    assert np.isfinite(answers).all()


def test_few_features_are_not_projected():
    """Three of three: the plan's own method comes out, but for its random features."""
    federation = dealt(pool(900), ratio="2:0:2", public=0.2)
    method = Projected("p", PlanMethod("fedfin"), "principal", "modality", 3, 1.0)
    whole = PlanMethod("fedfin", model={"basis_total": 6})
    asked = federation.judge.features, federation.judge.present
    answers = [one.train(federation, lambda _: None).answer(*asked) for one in (method, whole)]
    assert np.array_equal(*answers)


def test_a_method_without_a_plan_is_refused():
    """With the key."""
    with pytest.raises(SettingsError, match=r"runs\[0\].reductions: 'p-fin' has no plan"):
        jobs([study(Reduction(axes="random", dims=(2,), method="p-fin"))], METHODS)


def test_a_gain_is_that_over_all_dimensions_of_the_same_seed():
    """Seeds that only one of the two has do not count."""
    rows = [row("fedfin", 80.0), row("few", 79.0), row("few", 10.0, seed=1), row("fedfin", 70.0, seed=2)]
    assert columns(rows)["few"] == {("d", "8:0:2", view): -1.0 for view in rows[0]["views"]}


def test_the_page_says_of_each_data_set_what_it_costs_at_what_is_drafted(tmp_path):
    """By the committed rows, in the mean and in the worst column."""
    rows = tmp_path / "frontier.jsonl"
    rows.write_bytes(gzip.decompress((ROOT / "benchmarks/study/rows/frontier.jsonl.gz").read_bytes()))
    found = at_drafted(read_rows(rows, "fedfin study run frontier"))
    page = (ROOT / "docs/dimensions.md").read_text(encoding="utf-8")
    assert {line[0] for line in found[1:]} == {"covid-cxr", "hancock", "mfeat", "open-i", "uci-heart"}
    assert [line for line in found if f"| {' | '.join(line)} |" not in page] == []


def test_the_page_says_of_each_number_of_columns_what_it_tells(tmp_path):
    """Of the complete cases of the committed rows."""
    rows = tmp_path / "frontier.jsonl"
    rows.write_bytes(gzip.decompress((ROOT / "benchmarks/study/rows/frontier.jsonl.gz").read_bytes()))
    found = leakage(read_rows(rows, "fedfin study run frontier"), columns_of_each=(8,))
    page = (ROOT / "docs/dimensions.md").read_text(encoding="utf-8")
    assert [line for line in found if f"| {' | '.join(line)} |" not in page] == []


@pytest.mark.parametrize("patients", [144, 720])
def test_what_is_drafted_hides_members_from_who_sees_halves(patients):
    """Second moments alone stay well below the .60 that all together may reach; in four times as many they tell."""
    one, halves, _ = attack(patients, together(patients))
    assert max(one, halves) <= 0.56
    assert attack(patients, 4 * together(patients))[1] > 0.7
