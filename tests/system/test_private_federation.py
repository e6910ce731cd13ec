"""Federations with noise in their sums, over a real mosquitto: one exchange, and a ledger at both ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from federation import Federation, broker, fedfin, start

from fedfin.model.initial_model import initial_model
from fedfin.model.model_file import read_model
from fedfin.plan_sections import Model, Privacy, Rounds, Training
from fedfin.privacy.budget import budget_of
from fedfin.privacy.ledger import LEDGER, Ledger
from fedfin.privacy.release import Release

PRIVATE = {
    "keys": True,
    "rounds": Rounds(sites=3, min_sites=3, deadline_s=60.0),
    "model": Model(answer="experts", basis_total=0),
    "privacy": Privacy(level="private", epsilon=8.0, delta=1e-5),
    "deviation": 1.5,
}


def test_a_private_federation_is_one_exchange_and_its_evaluation(tmp_path: Path) -> None:
    """Two secure sums; the same line for each in the ledgers of both ends; nothing of how many cases anybody has."""
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(tmp_path, url, **PRIVATE)
        federation.run()
    closed = [event for event in federation.events("agg") if event["event"] == "closed"]
    assert [event["sites"] for event in closed] == [3.0, 3.0]
    assert not any("cases" in event for event in closed), "the sites' metric would be an exact count"
    assert read_model(tmp_path / "agg" / "final.fedfin").tensors["expert.image.image.weight"].any()
    budget = budget_of(federation.plan)
    for name in ("agg", *federation.names):
        ledger = Ledger(tmp_path / name / LEDGER, budget)
        assert [release.task for release in ledger.releases] == ["second_moments", "evaluate"]
        assert 0.99 * budget.rho < ledger.spent("s1" if name == "agg" else name) <= budget.rho
        spent = [event["epsilon"] for event in federation.events(name) if event["event"] == "released"]
        assert spent == [pytest.approx(8.0, abs=0.05)] * 2
    _check_commands(tmp_path)


def test_a_head_trains_and_is_calibrated_within_the_same_budget(tmp_path: Path) -> None:
    """Every round is in the ledgers of both ends; the sites' losses and cases are told to nobody."""
    training = {
        "rounds": Rounds(count=2, sites=3, min_sites=3, deadline_s=60.0),
        "model": Model(answer="both", basis_total=0, head_width=0),
        "training": Training(learning_rate=1.0),
        "privacy": Privacy(level="private", epsilon=8.0, delta=1e-5, patients=60),
    }
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(tmp_path, url, **(PRIVATE | training))
        federation.run()
    closed = [event for event in federation.events("agg") if event["event"] == "closed"]
    assert [event["sites"] for event in closed] == [3.0] * 5
    assert not any({"cases", "label_loss", "fin_loss"} & event.keys() for event in closed)
    tensors = read_model(tmp_path / "agg" / "final.fedfin").tensors
    first = initial_model(federation.plan)
    for name in ("head.real.image.weight", "calibration.intercept"):  # a slope may be 0, by noise
        assert (tensors[name] != first[name]).any()
    budget = budget_of(federation.plan)
    for name in ("agg", *federation.names):
        ledger = Ledger(tmp_path / name / LEDGER, budget)
        tasks = [release.task for release in ledger.releases]
        assert tasks == ["second_moments", "train", "train", "calibrate", "evaluate"]
        assert 0.99 * budget.rho < ledger.spent("s1" if name == "agg" else name) <= budget.rho


def _check_commands(folder: Path) -> None:
    """People can read the ledgers, and what a site gave."""
    for end, name in (("aggregator", "agg"), ("edge", "s0")):
        lines = fedfin(end, "audit", folder / name, "--privacy", "--json").stdout.splitlines()
        assert [json.loads(line)["facts"]["task"] for line in lines] == ["second_moments", "evaluate"]
    shown = fedfin("edge", "explain-update", folder / "s0").stdout
    assert "each patient clipped, under noise" in " ".join(shown.split())
    assert "warning" not in shown


@contextmanager
def _running(federation: Federation) -> Iterator[dict[str, Popen]]:
    """The aggregator and the sites, until the test has seen enough."""
    folder, serve = federation.folder, ("aggregator", "serve", federation.folder / "agg", "--broker")
    processes = {"agg": start(*serve, federation.broker_url, "--json", log=folder / "agg.log")}
    for name in federation.names:
        processes[name] = start("edge", "run", folder / name, "--json", log=folder / f"{name}.log")
    try:
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def test_a_site_whose_patients_were_told_of_before_gives_nothing(tmp_path: Path) -> None:
    """In another run, of another plan, and be it a hundredth of the budget: exit code 9, and no update leaves."""
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(tmp_path, url, **PRIVATE)
        budget = budget_of(federation.plan)
        before = Release(
            "a" * 64, "0" * 16, 1, "second_moments", "d" * 64, "7" * 64, budget.rho / 100, ("s0",)
        )
        Ledger(tmp_path / "s0" / LEDGER, budget).record(before)
        with _running(federation) as processes:
            assert processes["s0"].wait(60) == 9
    log = (tmp_path / "s0.log").read_text()
    assert "s0 would have told epsilon 8.0" in log
    assert not {"sending", "released"} & {event["event"] for event in federation.events("s0")}
    assert Ledger(tmp_path / "s0" / LEDGER, budget).releases == [before]


def test_an_aggregator_opens_no_sum_of_sites_that_were_told_of_before(tmp_path: Path) -> None:
    """A site that lost its own ledger, or joined again under its name, is in the aggregator's."""
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(tmp_path, url, **PRIVATE)
        budget = budget_of(federation.plan)
        before = Release("a" * 64, "0" * 16, 1, "second_moments", "", "7" * 64, budget.rho, ("s1",))
        Ledger(tmp_path / "agg" / LEDGER, budget).record(before)
        with _running(federation) as processes:
            assert processes["agg"].wait(60) == 9
    assert "s1 would have told epsilon" in (tmp_path / "agg.log").read_text()
    assert "sum" not in {event["event"] for event in federation.events("agg")}
