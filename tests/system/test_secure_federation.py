"""Federations whose aggregator sees sums alone, over a real mosquitto."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from federation import Federation, broker, fedfin, set_up, start

from fedfin.model.initial_model import initial_model
from fedfin.model.model_file import read_model
from fedfin.plan_sections import Codec, Model, Privacy, Rounds
from fedfin.protocol.padding import SEALED_BYTES
from fedfin_aggregator.coordinator import Coordinator

SECURE = Privacy(level="secure")
FEW = Rounds(count=2, sites=3, min_sites=3, deadline_s=60.0)


def test_a_secure_federation_comes_to_the_closed_forms_of_an_open_one(tmp_path: Path) -> None:
    """Masks are gone from the sums to the last bit. Not the head: what training draws is a secret of each site."""
    models, experts = [], Model(answer="experts", basis_total=16)
    for level in ("open", "secure"):
        place = tmp_path / level
        place.mkdir()
        with broker("mosquitto", place) as url:
            Federation(place, url, keys=True, rounds=FEW, privacy=Privacy(level=level), model=experts).run()
        models.append(read_model(place / "agg" / "final.fedfin").tensors)
    assert models[0].keys() == models[1].keys()
    for name, array in models[0].items():
        assert (array == models[1][name]).all() != name.startswith("head."), name


@pytest.mark.slow
def test_smaller_chunks_are_found_by_themselves_under_secure_sums(tmp_path: Path) -> None:
    """A broker that ends the connection at a large packet changes neither sums nor the sealed model."""
    with broker("mosquitto", tmp_path, "max_packet_size 40000") as url:
        model = Model(fin="mlp", answer="head", fin_width=64, head_width=8)
        place = f"{url}?protocol=3.1.1"
        federation = Federation(tmp_path, place, keys=True, rounds=FEW, privacy=SECURE, model=model)
        federation.run()
    events = federation.events("agg")
    assert all(event["accepted"] for event in events if event["event"] == "sum")
    for name in ("agg", "s0"):
        lost = [event["reason"] for event in federation.events(name) if event["event"] == "offline"]
        assert any("smaller ones are tried" in reason for reason in lost), name
    final = (tmp_path / "agg" / "final.fedfin").read_bytes()
    for name in federation.names:
        assert (tmp_path / name / "state" / "final.fedfin").read_bytes() == final


@pytest.mark.slow
def test_steps_come_near_to_the_model_of_exact_sums(tmp_path: Path) -> None:
    """Of what exact sums changed they miss little, and no sum is left out."""
    models = {}
    for up in ("exact", "int8"):
        place = tmp_path / up
        place.mkdir()
        with broker("mosquitto", place) as url:
            federation = Federation(place, url, keys=True, rounds=FEW, privacy=SECURE, codec=Codec(up=up))
            federation.draw_alike()
            federation.run()
        models[up] = read_model(place / "agg" / "final.fedfin").tensors
    assert all(event["accepted"] for event in federation.events("agg") if event["event"] == "sum")
    for name, start_ in initial_model(federation.plan).items():
        if name.startswith(("head.", "fin.")) and name.endswith("weight"):
            changed = np.linalg.norm(models["exact"][name] - start_)
            assert np.linalg.norm(models["int8"][name] - models["exact"][name]) < 0.2 * changed, name


def test_every_task_goes_through_sums(tmp_path: Path) -> None:
    """Moments, second moments, training, calibration and evaluation of the default model; nothing comes beside them."""
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(
            tmp_path, url, keys=True, rounds=FEW, privacy=SECURE, model=Model(basis_total=16)
        )
        federation.run()
    sent = [event["bytes"] for event in federation.events("s0") if event["event"] == "sending"]
    most = json.loads(fedfin("edge", "review", tmp_path / "s0", "--json").stdout)["largest"]
    assert most - SEALED_BYTES <= max(sent) <= most, "what `accept` and `review` say leaves"
    events = federation.events("agg")
    sums = [event for event in events if event["event"] == "sum"]
    assert [event["round"] for event in sums] == [1, 2, 3, 4, 5, 6]
    assert all(event["accepted"] and event["sites"] == "s0, s1, s2" for event in sums), sums
    closed = [event for event in events if event["event"] == "closed"]
    assert [event["sites"] for event in closed] == [3.0] * 6
    assert closed[-1]["cases.as-is"] > 0


@pytest.mark.parametrize("codec", [Codec(), Codec(up="int4")], ids=["exact", "int4"])
def test_what_one_site_alone_has_is_in_no_sum_where_the_plan_asks_for_three(
    tmp_path: Path, codec: Codec
) -> None:
    """Texts are at s0 alone: no sum holds anything of them, all ends say so, and the model answers without."""
    privacy = Privacy(level="secure", least_sites_per_block=3)
    with broker("mosquitto", tmp_path) as url:
        plan = {"rounds": FEW, "privacy": privacy, "model": Model(basis_total=16), "codec": codec}
        federation = Federation(tmp_path, url, keys=True, count=80, **plan)
        federation.run()
    events = federation.events("agg")
    sums = [event for event in events if event["event"] == "sum"]
    assert [event["round"] for event in sums] == [1, 2, 3, 4, 5, 6]
    assert all(event["accepted"] and event["sites"] == "s0, s1, s2" for event in sums), sums
    for name in ("agg", *federation.names):
        told = {e["round"]: e["blocks"] for e in federation.events(name) if e["event"] == "withheld"}
        assert told == {1: "text"}, name
    note = "round 1: too few sites have this, and it is in no sum: text"
    assert note in " ".join(fedfin("aggregator", "show", tmp_path / "agg").stdout.split())
    tensors = read_model(tmp_path / "agg" / "final.fedfin").tensors
    start_ = initial_model(federation.plan)
    for name, array in tensors.items():
        if ".text" in name and not name.startswith("head.imputed"):
            assert (array == start_[name]).all(), name
    assert tensors["norm.image.mean"].any()
    assert tensors["expert.image.image.weight"].any()
    closed = [event for event in events if event["event"] == "closed"]
    assert closed[-1]["cases.only-image"] > 0
    assert not closed[-1].get("cases.only-text")
    assert "what fewer than 3 of them have" in fedfin("edge", "review", tmp_path / "s0").stdout.replace(
        "\n", " "
    )


@pytest.mark.parametrize("blocks", [{}, {"least_sites_per_block": 3}], ids=["", "sites behind every block"])
def test_of_a_finding_that_few_patients_of_all_sites_have_nothing_is_told(tmp_path: Path, blocks) -> None:
    """All ends say so, and how many they are is nowhere."""
    privacy = Privacy(level="secure", least_answers=10, **blocks)
    with broker("mosquitto", tmp_path) as url:
        plan = {"rounds": FEW, "privacy": privacy, "model": Model(basis_total=16)}
        federation = Federation(tmp_path, url, keys=True, count=200, **plan)
        rare = federation.plan.labels[0]
        for name in federation.names:
            table = tmp_path / f"{name}.jsonl"
            rows = [json.loads(line) for line in table.read_text().splitlines()]
            lone = (json.dumps(row | {rare: int(row["case"] == "c7")}) for row in rows)
            table.write_text("".join(f"{line}\n" for line in lone))
        federation.run()
    for name in ("agg", *federation.names):
        told = {e["round"]: e["left_out"] for e in federation.events(name) if e["event"] == "suppressed"}
        assert told.keys() == ({5, 6} if blocks else {2, 5, 6}), name  # who trains is counted, too, or not
        assert "any label of text" in told.pop(5), "few calibrate who have one"
        assert all(left_out.split("; ")[0] == rare for left_out in told.values()), "everywhere"
        assert "count." not in (tmp_path / f"{name}.log").read_text()
    shown = " ".join(fedfin("aggregator", "show", tmp_path / "agg").stdout.split())
    assert (
        f"round 6: suppressed, as too few patients of all sites have one of the two answers: {rare}" in shown
    )
    assert "count." not in fedfin("aggregator", "show", tmp_path / "agg", "--json").stdout
    results = [event for event in federation.events("agg") if event["event"] == "closed"][-1]
    assert results[f"suppressed.{rare}"] == 1.0
    assert results["auc.only-image"] > 0.5, "of the other label"
    flags = read_model(tmp_path / "agg" / "final.fedfin").tensors["enough.evaluate"]
    assert not flags[:, 0].any()
    assert flags[1, 1] == 1
    review = " ".join(fedfin("edge", "review", tmp_path / "s0").stdout.split())
    assert "fewer than 10 patients of all sites" in review
    assert fedfin("edge", "audit", tmp_path / "s0").returncode == 0
    assert fedfin("edge", "explain-update", tmp_path / "s0").returncode == 0


def test_an_aggregator_that_is_killed_in_an_attempt_goes_on(tmp_path: Path) -> None:
    """Its next life makes another attempt, or opens the sum that the one before was about to open."""
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(tmp_path, url, keys=True, rounds=FEW, privacy=SECURE)
        serve = ("aggregator", "serve", tmp_path / "agg", "--broker", url, "--json")
        first = start(*serve, log=tmp_path / "first.log")
        sites = [
            start("edge", "run", tmp_path / n, "--json", log=tmp_path / f"{n}.log") for n in federation.names
        ]
        processes = [first, *sites]
        try:
            _wait_for(tmp_path / "first.log", '"cohort"')
            first.kill()
            first.wait()
            processes.append(start(*serve, log=tmp_path / "agg.log"))
            codes = [process.wait(60) for process in processes[1:]]
        finally:
            for process in processes:
                process.kill()
    assert codes == [0] * 4, (tmp_path / "agg.log").read_text()[-2000:]


def test_an_aggregator_says_what_secure_sums_need_before_it_serves(tmp_path: Path) -> None:
    """Keys; and no charter that wants more sites behind a sum than the plan does. Exit code 3, one line."""
    Federation(tmp_path, "mqtt://127.0.0.1:1", keys=True, rounds=FEW, privacy=SECURE)
    serve = ("aggregator", "serve", tmp_path / "agg", "--broker", "mqtt://127.0.0.1:1")
    done = fedfin(*serve, "--no-keys", check=False)
    assert (done.returncode, "needs keys" in done.stderr) == (3, True), done.stderr
    assert 'set privacy.level = "open" in plan.toml' in done.stderr
    study = tmp_path / "study"
    set_up("aggregator", "charter", study, "--least-sites", "4")
    coordinator = Coordinator(study).charter.fingerprint
    set_up("aggregator", "accept", tmp_path / "agg", study / "charter", "--fingerprint", coordinator)
    done = fedfin(*serve, check=False)
    assert (done.returncode, "wants 4 sites behind a sum" in done.stderr) == (3, True), done.stderr


def _wait_for(log: Path, word: str) -> None:
    end = time.monotonic() + 60
    while word not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.005)
