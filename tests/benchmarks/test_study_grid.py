"""The study's grid: it goes on where it stopped, and one method's fault does not end it."""

from dataclasses import dataclass

import numpy as np
import pytest
from codec_files import mfeat_cache
from msgspec.structs import replace

from benchmarks.rows import append_row, read_rows
from benchmarks.study.grid import COMMAND, attempt, run_all
from benchmarks.study.jobs import jobs
from benchmarks.study.methods.plan_method import PlanMethod
from benchmarks.study.methods.registry import METHODS
from benchmarks.study.settings import Runs, Study
from fedfin.errors import SettingsError
from fedfin.plan_sections import Model

SMALL = Model(fin_width=8, head_width=0)


@dataclass(frozen=True)
class Failing:
    """A method that cannot train."""

    name: str = "failing"

    def train(self, federation, progress):
        """It does not."""
        raise ValueError("it does not converge")


def study(*methods, **other):
    runs = (Runs(data=("mfeat",), settings=("8:0:2",), methods=methods, **other),)
    return Study(seeds=1, rounds=1, model=SMALL, runs=runs)


@pytest.fixture
def cache(tmp_path):
    return mfeat_cache(tmp_path / "cache", digits=300)


def test_a_row_has_every_kind_of_case_and_the_costs(cache):
    (job,) = jobs([study("fin-mlp")], METHODS)
    row = attempt(job, cache)
    assert set(row["views"]) == {"complete", "only fou", "only pix", "half missing"}
    assert all(0 <= view["auc"] <= 100 for view in row["views"].values())
    assert "cosine" not in row["views"]["complete"]
    assert {"cosine", "explained", "claimed", "covered"} < set(row["views"]["only pix"])
    assert min(row["up"], row["down"], row["multiply_adds"]) > 0
    assert attempt(job, cache) | {"cpu_s": 0} == row | {"cpu_s": 0}


def test_a_method_at_its_best_says_what_was_chosen_and_chooses_once_for_all_seeds(cache):
    one, two = jobs([study("zero-fill")], METHODS, seeds=2, best=True)
    row = attempt(one, cache)
    assert row["best"]
    assert row["trials"] == 8
    assert row["choice"].keys() == {"learning_rate", "epochs", "weight_decay", "score"}
    (kept,) = (cache / "choices").iterdir()
    before = kept.stat().st_mtime_ns
    assert attempt(two, cache)["choice"] == row["choice"]
    assert kept.stat().st_mtime_ns == before


def test_a_rival_that_tunes_itself_has_no_trials(cache):
    """It reads no recipe."""
    (job,) = jobs([study("late-logits")], METHODS, best=True)
    assert "choice" not in attempt(job, cache)
    assert not (cache / "choices").exists()


def test_alike_settings_share_the_choice_of_one(cache):
    """That setting's own runs choose the same; the row is another than one that was tuned where it trains."""
    shared = study("zero-fill", best=True, tuned_in="4:4:2")
    (job, _), (own, _) = (jobs([one], METHODS) for one in (shared, study("zero-fill", best=True)))
    row = attempt(job, cache)
    (kept,) = (cache / "choices").iterdir()
    (there,) = jobs([Study(seeds=1, rounds=1, model=SMALL, runs=(_in("4:4:2"),))], METHODS, best=True)
    assert attempt(there, cache)["choice"] == row["choice"]
    assert list((cache / "choices").iterdir()) == [kept]
    assert own.key != job.key


def _in(setting):
    return Runs(data=("mfeat",), settings=(setting,), methods=("zero-fill",))


def test_a_study_in_order_ends_one_run_before_the_next_each_at_its_best_first():
    """With all its seeds; what comes twice is run once."""
    first, second = (replace(_in("8:0:2"), seeds=2, best=True), replace(_in("4:4:2"), epochs=5))
    ordered = Study(in_order=True, seeds=1, runs=(first, second, replace(first, seeds=3)))
    found = [
        (job.setting_name, job.best, job.seed)
        for job in jobs([Study(runs=(_in("1:0:1"),)), ordered], METHODS)
    ]
    assert found[:4] == [("8:0:2", best, seed) for best in (True, False) for seed in (0, 1)]
    assert found[4:7] == [("4:4:2", False, 0), ("8:0:2", True, 2), ("8:0:2", False, 2)]
    assert {setting for setting, _, _ in found[7:]} == {"1:0:1"}


