"""The price of three sites behind every block: what is withheld is withheld, and nothing else."""

import re
import sys

import numpy as np
import pytest
import torch
from codec_files import mfeat_cache
from msgspec.structs import replace
from study_cases import dealt, pool

from benchmarks import sites_per_block
from benchmarks.private import by_view, fewer, synthetic
from benchmarks.sites_per_block import OF_TEN, RECIPE, WITH, WITHOUT
from benchmarks.study.deal import deal
from benchmarks.study.rounds import Rounds
from fedfin.fusion.model import load_model
from fedfin.plan_sections import Codec, Model, Privacy
from fedfin.plan_sections import Rounds as RoundKeys

LEAST = 3


def test_the_plan_differs_by_the_key_alone() -> None:
    """What one costs is then the key's."""
    base = dealt(pool(900), ratio="2:0:2", public=0.2).plan
    without, with_key = (method.plan(base, {"image": 2}) for method in (WITHOUT, WITH))
    assert replace(with_key, privacy=without.privacy) == without
    assert with_key.privacy == replace(without.privacy, least_sites_per_block=LEAST)


def test_texts_of_two_sites_are_in_no_sum_so_that_they_answer_by_chance() -> None:
    """Without the key they answer; the images' answers are what they were."""
    federation = fewer(deal(synthetic(4000), OF_TEN["8:0:2"], 0, RECIPE), 2000, 0)
    found = [by_view(m.train(federation, lambda _: None), federation, 0) for m in (WITHOUT, WITH)]
    without, with_key = (views["only text"] for views in found)
    assert with_key == pytest.approx(50.0, abs=0.1)  # all get one answer, but for the last bit
    assert without > 55
    assert found[0]["only image"] == pytest.approx(found[1]["only image"], abs=1.5)


def test_what_nobody_pooled_is_not_read_by_a_head_either() -> None:
    """Its answer to a text is that to any other."""
    federation = fewer(deal(synthetic(2000), OF_TEN["8:0:2"], 0, RECIPE), 1000, 0)
    plan, both = (replace(WITH.plan(federation.plan, {}), model=Model(answer=a)) for a in ("head", "both"))
    rounds, of_both = (Rounds(one, federation.sites) for one in (plan, both))
    for each in (rounds, of_both):
        for number in each.numbers:
            each.run(number)
    assert not of_both.model["calibration.head_weight"][[2, 3]].any(), "nor has the head a say beside experts"
    judge, texts = federation.judge, {"image": False, "text": True}
    shown = {m: torch.full((len(judge),), given) for m, given in texts.items()}
    features = {m: torch.from_numpy(values) for m, values in judge.features.items()}
    with torch.inference_mode():
        logits = load_model(plan, rounds.model)(features, shown)[0].numpy()
    assert logits.std(axis=0).max() < 1e-6


@pytest.mark.parametrize("up", ["exact", "int4"])
def test_where_all_sites_give_to_every_block_the_model_is_the_same(up: str) -> None:
    """To the last bit, after every task; a plan at "secure" without the key is summed as ever."""
    federation = dealt(pool(1800), ratio="0:0:4", public=0.2)
    models = []
    for least in ({}, {"least_sites_per_block": LEAST}):
        plan = replace(
            federation.plan,
            privacy=Privacy(level="secure", **least),
            codec=Codec(up=up),
            rounds=RoundKeys(count=2, sites=4, min_sites=LEAST),
        )
        rounds = Rounds(plan, federation.sites)
        for number in rounds.numbers:
            rounds.run(number)
        models.append(rounds.model)
    without, with_key = models
    assert without.keys() == with_key.keys()
    assert [name for name in without if not np.array_equal(without[name], with_key[name])] == []


def test_the_command_prints_a_line_for_each_setting(tmp_path, monkeypatch, capsys) -> None:
    """Each cell says both."""
    cache = mfeat_cache(tmp_path / "cache", digits=600)
    monkeypatch.setattr(sites_per_block, "PATIENTS", {"mfeat": (300,)})
    monkeypatch.setattr(sys, "argv", ["", "--data", "mfeat", "--seeds", "1", "--cache", str(cache)])
    sites_per_block.main()
    printed = capsys.readouterr().out
    lines = re.findall(r"^│ 300 +│ (\S+) +│((?: \d+\.\d / \d+\.\d +│){5})$", printed, re.MULTILINE)
    assert [name for name, _ in lines] == list(OF_TEN)
