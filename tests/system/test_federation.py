"""Whole federations as real processes over real brokers."""

import json
import queue
from collections import Counter
from pathlib import Path

import pytest
from federation import Federation, broker, fedfin

from fedfin.broker.kit.sizing import PACKET_BYTES
from fedfin.link import link_events, mqtt
from fedfin.plan_sections import Codec, Model


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a federation that has ended, over the embedded broker."""
    folder = tmp_path_factory.mktemp("embedded")
    _check_one_model(folder, "embedded")
    return folder


def _check_one_model(folder: Path, kind: str) -> None:
    with broker(kind, folder) as url:
        federation = Federation(folder, url)
        federation.run()
    final = _final(folder)
    for name in federation.names:
        assert (folder / name / "state" / "final.fedfin").read_bytes() == final


def _final(folder: Path) -> bytes:
    return (folder / "agg" / "final.fedfin").read_bytes()


def test_a_federation_ends_with_one_model_everywhere(embedded: Path) -> None:
    """Aggregator and every site hold the same final model, and the metrics cover all cases."""
    shown = json.loads(fedfin("aggregator", "show", embedded / "agg", "--json").stdout)
    assert [row["sites"] for row in shown["rounds"]] == [3.0] * 4
    assert shown["final"]["auc.only-image"] > 0.5


@pytest.mark.broker
def test_the_same_plan_and_cases_give_the_same_model(embedded: Path, tmp_path: Path) -> None:
    """To the byte, whatever the order in which updates arrive, and whatever broker they take."""
    _check_one_model(tmp_path, "mosquitto")
    assert _final(tmp_path) == _final(embedded)


def test_explain_update_shows_every_tensor_that_left(embedded: Path) -> None:
    """An image-only site's update carries nothing of the other modality."""
    told = json.loads(fedfin("edge", "explain-update", embedded / "s1", "--json").stdout)
    assert told["task"] == "evaluate"
    assert {tensor["name"] for tensor in told["tensors"]} <= {"eval.as-is", "eval.only-image"}


@pytest.mark.broker
def test_a_compressed_federation_ends_with_one_model_everywhere(tmp_path: Path) -> None:
    """Bit for bit, though each site has built it from deltas; and it sends far less than an exact one."""
    codec = Codec(up="small", down="small")
    with broker("mosquitto", tmp_path) as url:
        wide = Model(fin="mlp", answer="head", fin_width=128, head_width=8)
        federation = Federation(tmp_path, url, rounds=6, codec=codec, model=wide)
        federation.run()
    final = (tmp_path / "agg" / "final.fedfin").read_bytes()
    for name in federation.names:
        assert (tmp_path / name / "state" / "final.fedfin").read_bytes() == final
        (costs,) = [e for e in federation.events(name) if e["event"] == "costs"]
        assert costs["bytes_up"] < len(final) / 4  # six rounds of training
        assert costs["bytes_down"] < 1.5 * len(final)  # the first model, whole, and six deltas


@pytest.mark.broker
def test_a_broker_with_small_packets_gets_small_chunks(tmp_path: Path) -> None:
    """Chunks are cut to what the broker announces: updates and models of 70 KB travel in packets of at most 8 KiB."""
    with broker("mosquitto", tmp_path, "max_packet_size 8192") as url:
        federation = Federation(
            tmp_path, url, rounds=1, model=Model(fin="mlp", answer="head", fin_width=64, head_width=8)
        )
        federation.run()
    updates = [event for event in federation.events("agg") if event["event"] == "update"]
    sizes = [event["bytes"] for event in updates if event["accepted"]]
    assert max(sizes) > 8 * 8192
    assert len(sizes) == 9


class LargePackets(queue.SimpleQueue):
    """A link's events; of messages it only counts those larger than without the option, by their way: up or down."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def put(self, item: object, *_: object) -> None:
        """The rest is for the owner."""
        if not isinstance(item, link_events.Arrived):
            super().put(item)
        elif len(item.payload) > PACKET_BYTES:
            self.count["up" if item.topic.endswith("up/chunk") else "down"] += 1


@pytest.mark.broker
def test_larger_packets_carry_the_same_model(tmp_path: Path) -> None:
    """To the byte; models travel in packets of more than 256 KiB, and updates where the machine is not too busy."""
    seen = {}
    for name in ("usual", "large"):
        (folder := tmp_path / name).mkdir()
        with broker("mosquitto", folder) as url:
            option = "?packet=1024" if name == "large" else ""
            wide = Model(fin="mlp", answer="head", fin_width=512, head_width=512)
            federation = Federation(folder, url + option, sites=2, model=wide)
            seen[name] = _run_watched(federation, url)
    assert seen["usual"] == {}
    assert seen["large"]["down"] > 0
    for site in federation.names:
        assert (tmp_path / "large" / site / "state" / "final.fedfin").read_bytes() == _final(
            tmp_path / "usual"
        )


def _run_watched(federation: Federation, url: str) -> Counter[str]:
    """To the end; the large packets that the broker passes on meanwhile."""
    events = LargePackets()
    link = mqtt.Link(url, "watches", will=("watches", bytes), events=events)
    link.start()
    try:
        assert isinstance(events.get(timeout=20.0), link_events.Up)
        link.subscribe("fedfin/1/ward/site/+/up/chunk", "fedfin/1/ward/global/#")
        federation.run()
    finally:
        link.stop()
    return events.count


@pytest.mark.broker
def test_a_broker_that_does_not_say_how_large_a_packet_may_be_gets_smaller_ones(tmp_path: Path) -> None:
    """In MQTT 3.1.1 it only ends the connection: sites and aggregator find out, and the federation ends well."""
    with broker("mosquitto", tmp_path, "max_packet_size 40000") as url:
        model = Model(fin="mlp", answer="head", fin_width=64, head_width=8)
        federation = Federation(tmp_path, f"{url}?protocol=3.1.1", rounds=1, sites=2, model=model)
        federation.run()
    for name in federation.names:
        assert (tmp_path / name / "state" / "final.fedfin").read_bytes() == _final(tmp_path)
    lost = [event["reason"] for event in federation.events("agg") if event["event"] == "offline"]
    assert any("smaller ones are tried" in reason for reason in lost)
