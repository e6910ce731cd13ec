"""Updates for rounds that have closed: what they count, and that they count once, whatever happens."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from round_helpers import PLAN, play, update

from fedfin.model.model_spec import task_specs
from fedfin.plan_sections import Rounds as RoundsPlan
from fedfin.protocol import staleness
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.payloads import Update, decode_payload, open_update
from fedfin.protocol.rounds.reception import TWICE
from fedfin_aggregator.rounds.rounds import LEFT_OUT_SITE, Rounds
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import summary

RULES = RoundsPlan(count=4, sites=3, min_sites=1, deadline_s=60.0, late="fold", staleness_limit=2)
FOLD = msgspec.structs.replace(PLAN, rounds=RULES)


def _in_round(folder: Path, number: int) -> Rounds:
    """Rounds of the plan that folds late updates, in which s0 and s1 have answered so far."""
    rounds = Rounds(Journal(folder / "journal.sqlite", create=FOLD))
    while rounds.position.round < number:
        play(rounds, ("s0", "s1"), plan=FOLD)
    return rounds


def _late(rounds: Rounds, round_: int, site: str = "s2", **changes) -> Receipt:
    payload = update(site, round_, round_ - 1, plan_=FOLD, **changes)
    return rounds.judge(round_, site, hashlib.sha256(payload).digest(), payload)


def _values(round_: int, site: str = "s2"):
    update_ = decode_payload(update(site, round_, round_ - 1, plan_=FOLD), Update)
    return open_update(update_, task_specs(FOLD, "train"))[0]


def test_a_late_update_counts_its_share_in_the_round_that_is_open(tmp_path: Path) -> None:
    """Its values times the share; its weight in full."""
    rounds = _in_round(tmp_path, 4)
    assert _late(rounds, 3).accepted
    (tmp_path / "other").mkdir()
    whole = _in_round(tmp_path / "other", 4)
    assert _late(whole, 4).accepted
    assert {n: s.weight for n, s in rounds._fold.sums.items()} == dict.fromkeys(whole._fold.sums, 5)
    assert (rounds.late, whole.late) == (1, 0)
    share = staleness.share(1, 0.5) / staleness.FULL
    for name, values in _values(3).items():
        assert np.allclose(rounds._fold.means()[name], share * values, rtol=1e-6)


def test_it_is_folded_again_after_a_restart(tmp_path: Path) -> None:
    """With the same share, and counted as late again."""
    rounds = _in_round(tmp_path, 4)
    _late(rounds, 3)
    before = {name: sum_.total.copy() for name, sum_ in rounds._fold.sums.items()}
    rounds.journal.close()
    again = Rounds(Journal(tmp_path / "journal.sqlite"))
    assert again.late == 1
    assert all((again._fold.sums[name].total == total).all() for name, total in before.items())
    again.close(4)
    assert summary(again.journal)["rounds"][3]["late"] == 1.0


def test_an_update_counts_once_in_whatever_round(tmp_path: Path) -> None:
    """A site that lost its memory offers another one for a round that it has answered: its receipt stays."""
    rounds = _in_round(tmp_path, 3)
    first = _late(rounds, 2)
    rounds.close(3)
    again = _late(rounds, 2, weight=9)
    assert (again.accepted, again.reason) == (False, "this round already has an update of yours")
    assert rounds.journal.updates.receipt(2, "s2") == first
    assert rounds.late == 0


def test_a_second_update_of_a_site_that_is_left_out_replaces_nothing(tmp_path: Path) -> None:
    """What it gave before in the same round is on disk until the round closes; the site may be included again."""
    rounds = _in_round(tmp_path, 3)
    first = _late(rounds, 2)
    rounds.journal.outliers.decide("s2", "left out")
    assert _late(rounds, 2, weight=9).reason == TWICE
    assert rounds.journal.updates.receipt(2, "s2") == first
    assert "s2" in {site for _, site, _ in rounds.journal.updates.payloads(3)}
    assert _late(rounds, 3).reason.startswith(LEFT_OUT_SITE)


@pytest.mark.parametrize("round_", [1, 2])
def test_too_late_is_refused_with_the_reason(tmp_path: Path, round_: int) -> None:
    """Moments, and what is staler than the plan allows; durably, as every refusal."""
    rounds = _in_round(tmp_path, 5)
    receipt = _late(rounds, round_)
    assert receipt.reason == f"late: round {round_} has closed"
    assert rounds.journal.updates.receipt(round_, "s2") == receipt


def test_a_late_update_must_start_from_its_own_rounds_version(tmp_path: Path) -> None:
    """Not from the one that is open."""
    rounds = _in_round(tmp_path, 4)
    payload = update("s2", 3, 3, plan_=FOLD)
    receipt = rounds.judge(3, "s2", hashlib.sha256(payload).digest(), payload)
    assert receipt.reason == "the update starts from version 3, the round from 2"


def test_the_roster_is_kept_with_the_close(tmp_path: Path) -> None:
    """And stays as it is when a close does not bring another."""
    rounds = _in_round(tmp_path, 2)
    assert rounds.roster == {}
    rounds.close(2, {"s0": False, "s2": True})
    assert rounds.roster == {"s0": False, "s2": True}
    assert summary(rounds.journal)["silent"] == ["s2"]
    rounds.close(3)
    assert rounds.roster == {"s0": False, "s2": True}
