"""The round benchmark runs, on updates of 50 KB."""

import json
import subprocess
import sys

import pytest
from federation import need_mosquitto


@pytest.mark.broker
def test_it_reports_every_figure_beside_the_floor() -> None:
    """Seconds, CPU and memory of a federation over TLS with one training round that counts, and of bare clients."""
    need_mosquitto()
    command = [sys.executable, "-m", "benchmarks.transport.round_time", "small-tls", "floor-small"]
    done = subprocess.run([*command, "--rounds", "1", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["small-tls"]["sites"] == told["floor-small"]["sites"] == 8
    assert told["small-tls"]["tls"]
    for figures in told.values():
        assert 0.03 < figures["update_mb"] < 0.06
        assert 0.0 < figures["seconds"] <= figures["slowest_s"] < 30.0
        assert set(figures["cpu_by"]) == {"aggregator", "broker", "sites"}
        assert figures["aggregator_mb"] > figures["broker_mb"] > 0.0
