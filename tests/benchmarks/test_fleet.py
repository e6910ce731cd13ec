"""The fleet simulator: protocol-true sites against a real broker and aggregator."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from federation import need_mosquitto

from benchmarks.transport.fleet import allow_connections
from benchmarks.transport.fleet_plan import draw, make_plan
from fedfin.codec import compress
from fedfin.errors import FedfinError
from fedfin.model.model_spec import task_specs
from fedfin.protocol.schedule import task_of


@pytest.mark.broker
@pytest.mark.parametrize("options", [["--tls"], ["--shards", "2"]], ids=["tls", "shards"])
def test_a_small_fleet_is_folded_whole(options: list[str]) -> None:
    """Every update counted in every round, and the model that folding the same updates in memory gives."""
    need_mosquitto()
    command = [sys.executable, "-m", "benchmarks.transport.fleet", "--json", "--rounds", "1"]
    sizes = ["--sites", "6", "--update-kb", "4", "--processes", "2"]
    done = subprocess.run(
        [*command, *sizes, *options],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert [each["folded"] for each in result["rounds"]] == [6, 6, 6]
    assert result["same_model"]
    assert result["costs"]["aggregator"]["peak_mb"] > 10
    for name in ("aggregator", "fleet"):
        assert 0 < sum(each["cpu_s"][name] for each in result["rounds"]) < 60


@pytest.mark.parametrize("update_kb", [1, 100, 5000])
def test_an_update_has_the_size_that_was_asked_for(update_kb: int) -> None:
    """Within five percent, also where it needs more labels."""
    plan = make_plan(sites=3, update_kb=update_kb, rounds=1)
    shapes = task_specs(plan, task_of(plan, 2))
    body = compress(draw(plan, "train", 2, 0).values, shapes, "exact").body
    assert abs(len(body) / (1000 * update_kb) - 1) < 0.05


def test_a_site_sends_the_same_again_and_another_site_something_else() -> None:
    """So the expected model can be computed anywhere."""
    plan = make_plan(sites=3, update_kb=1, rounds=1)
    one, again, other = (draw(plan, "train", 2, number).values for number in (0, 0, 1))
    assert all((one[name] == again[name]).all() and (one[name] != other[name]).any() for name in one)


def test_more_sites_than_the_system_has_files_are_refused_by_name() -> None:
    """Before anything is started."""
    with pytest.raises(FedfinError, match="ulimit"):
        allow_connections(2**40)
