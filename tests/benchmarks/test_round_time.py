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
        assert 0.5 < figures["up_mb"] / figures["update_mb"] < 2.0


@pytest.mark.broker
def test_secure_sums_move_at_most_twice_the_bytes() -> None:
    """Of ten sites: eight bytes for a value up in place of four, the model down as ever, and the sum's messages."""
    need_mosquitto()
    command = [sys.executable, "-m", "benchmarks.transport.round_time", "ten-small-keys", "ten-small-secure"]
    done = subprocess.run([*command, "--rounds", "1", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    plain, secure = (figures["up_mb"] + figures["down_mb"] for figures in json.loads(done.stdout).values())
    assert plain < secure <= 2 * plain


@pytest.mark.broker
def test_sites_that_train_take_longer_than_those_whose_updates_are_ready() -> None:
    """They do what a hospital's would."""
    need_mosquitto()
    command = [
        sys.executable,
        "-m",
        "benchmarks.transport.round_time",
        "ten-small-steps",
        "ten-training-steps",
    ]
    done = subprocess.run([*command, "--rounds", "1", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ready, trained = (figures["cpu_by"]["sites"] for figures in json.loads(done.stdout).values())
    assert trained > 2 * ready
