"""Whole federations as real processes over real brokers."""

import json
from pathlib import Path

import pytest
from federation import Federation, broker, fedfin

from fedfin.model_file import read_model


@pytest.mark.parametrize("kind", [pytest.param("mosquitto", marks=pytest.mark.broker), "embedded"])
def test_a_federation_ends_with_one_model_everywhere(kind: str, tmp_path: Path) -> None:
    """Aggregator and every site hold the same final model, and the metrics cover all cases."""
    with broker(kind, tmp_path) as url:
        federation = Federation(tmp_path, url)
        federation.run()
    final = (tmp_path / "agg" / "final.fedfin").read_bytes()
    for name in federation.names:
        assert (tmp_path / name / "state" / "final.fedfin").read_bytes() == final
    shown = json.loads(fedfin("aggregator", "show", tmp_path / "agg", "--json").stdout)
    assert [row["sites"] for row in shown["rounds"]] == [3.0] * 4
    assert shown["final"]["auc.only-image"] > 0.5


@pytest.mark.broker
def test_the_same_plan_and_cases_give_the_same_model(tmp_path: Path) -> None:
    """Two runs, whatever the order in which their updates arrive, end with the same bytes."""
    models = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with broker("mosquitto", folder) as url:
            Federation(folder, url).run()
        models.append(read_model(folder / "agg" / "final.fedfin").tensors)
    assert all((models[0][name] == models[1][name]).all() for name in models[0])


@pytest.mark.broker
def test_explain_update_shows_every_tensor_that_left(tmp_path: Path) -> None:
    """An image-only site's training update carries no FIN and no text columns."""
    with broker("mosquitto", tmp_path) as url:
        Federation(tmp_path, url, rounds=1).run()
    told = json.loads(fedfin("edge", "explain-update", tmp_path / "s1", "--json").stdout)
    assert told["task"] == "evaluate"
    assert {tensor["name"] for tensor in told["tensors"]} <= {"eval.as-is", "eval.only-image"}


@pytest.mark.broker
def test_a_broker_with_small_packets_gets_small_chunks(tmp_path: Path) -> None:
    """Chunks are cut to what the broker announces: evaluations of 20 KB travel in packets of at most 8 KiB."""
    with broker("mosquitto", tmp_path, "max_packet_size 8192") as url:
        federation = Federation(tmp_path, url, rounds=1)
        federation.run()
    updates = [json.loads(line) for line in (tmp_path / "agg.log").read_text().splitlines()]
    sizes = [event["bytes"] for event in updates if event["event"] == "update" and event["accepted"]]
    assert max(sizes) > 2 * 8192
    assert len(sizes) == 9
