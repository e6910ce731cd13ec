"""Federations over brokers that are no single mosquitto (docs/broker.md)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import Federation, fedfin, need

from benchmarks.transport.bridge import LINES, bridge
from benchmarks.transport.broker import Broker, running
from benchmarks.transport.ejabberd import ejabberd
from benchmarks.transport.rabbitmq import rabbitmq
from benchmarks.transport.system import SYSTEMS, System
from fedfin import limits
from fedfin.demo.processes import free_port

on_every_system = pytest.mark.parametrize("system", SYSTEMS, ids=str)
DOC = (Path(__file__).parents[2] / "docs" / "broker.md").read_text()


@pytest.fixture(scope="module", params=SYSTEMS, ids=str)
def rabbit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Debian's RabbitMQ 3.10, 4.0 or 4.3, or newer ones."""
    need(request.param, "rabbitmq-server", "rabbitmq-server")
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq"), request.param) as broker:
        yield broker


def waited_for_nothing(federation: Federation) -> None:
    """No round after the first, for which sites have to start, took as long as asking again; nobody was cut off."""
    shown = json.loads(fedfin("aggregator", "show", federation.folder / "agg", "--json").stdout)
    assert max(row["seconds"] for row in shown["rounds"][1:]) < limits.RETRY_S
    for name in ("agg", *federation.names):
        assert not [event for event in federation.events(name) if event["event"] == "offline"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["url", "web_url"])
def test_a_federation_over_rabbitmq_waits_for_nothing(rabbit: Broker, way: str, tmp_path: Path) -> None:
    """3.10 drops MQTT 5 without a word, and a wildcard gets nothing that is retained: chunks come all the same.

    A chunk that the broker does not bring is asked for after RETRY_S.
    """
    federation = Federation(tmp_path, getattr(rabbit, way))
    federation.run()
    waited_for_nothing(federation)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["url", "web_url"])
@on_every_system
def test_a_federation_over_ejabberd_waits_for_nothing(system: System, way: str, tmp_path: Path) -> None:
    """MQTT 5; it wants a name and a password of everybody."""
    need(system, "ejabberdctl", "ejabberd")
    (own := tmp_path / "broker").mkdir()
    with ejabberd(own, system) as broker:
        assert broker.login is not None
        options = ("--user", broker.login.user, "--password-file", broker.login.password_file)
        federation = Federation(tmp_path, getattr(broker, way), options=options)
        federation.run()
    waited_for_nothing(federation)


@pytest.mark.broker
@pytest.mark.slow
@on_every_system
def test_a_federation_over_mosquitto_with_its_own_defaults_waits_for_nothing(
    system: System, tmp_path: Path
) -> None:
    """As the first line of the docs starts it: since 2.1 it passes packets of 2,000,000 bytes at most."""
    need(system, "mosquitto", "mosquitto")
    port = free_port()
    command = system.inside([system.find("mosquitto", "mosquitto"), "-p", str(port)])
    with running(command, port, tmp_path / "mosquitto.log"):
        federation = Federation(tmp_path, f"mqtt://127.0.0.1:{port}")
        federation.run()
    waited_for_nothing(federation)


@pytest.mark.broker
@pytest.mark.slow
@on_every_system
def test_a_federation_over_a_bridge_from_a_dmz(system: System, tmp_path: Path) -> None:
    """Sites connect in the DMZ, the aggregator at the centre; what is retained there is retained here."""
    need(system, "mosquitto", "mosquitto")
    with bridge(tmp_path, "ward", system=system) as broker:
        federation = Federation(tmp_path, broker.url)
        for name in federation.names:
            settings = tmp_path / name / "site.toml"
            settings.write_text(settings.read_text().replace(broker.url, broker.site_url))
        federation.run()
    waited_for_nothing(federation)


def test_the_bridge_of_the_docs_is_the_one_that_was_tested() -> None:
    """Line by line."""
    assert LINES.format(address="broker.example:8883", federation="chest") in DOC
