"""Judging, folding and closing rounds."""

from pathlib import Path

import numpy as np
import pytest
from round_helpers import PLAN, RUN, judge, new_rounds, play, reopened, update

from fedfin import limits
from fedfin.codec import compress
from fedfin.model.model_spec import task_specs
from fedfin.protocol.payloads import encode_update
from fedfin.protocol.schedule import last_round
from fedfin_aggregator.summary import summary

MEAN = "norm.image.mean"
MOMENTS = task_specs(PLAN, "moments")
EMPTY = compress({}, MOMENTS, "exact").body
FACTS = {"site": "s0", "plan": PLAN.digest(), "run": RUN, "round_": 1, "base": 0, "metrics": {}}
REFUSED = {
    "another site": (update("s9", 1, 0), "names another site, plan, run, round or task"),
    "another plan": (update("s0", 1, 0, plan="f" * 64), "names another site, plan, run, round or task"),
    "another run": (update("s0", 1, 0, run="f" * 16), "names another site, plan, run, round or task"),
    "another round": (update("s0", 2, 0), "names another site, plan, run, round or task"),
    "another task": (update("s0", 1, 0, task="train"), "names another site, plan, run, round or task"),
    "another base": (update("s0", 1, 1), "starts from version 1, the round from 0"),
    "another task's tensors": (
        encode_update(b"\x01", {}, {"nose": (1,)}, task="moments", **FACTS),
        "has 1 weights for 4 tensors",
    ),
    "a weight without a value": (
        encode_update(EMPTY, {MEAN: 1}, MOMENTS, task="moments", **FACTS),
        "a value without a weight, or a weight without a value",
    ),
    "a value without a weight": (update("s0", 1, 0, weight=0), "a value without a weight"),
    "a body cut short": (
        encode_update(EMPTY[:-1], {}, MOMENTS, task="moments", **FACTS),
        "early",
    ),
    "not an update": (b"\x93\x01\x02\x03", "not a valid update"),
}


