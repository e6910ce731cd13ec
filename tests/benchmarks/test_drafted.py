"""The default as it is drafted: what the study trains is what a draft says, and the page has its rows."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from stub_bundles import write_bundle
from study_cases import dealt, pool

from benchmarks.study.method import NotApplicableError
from benchmarks.study.methods.registry import METHODS
from benchmarks.study.report import read_scores
from benchmarks.study.rounds import rounded
from benchmarks.study.summary import summarise
from fedfin.codec.presets import LEVELS
from fedfin.command_line.main import main
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import MAGNITUDES, quantized_shapes
from fedfin.model.plan_file import read_plan
from fedfin.privacy.dimensions import columns_for
from fedfin.secure_sums.fixed_point import ONE
from fedfin.secure_sums.quantizer import Quantizer
from fedfin.secure_sums.summand import Summand

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "benchmarks" / "study" / "rows"
SECTION = (ROOT / "docs/method-measured.md").read_text().partition("## As it is drafted\n")[2]
METHODS_SHOWN = ("fedfin-drafted", "fedfin", "zero-fill", "late-logits")
DATA = ("uci-heart", "hancock", "open-i", "covid", "mfeat")
DRAFTED = METHODS["fedfin-drafted"]


def test_its_columns_are_those_that_draft_allows_the_sites_patients():
    """Two of four sites have both modalities; the plan's random features leave no room beyond."""
    federation = dealt(pool(900), ratio="2:0:2", public=0.2)
    image, both = (sum(int(d.present[m].sum()) for d in federation.sites.values()) for m in ("image", "text"))
    columns = DRAFTED.columns(federation)
    assert columns == dict(zip(("image", "text"), columns_for([image, both], both), strict=True))
    plan = DRAFTED.plan(federation.plan, {"image": 2})
    assert plan.model.basis_total == sum(plan.dims.values()) == 5


def test_it_trains_as_a_draft_for_as_many_sites_says(tmp_path, capsys):
    """Privacy, codec, and rounds: of the command's own plan."""
    federation = dealt(pool(900), ratio="2:0:2", public=0.2)
    bundle = write_bundle(tmp_path / "bundle", "image")
    words = ["--federation", "f", "--bundle", str(bundle), "--label", "x", "--sites", "4"]
    assert main(["aggregator", "draft", *words]) == 0
    (tmp_path / "plan.toml").write_text(capsys.readouterr().out)
    draft = read_plan(tmp_path / "plan.toml")
    study = replace(federation.plan, rounds=replace(federation.plan.rounds, count=40))
    plan = DRAFTED.plan(study, {"image": 2})
    assert (plan.privacy, plan.codec, plan.training) == (draft.privacy, draft.codec, draft.training)
    for key in ("count", "sites", "min_sites", "stops_after"):
        assert getattr(plan.rounds, key) == getattr(draft.rounds, key)


def test_fewer_sites_than_make_a_sum_have_no_such_plan():
    federation = dealt(pool(), ratio="1:0:1")
    with pytest.raises(NotApplicableError, match="fewer than 3 sites has no secure sums"):
        DRAFTED.train(federation, lambda _: None)


def test_a_site_gives_what_a_secure_sum_of_whole_steps_opens():
    """Weight for weight, to what fixed point rounds; what is left out stays, and how large all was is told."""
    federation = dealt(pool(900), ratio="2:0:2", public=0.2)
    plan = DRAFTED.plan(federation.plan, {})
    levels, rng = LEVELS["int4"], np.random.default_rng(0)
    quantizer, form = Quantizer(plan, levels, initial_model(plan)), Summand(plan, "train", levels)
    total, words = dict.fromkeys(quantized_shapes(plan), 0.0), np.zeros(form.word_count, np.uint64)
    for cases in (40, 70, 90):
        values = {n: rng.normal(0, 1e-2, s).astype(np.float32) for n, s in quantized_shapes(plan).items()}
        weights = dict.fromkeys(values, cases)
        given, counted, left = rounded(quantizer, values, weights)
        assert np.array_equal(given[MAGNITUDES], quantizer.magnitudes(values, weights))
        assert counted == {**weights, MAGNITUDES: cases}
        total = {name: total[name] + cases * given[name] for name in total}
        words += form.words(quantizer.quantize(values, weights)[0], weights, {}, 3)
        assert all(np.allclose(given[name] + left[name], values[name], atol=1e-7) for name in values)
    opened = form.opened(words, quantizer.steps).tensors
    assert all(np.allclose(opened[name][0] / ONE, total[name], atol=1e-4) for name in total)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `fedfin study report` says of the fair study's rows with these beside."""
    both = tmp_path_factory.mktemp("rows") / "both.jsonl"
    packed = [ROWS / f"{name}.jsonl.gz" for name in ("fair", "drafted")]
    both.write_bytes(b"".join(gzip.decompress(path.read_bytes()) for path in packed))
    return summarise(read_scores(both, "fedfin-drafted"))


def test_the_table_has_every_row_that_was_drafted_and_no_other(found):
    lines = [line for line in found["main"] if line["methods"].get("fedfin-drafted")]
    rows = [
        f"| {line['data']}, {line['setting']}, {line['kind']} | "
        + " | ".join(_cell(line["methods"][name]) for name in METHODS_SHOWN)
        + " |"
        for line in lines
    ]
    assert {line["data"] for line in lines} == set(DATA)
    assert [
        row for row in SECTION.splitlines() if row.startswith("| ") and " ± " in row and ", " in row
    ] == rows


def _cell(score):
    return f"{score['auc']:.1f} ± {score['spread']:.1f}"


def test_the_gains_and_the_harms_are_those_of_the_rows(found):
    verdict = found["verdict"]
    gains = {(g["data"], g["method"]): f"{g['difference']:+.2f} ± {g['noise']:.2f}" for g in verdict["gains"]}
    for method in METHODS_SHOWN[1:]:
        cells = " | ".join(gains[data, method] for data in DATA)
        assert f"| {method} | {cells} |" in SECTION
    harmed = {(harm["data"], harm["setting"], harm["view"]) for harm in verdict["harms"] if harm["clear"]}
    assert f"**It harms in {len(harmed)} of {verdict['columns']} columns" in SECTION


def test_each_data_set_had_three_seeds():
    """As the page says."""
    lines = gzip.decompress((ROWS / "drafted.jsonl.gz").read_bytes()).splitlines()
    seeds = sorted((row["data"], row["seed"]) for row in map(json.loads, lines))
    assert seeds == sorted((data, seed) for data in DATA for seed in range(3))
