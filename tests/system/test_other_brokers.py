"""Federations over brokers that are no single mosquitto (docs/broker.md)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import Federation, fedfin, need_mosquitto

from benchmarks.transport import rabbitmq
from benchmarks.transport.bridge import LINES, bridge
from benchmarks.transport.broker import Broker
from benchmarks.transport.ejabberd import ejabberd
from fedfin import limits

MOSQUITTO_2_1 = "max_packet_size 2000000"  # its default; before, there was no limit
DOC = (Path(__file__).parents[2] / "docs" / "broker.md").read_text()


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Debian's RabbitMQ 3.10, or a newer one."""
    if not rabbitmq.SERVER.exists():
        pytest.skip("RabbitMQ is not installed (apt-get install rabbitmq-server)")
    with rabbitmq.rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


def slowest_round(federation: Federation) -> float:
    """In seconds, of those after the first, for which sites have to start."""
    shown = json.loads(fedfin("aggregator", "show", federation.folder / "agg", "--json").stdout)
    return max(row["seconds"] for row in shown["rounds"][1:])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["url", "web_url"])
def test_a_federation_over_rabbitmq_waits_for_nothing(rabbit: Broker, way: str, tmp_path: Path) -> None:
    """MQTT 5 is dropped without a word, and a wildcard gets nothing that is retained: chunks come all the same.

    A chunk that the broker does not bring is asked for after RETRY_S.
    """
    federation = Federation(tmp_path, getattr(rabbit, way))
    federation.run()
    assert slowest_round(federation) < limits.RETRY_S
    for name in ("agg", *federation.names):
        assert not [event for event in federation.events(name) if event["event"] == "offline"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["url", "web_url"])
def test_a_federation_over_ejabberd_waits_for_nothing(way: str, tmp_path: Path) -> None:
    """MQTT 5; it wants a name and a password of everybody."""
    if not any(Path("/usr/lib").glob("*/ejabberd-*")):
        pytest.skip("ejabberd is not installed (apt-get install ejabberd)")
    (own := tmp_path / "broker").mkdir()
    with ejabberd(own) as broker:
        assert broker.login is not None
        options = ("--user", broker.login.user, "--password-file", broker.login.password_file)
        federation = Federation(tmp_path, getattr(broker, way), options=options)
        federation.run()
    assert slowest_round(federation) < limits.RETRY_S
    for name in ("agg", *federation.names):
        assert not [event for event in federation.events(name) if event["event"] == "offline"]


@pytest.mark.broker
@pytest.mark.slow
def test_a_federation_over_a_bridge_from_a_dmz_with_the_limits_of_mosquitto_2_1(tmp_path: Path) -> None:
    """Sites connect in the DMZ, the aggregator at the centre; what is retained there is retained here."""
    need_mosquitto()
    with bridge(tmp_path, "ward", MOSQUITTO_2_1) as broker:
        federation = Federation(tmp_path, broker.url)
        for name in federation.names:
            settings = tmp_path / name / "site.toml"
            settings.write_text(settings.read_text().replace(broker.url, broker.site_url))
        federation.run()
    assert slowest_round(federation) < limits.RETRY_S


def test_the_bridge_of_the_docs_is_the_one_that_was_tested() -> None:
    """Line by line."""
    assert LINES.format(address="broker.example:8883", federation="chest") in DOC