@pytest.mark.parametrize(("payload", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_refused_update_gets_its_reason_and_leaves_the_sums(
    payload: bytes, reason: str, tmp_path: Path
) -> None:
    """The receipt says why, durably; the round goes on as if it had not come, and takes a better one."""
    rounds = new_rounds(tmp_path)
    judge(rounds, "s1", update("s1", 1, 0))
    before = rounds._fold.sums[MEAN].total.copy()
    receipt = judge(rounds, "s0", payload)
    assert not receipt.accepted
    assert reason in receipt.reason
    assert (rounds._fold.sums[MEAN].total == before).all()
    assert rounds._fold.sums[MEAN].weight == 5
    assert reopened(rounds, tmp_path).receipts["s0"] == receipt


def test_a_refused_site_may_send_a_better_update(tmp_path: Path) -> None:
    """In the same round; the model then is as if the refused one had never come."""
    rounds, clean = new_rounds(tmp_path), new_rounds(_sub(tmp_path, "clean"))
    assert not judge(rounds, "s0", update("s0", 1, 7)).accepted
    play(rounds)
    play(clean)
    assert rounds.position.model == clean.position.model


def _sub(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def test_a_restart_in_the_middle_of_a_round_changes_nothing(tmp_path: Path) -> None:
    """After every single update: same position, same receipts, same model bytes to the end."""
    calm, shaken = new_rounds(_sub(tmp_path, "calm")), new_rounds(_sub(tmp_path, "shaken"))
    for round_ in range(1, last_round(PLAN) + 1):
        play(calm)
        for site in ("s2", "s0", "s1"):  # another order, too
            at = shaken.position
            judge(shaken, site, update(site, round_, at.version))
            receipts = shaken.receipts
            shaken = reopened(shaken, tmp_path / "shaken")
            assert (shaken.position, shaken.receipts) == (at, receipts)
        shaken.close(round_)
        shaken = reopened(shaken, tmp_path / "shaken")
        assert shaken.position == calm.position
    assert shaken.position.finished
    assert shaken.model_file(shaken.position.version) == calm.model_file(calm.position.version)
    assert shaken.journal.rounds()[-1].results == calm.journal.rounds()[-1].results


def test_receipts_of_closed_rounds_can_still_be_given(tmp_path: Path) -> None:
    """Each site's newest, also after a restart."""
    rounds = new_rounds(tmp_path)
    play(rounds)
    play(rounds, ("s0",))
    rounds = reopened(rounds, tmp_path)
    assert rounds.receipts == {}
    newest = {row.site: row.id for number in (1, 2) for row in rounds.journal.updates.counted(number)}
    assert {site: receipt.id for site, receipt in rounds.earlier_receipts.items()} == newest
    assert len(newest) == 3


def test_a_negative_histogram_cannot_end_the_aggregator(tmp_path: Path) -> None:
    """It is refused when it comes, not met when the round closes."""
    rounds = new_rounds(tmp_path)
    for _ in range(3):
        play(rounds)
    shape = task_specs(PLAN, "evaluate")["eval.all"]
    hostile = update("s0", 4, rounds.position.version, tensors={"eval.all": -np.ones(shape, np.float32)})
    receipt = judge(rounds, "s0", hostile)
    assert (receipt.accepted, receipt.reason) == (False, "tensor eval.all holds a negative share")
    play(rounds)
    assert rounds.position.finished


def test_the_largest_deltas_do_not_make_a_model_that_none_can_read(tmp_path: Path) -> None:
    """Two rounds of the greatest value that a delta may have."""
    rounds = new_rounds(tmp_path)
    play(rounds)
    for round_ in (2, 3):
        shapes = task_specs(PLAN, "train")
        deltas = {name: np.full(shape, limits.VALUE_ABS, np.float32) for name, shape in shapes.items()}
        assert judge(rounds, "s0", update("s0", round_, rounds.position.version, tensors=deltas)).accepted
        rounds.close(round_)
    assert reopened(rounds, tmp_path).model_file(3)


def test_no_metric_of_a_site_can_pose_as_a_fact(tmp_path: Path) -> None:
    """A metric named like a column changes nothing in what `show` says."""
    rounds = new_rounds(tmp_path)
    false = {"round": 99.0, "closed": 0.0, "seconds": 77.0, "task": 1.0, "loss": 0.5}
    assert judge(rounds, "s0", update("s0", 1, 0, metrics=false)).accepted
    rounds.close(1)
    row = summary(rounds.journal)["rounds"][0]
    assert (row["round"], row["task"], row["closed"], row["sites"]) == (1, "moments", True, 1.0)
    assert row["loss"] == 0.5


@pytest.mark.parametrize("round_", [1, 2, 4])
def test_no_honest_update_exceeds_the_size_limit(round_: int, tmp_path: Path) -> None:
    """With the longest metric names there can be."""
    metrics = {f"{number:0128}": 1.0 for number in range(limits.METRICS)}
    payload = update("s" * 64, round_, 0, metrics=metrics, weight=limits.SITE_WEIGHT)
    assert len(payload) <= new_rounds(tmp_path).max_update_bytes < 10 * len(payload)


def test_a_site_claims_no_more_cases_than_the_charter_grants(tmp_path: Path) -> None:
    """Its update is refused, with both numbers; others have caps of their own."""
    rounds = new_rounds(tmp_path)
    rounds.case_caps = {"s0": 4, "s1": 5}
    refused, accepted = (judge(rounds, site, update(site, 1, 0)) for site in ("s0", "s1"))
    assert "claims 5 cases; the charter grants this site 4" in refused.reason
    assert accepted.accepted


def test_a_later_charter_that_grants_fewer_cases_stops_no_round(tmp_path: Path) -> None:
    """What has its receipt counts, also where the round's updates are read once more."""
    rounds = new_rounds(tmp_path)
    for site in ("s0", "s1"):
        assert judge(rounds, site, update(site, 1, 0)).accepted
    rounds.case_caps = {"s0": 4}
    rounds.journal.outliers.decide("s1", "left out")
    rounds.close(1)
    assert rounds.journal.results(1)["sites"] == 1
    assert rounds.position.round == 2
