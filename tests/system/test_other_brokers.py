"""Federations over brokers that are no single mosquitto (docs/broker.md)."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from federation import Federation, fedfin, need, start

from benchmarks.transport.bridge import LINES, bridge
from benchmarks.transport.broker import Broker, running
from benchmarks.transport.ejabberd import ejabberd
from benchmarks.transport.rabbitmq import rabbitmq, rabbitmq_cluster
from benchmarks.transport.system import SYSTEMS, System
from fedfin import limits
from fedfin.demo.processes import free_port

on_every_system = pytest.mark.parametrize("system", SYSTEMS, ids=str)
TOLD_S = 2 * limits.KEEPALIVE_S + 5.0  # a question is due after one, and its answer after another
GOES_ON_S = 90.0  # the longest wait between two attempts to connect, and the rounds
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
@on_every_system
def test_while_a_broker_is_out_of_memory_people_read_of_it_and_then_all_goes_on(
    system: System, tmp_path: Path
) -> None:
    """RabbitMQ's alarm: it reads nothing from anybody, and refuses nobody."""
    need(system, "rabbitmq-server", "rabbitmq-server")
    (own := tmp_path / "rabbitmq").mkdir()
    with rabbitmq_cluster(own, 1, system) as cluster:
        federation = Federation(tmp_path, cluster.nodes[0].url)
        early, late = ("agg", "s0", "s1"), "s2"
        serve = ("aggregator", "serve", tmp_path / "agg", "--broker", federation.broker_url)
        running = [start(*serve, "--no-keys", "--json", log=tmp_path / "agg.log")]
        running += [run_site(tmp_path, name) for name in early[1:]]
        try:
            in_time(60.0, lambda: counted(federation) == {"s0", "s1"})
            cluster.memory_alarm(0, on=True)
            in_time(TOLD_S, lambda: have_read(federation, early, "it did not answer for"))
            in_time(
                TOLD_S, lambda: have_read(federation, early, "before it answered, and has let us in earlier")
            )
            cluster.memory_alarm(0, on=False)
            running.append(run_site(tmp_path, late))
            assert [process.wait(GOES_ON_S) for process in running] == [0] * 4
        finally:
            for process in running:
                process.kill()


def run_site(folder: Path, name: str) -> subprocess.Popen:
    """`fedfin edge run`."""
    return start("edge", "run", folder / name, "--no-keys", "--json", log=folder / f"{name}.log")


def counted(federation: Federation) -> set[str]:
    """The sites whose updates were accepted."""
    return {event["site"] for event in federation.events("agg") if event["event"] == "update"}


def have_read(federation: Federation, names: tuple[str, ...], words: str) -> bool:
    """Whether each heard them as the reason why a connection ended, with what may be behind it."""
    heard = [
        [event["reason"] for event in federation.events(name) if event["event"] == "offline"]
        for name in names
    ]
    return all(any(words in why and "out of memory or disk" in why for why in reasons) for reasons in heard)


def in_time(seconds: float, holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.2)


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
