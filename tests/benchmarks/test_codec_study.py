"""The simulated federation and its resumable grid, on invented digits."""

import json

import numpy as np
import pytest
from codec_files import mfeat_cache

from benchmarks.codec.federation import SCALES, deal
from benchmarks.codec.grid import COMMAND, Job, is_current, jobs, run, run_all
from benchmarks.codec.score import Scorer
from benchmarks.codec.simulation import Simulation
from benchmarks.data.loaders import load_cases
from benchmarks.rows import read_rows
from fedfin.codec import PRESETS
from fedfin.errors import InputError
from fedfin_aggregator.fold.fold import Fold, apply_means
from fedfin_edge.tasks.run_task import run_task

JOB = Job("mfeat", "tiny", "small", taking_part=4, seed=0, rounds=2)


@pytest.fixture
def cache(tmp_path):
    return mfeat_cache(tmp_path / "cache")


@pytest.fixture
def federation(cache):
    return deal(load_cases("mfeat", cache), SCALES["mfeat"], seed=0, rounds=8)


def test_exact_both_ways_is_plain_federated_averaging(federation):
    simulation = Simulation(federation, "exact", "exact", taking_part=8)
    before, fold = simulation.model, Fold()
    for name, dataset in federation.sites.items():
        result = run_task(
            federation.plan, "train", 2, before, dataset, name, progress=lambda _: None, stop=lambda: False
        )
        fold.add(result.deltas, result.weights)
    expected = apply_means(before, fold.means(), replace=False)
    simulation.round(1)
    assert all(np.array_equal(simulation.model[name], values) for name, values in expected.items())


def test_updates_are_compensated_by_what_was_left_out(federation):
    sent = []
    simulation = Simulation(
        federation, "minimal", "exact", taking_part=8, record=lambda *update: sent.append(update)
    )
    traffic = simulation.round(1)
    first = {name: values.copy() for name, values in sent[0][2].items()}
    simulation.round(2)
    again = next(values for number, site, values in sent if (number, site) == (2, "site-1"))
    assert [site for number, site, _ in sent if number == 1] == list(federation.sites)
    # What did not travel in round 1 comes on top in round 2: the update is larger than one round's.
    norms = [sum(float(np.square(v).sum()) for v in update.values()) for update in (first, again)]
    assert norms[1] > 1.2 * norms[0]
    assert all(traffic.up_float32[site] > 100 * size for site, size in traffic.up.items())


def test_half_of_the_sites_take_part_by_the_plans_seed(federation):
    rounds = []
    for _ in range(2):
        simulation = Simulation(federation, "small", "small", taking_part=4)
        rounds.append([tuple(simulation.round(number).up) for number in (1, 2)])
    assert rounds[0] == rounds[1]
    assert [len(sites) for sites in rounds[0]] == [4, 4]
    assert rounds[0][0] != rounds[0][1]


def test_scores_see_what_they_are_shown(federation):
    simulation = Simulation(federation, "exact", "exact", taking_part=8)
    scorer = Scorer(federation)
    before = scorer.complete(simulation.model)
    for number in range(1, 9):
        simulation.round(number)
    assert before < 70
    assert scorer.complete(simulation.model) > before + 15
    assert 60 < scorer.alone(simulation.model) < scorer.complete(simulation.model)
    assert 70 < scorer.as_held(simulation.model) < 100


def test_a_row_tells_auc_and_bytes_of_every_round(cache):
    row = run(JOB, cache)
    assert row["key"] == JOB.key
    assert is_current(row)
    lengths = {len(row[key]) for key in ("auc", "up_bytes", "up_float32", "down_bytes", "down_float32")}
    assert lengths == {2}
    assert json.loads(json.dumps(row)) == row
    assert run(JOB, cache) | {"cpu_s": 0} == row | {"cpu_s": 0}


def test_a_row_of_a_preset_as_it_no_longer_is_does_not_count(cache, monkeypatch):
    row = run(JOB, cache)
    monkeypatch.setitem(PRESETS, "tiny", PRESETS["minimal"])
    assert not is_current(row)


def test_a_study_goes_on_where_it_stopped(cache, tmp_path):
    out = tmp_path / "made" / "study.jsonl"
    todo = jobs(["mfeat"], ["exact", "small"], [8], range(1), rounds=1)
    first, *_ = run_all(todo[:1], out, cache, processes=1)
    assert first == (0, None)
    with out.open("ab") as file:
        file.write(b'{"key": "cut off by a cra')
    steps = list(run_all(todo, out, cache, processes=2))
    assert [done for done, _ in steps] == [1, 2]
    assert [row["key"] for row in read_rows(out, COMMAND)] == [job.key for job in todo]
    assert list(run_all(todo, out, cache, processes=1)) == [(2, None)]


def test_jobs_are_whole_studies_seed_by_seed():
    todo = jobs(["a", "b"], ["exact", "tiny"], [8, 4], range(2), rounds=3)
    assert len({job.key for job in todo}) == len(todo) == 16
    assert [job.seed for job in todo] == [0] * 8 + [1] * 8
    assert all(job.up == job.down for job in todo)


@pytest.mark.parametrize("content", ["no json\n", None])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "study.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"study\.jsonl"):
        read_rows(path, COMMAND)


def test_the_trainer_is_told_of_the_preset(federation):
    """So that a round going up with it learns at its rate; the first steps' size is the learning rate's."""
    sizes = {}
    for preset in ("exact", "tiny"):
        sent = []
        simulation = Simulation(
            federation, preset, "exact", taking_part=8, record=lambda *update, sent=sent: sent.append(update)
        )
        simulation.round(1)
        sizes[preset] = sum(float(np.abs(values).sum()) for values in sent[0][2].values())
    assert sizes["tiny"] / sizes["exact"] == pytest.approx(PRESETS["tiny"].learning_rate_factor, rel=0.2)