def test_the_grid_goes_on_after_a_line_that_a_crash_cut_and_tries_failed_runs_again(cache, tmp_path):
    out = tmp_path / "made" / "study.jsonl"
    todo = jobs([study("zero-fill", "fin-mlp")], METHODS)
    out.parent.mkdir()
    append_row(out, attempt(todo[0], cache))
    with out.open("ab") as file:
        file.write(f'{{"key": "{todo[1].key}", "error": "ValueError"}}\n{{"key": "cut o'.encode())
    assert [done for done, _ in run_all(todo, out, cache, processes=1)] == [1, 2]
    assert [row["key"] for row in read_rows(out, COMMAND)] == [todo[0].key, todo[1].key, todo[1].key]
    assert list(run_all(todo, out, cache, processes=1)) == [(2, None)]


def test_a_failing_method_leaves_its_error_and_where_it_arose(cache):
    (job,) = jobs([study("failing")], {"failing": Failing()})
    row = attempt(job, cache)
    assert row["error"].startswith("ValueError: it does not converge (test_study_grid.py:")
    assert (row["method"], row["seed"], row["key"]) == ("failing", 0, job.key)


def test_another_content_of_the_same_names_is_another_run():
    keys = {
        jobs([one], METHODS | {"fin-mlp": method})[0].key
        for one in (study("fin-mlp"), Study(seeds=1, rounds=2, model=SMALL, runs=study("fin-mlp").runs))
        for method in (METHODS["fin-mlp"], PlanMethod("fin-mlp", model={"fin": "decoder"}))
    }
    assert len(keys) == 4


def test_a_study_is_done_seed_by_seed_and_every_run_once():
    todo = jobs([study("zero-fill"), study("*")], METHODS, seeds=2)
    assert [job.seed for job in todo] == sorted(job.seed for job in todo)
    assert len(todo) == 2 * len(METHODS)
    only = jobs([study("*")], METHODS, only=["zero-fill"])
    assert [job.method.name for job in only] == ["zero-fill"]


def test_runs_may_have_more_seeds_than_their_study():
    """What two of its runs name is run once; what the command says counts for all."""
    both = Study(seeds=2, runs=(*study("zero-fill", seeds=3).runs, *study("zero-fill", "plain-fin").runs))
    assert [job.method.name for job in jobs([both], METHODS)] == ["zero-fill", "plain-fin"] * 2 + [
        "zero-fill"
    ]
    assert len(jobs([both], METHODS, seeds=1)) == 2


def test_an_ablation_changes_one_key_and_is_checked():
    ablations = ({"method": "fin-mlp", "key": "fin_width", "values": (8, 16)},)
    found = jobs([_ablated(ablations)], METHODS)
    assert [job.method.name for job in found] == ["fin-mlp/fin_width=8", "fin-mlp/fin_width=16"]
    for key, value in (("fin_width", 1), ("width", 8)):
        with pytest.raises(SettingsError, match=rf"runs\[0\]\.ablations: model\.{key}"):
            jobs([_ablated(({"method": "fin-mlp", "key": key, "values": (value,)},))], METHODS)


def test_a_method_that_is_not_there_is_named():
    with pytest.raises(SettingsError, match=r"runs\[0\]\.methods: 'best' is not one of fedfin"):
        jobs([study("best")], METHODS)


def _ablated(ablations):
    import msgspec

    builtins = {"data": ["mfeat"], "settings": ["8:0:2"], "ablations": list(ablations)}
    return Study(seeds=1, runs=(msgspec.convert(builtins, Runs),))


def test_multiply_adds_are_those_of_the_layers(cache):
    (job,) = jobs([study("zero-fill")], METHODS)
    row = attempt(job, cache)
    dims = row["modalities"]
    assert row["multiply_adds"] == sum(dims.values()) * len(row["labels"])
    assert np.isfinite(row["cpu_s"])
