"""The round policy with real processes over a real broker."""

import json
from pathlib import Path

import pytest
from federation import Federation, broker, fedfin

from fedfin.plan_sections import Codec, Rounds


def _finish(folder: Path, federation: Federation, names: list[str]) -> dict:
    """Run the aggregator and these sites to the end; what it came to. They all hold the same model."""
    federation.names = names
    federation.run()
    final = (folder / "agg" / "final.fedfin").read_bytes()
    assert all((folder / name / "state" / "final.fedfin").read_bytes() == final for name in names)
    return json.loads(fedfin("aggregator", "show", folder / "agg", "--json").stdout)


@pytest.mark.broker
def test_a_site_that_never_comes_costs_one_deadline(tmp_path: Path) -> None:
    """The first round waits for it until its deadline; the others close without it."""
    rules = Rounds(count=3, sites=3, min_sites=2, deadline_s=8.0)
    with broker("mosquitto", tmp_path) as url:
        shown = _finish(tmp_path, Federation(tmp_path, url, rounds=rules), ["s0", "s1"])
    assert [row["sites"] for row in shown["rounds"]] == [2.0] * 5
    assert shown["rounds"][0]["seconds"] >= 8.0
    assert all(row["seconds"] < 8.0 for row in shown["rounds"][1:])


@pytest.mark.broker
def test_an_asynchronous_federation_ends_with_one_model_everywhere(tmp_path: Path) -> None:
    """Versions of two updates each, compressed both ways."""
    rules = Rounds(count=8, sites=3, min_sites=2, mode="async", buffer=2, deadline_s=60.0)
    codec = Codec(up="small", down="small")
    with broker("mosquitto", tmp_path) as url:
        shown = _finish(tmp_path, Federation(tmp_path, url, rounds=rules, codec=codec), ["s0", "s1", "s2"])
    assert all(row["sites"] >= 2.0 for row in shown["rounds"])
    assert len(shown["rounds"]) == 10
