"""A root, two shards and a fleet of sites over a RabbitMQ cluster of three nodes, one of which is killed."""

import contextlib
import itertools
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from federation import need
from test_shard_processes import SHARDED, Running, _check

from benchmarks.transport.balancer import balancer
from benchmarks.transport.broker import Broker
from benchmarks.transport.rabbitmq import rabbitmq_cluster
from benchmarks.transport.system import HERE, SYSTEMS, System
from fedfin_aggregator.store.journal import Journal

SECONDS = 300.0
NODES = {"root": 0, "shard-0": 1, "shard-1": 2, "sites": 1}  # who connects where, as long as that node lives
pytestmark = pytest.mark.slow


def address(broker: Broker) -> tuple[str, int]:
    """Host and port."""
    return "127.0.0.1", broker.port


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_a_node_that_is_killed_in_mid_round_costs_no_update(system: System, tmp_path: Path) -> None:
    """Shard 0 and the sites lose their broker, and go on at another node: each site counts once in every round."""
    need(system, "rabbitmq-server", "rabbitmq-server")
    (brokers := tmp_path / "brokers").mkdir()
    (work := tmp_path / "work").mkdir()
    with ExitStack() as stack:
        cluster = stack.enter_context(rabbitmq_cluster(brokers, 3, system))
        nodes = cluster.nodes
        urls = {}
        for name, first in NODES.items():
            others = [address(nodes[(first + step) % len(nodes)]) for step in range(len(nodes))]
            urls[name] = f"mqtt://127.0.0.1:{stack.enter_context(balancer(others))}"
        running = Running(work, "", SHARDED, urls)
        stack.callback(running.stop)
        running.wait_for("shard-0", "update", seconds=SECONDS, round=4, accepted=True)
        os.killpg(nodes[NODES["shard-0"]].pid, signal.SIGKILL)
        running.wait_for("shard-0", "offline", seconds=SECONDS)
        if system is HERE:  # before 4.0 the lost node holds the subscriptions of whoever was there
            cluster.forget(NODES["shard-0"])
        running.finish(SECONDS)
    _check(work, (work / "root" / "final.fedfin").read_bytes())
    with contextlib.closing(Journal(work / "root" / "journal.sqlite")) as journal:
        opened = [row.opened for row in journal.rounds()]
    print("seconds a round:", *(f"{after - before:.1f}" for before, after in itertools.pairwise(opened)))
