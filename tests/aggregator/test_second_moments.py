"""Second moments in the rounds: each site's count once, whenever they come and whatever stops; nonsense does not."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace
from round_helpers import RUN, judge
from second_moment_rounds import (
    COMPLETE,
    CROSS,
    GIVEN,
    PLAN,
    SITES,
    answer,
    collecting,
    files,
    given,
    new_shard,
    reopened,
    solved,
    started,
    tensors,
    trained,
)

from fedfin.errors import StateError
from fedfin.protocol.schedule import task_of
from fedfin.protocol.shards.shard import Shard
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.update_checks import DROPPED
from fedfin_aggregator.store.journal import Journal


def test_a_late_site_gives_in_place_of_training_and_all_is_solved_anew(tmp_path: Path) -> None:
    """To the bit what comes out when it had been there from the start; the others' training counts all the same."""
    early, late = collecting(tmp_path / "a"), collecting(tmp_path / "b", ["s0", "s1", "s3", "s4", "s5"])
    early.close(2)
    late.close(2)
    assert solved(early) != solved(late)
    before = tensors(late)
    trained(late, gives=["s2"])
    assert solved(early) == solved(late)
    trained(early, [site for site in SITES if site != "s2"])
    assert early.model_file(3) == late.model_file(3)
    assert not np.array_equal(tensors(late)["head.output.bias"], before["head.output.bias"])


def test_a_site_that_gives_twice_counts_once(tmp_path: Path) -> None:
    """It has lost its state. Its update is accepted, so that it goes on; nothing is solved or kept again."""
    rounds = collecting(tmp_path)
    rounds.close(2)
    before = solved(rounds)
    trained(rounds, ["s0"], gives=["s0"])
    assert solved(rounds) == before
    assert files(tmp_path) == ["second-moments-2"]


def test_what_came_late_for_a_closed_round_counts_where_late_updates_do(tmp_path: Path) -> None:
    """In full: else a slow site of an asynchronous federation might give for ever. Of two the first counts, always."""
    plan = replace(PLAN, rounds=replace(PLAN.rounds, late="fold", staleness_limit=2))
    rounds, models = started(tmp_path, plan=plan), []
    for round_ in (1, 2, 3):
        rounds.close(round_)
    others = GIVEN["s3"]
    for payload, round_ in ((given("s0", 4, 3, plan=plan), 4), (given("s0", 3, 2, *others, plan=plan), 3)):
        assert rounds.judge(round_, "s0", hashlib.sha256(payload).digest(), payload).accepted
    assert not judge(rounds, "s0", given("s0", 2, 1, plan=plan)).accepted
    for _ in range(2):
        models.append({name: sum_.total.tobytes() for name, sum_ in rounds._fold.sums.items()})
        rounds = reopened(rounds)
    assert models[0] == models[1]
    assert rounds._fold.sums[next(n for n in rounds._fold.sums if n.endswith(CROSS))].weight == 40


def test_the_model_is_the_same_with_shards(tmp_path: Path) -> None:
    """Bit for bit: one aggregator, or two shards and a root; with a late site, too."""
    whole = collecting(tmp_path / "whole", ["s0", "s1", "s3", "s4", "s5"])
    whole.close(2)
    trained(whole, gives=["s2"])
    root = started(tmp_path / "root", RootRounds)
    shards = [new_shard(tmp_path / f"{i}", Shard(i, 2)) for i in range(2)]
    for round_, sites in ((1, []), (2, ["s0", "s1", "s3", "s4", "s5"]), (3, SITES)):
        for shard in shards:
            at = SimpleNamespace(run=RUN, round=round_, task=task_of(PLAN, round_), version=round_ - 1)
            shard.open(at)
            for site in filter(shard.shard.serves, sites):
                answer(shard, site, gives=site == "s2")
            assert judge(root, shard.shard.name, shard.sum_up(round_)).accepted
        root.close(round_)
    assert root.model_file(3) == whole.model_file(3)


@pytest.mark.parametrize("late", [False, True])
def test_a_crash_before_the_round_is_closed_changes_nothing(late, tmp_path: Path, monkeypatch) -> None:
    """The file of the sums is there, the journal's commit is not: the round is closed again, with the same bytes."""
    calm, shaken = (
        collecting(tmp_path / name, ["s0", "s1", "s3", "s4", "s5"]) for name in ("calm", "shaken")
    )
    if late:
        for rounds in (calm, shaken):
            rounds.close(2)
            answer(rounds, "s2", gives=True)
    round_ = calm.position.round
    calm.close(round_)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "close_round", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shaken.close(round_)
    (tmp_path / "shaken" / ".second-moments-2.torn").write_bytes(b"half")
    again = reopened(shaken)
    assert again.position.round == round_
    again.close(round_)
    assert again.model_file(round_) == calm.model_file(round_)
    assert files(tmp_path / "shaken") == files(tmp_path / "calm") == [f"second-moments-{round_}"]


def test_a_restart_between_two_sites_changes_nothing(tmp_path: Path) -> None:
    """What was given is folded again from the journal, in the open round of either kind."""
    calm, shaken = collecting(tmp_path / "calm", []), collecting(tmp_path / "shaken", [])
    for round_, sites in ((2, ["s0", "s1"]), (3, ["s2", "s3"])):
        for site in sites:
            for rounds in (calm, shaken):
                answer(rounds, site, gives=True)
            shaken = reopened(shaken)
        calm.close(round_)
        shaken.close(round_)
    assert calm.model_file(3) == shaken.model_file(3)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_damaged_sums_are_found_out(damage, tmp_path: Path) -> None:
    """When the next site gives its own; the message says what to do."""
    rounds = collecting(tmp_path, ["s0", "s1"])
    rounds.close(2)
    path = tmp_path / "second-moments-2"
    data = path.read_bytes()
    flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    path.write_bytes({"cut": data[:-1], "flip": flipped, "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        path.unlink()
    answer(rounds, "s2", gives=True)
    with pytest.raises(StateError, match="restore it with the journal from a backup"):
        rounds.close(3)


def test_second_moments_are_not_evaluated(tmp_path: Path) -> None:
    """In the last round a site that comes late has nothing to give."""
    rounds = collecting(tmp_path, ["s0"])
    rounds.close(2)
    for _ in range(PLAN.rounds.count):
        trained(rounds, ["s0"])
    rounds.close(6)  # calibration
    at = rounds.position
    assert at.round == 7
    refused = judge(rounds, "s1", given("s1", at.round, at.version))
    assert "names another site, plan, run, round or task" in refused.reason
    rounds.close(at.round)
    assert rounds.position.finished


def _changed(name, change):
    values = dict(GIVEN["s0"][0])
    values[name] = values[name].copy()
    change(values[name])
    return values, GIVEN["s0"][1]


def _put(place, value):
    def change(array):
        array[place] = value

    return change


HOSTILE = {
    "huge products": (_changed(CROSS, _put((2, 2), 40.0)), "a variance is negative"),
    "more covariance than variance": (_changed(COMPLETE, _put(8, 9.0)), "a variance is negative"),
    "no constant": (_changed(COMPLETE, _put(0, 0.5)), "no clipped features have"),
    "zeros": (_changed(COMPLETE, _put(slice(None), 0.0)), "no clipped features have"),
    "a negative square": (_changed(COMPLETE, _put(7, -1.0)), "no clipped features have"),
    "a square beyond the clip": (_changed(COMPLETE, _put(7, 37.0)), "no clipped features have"),
    "more positives than known": (_changed("labels.complete.text", _put((0, 1, 0), 1.5)), "shares of labels"),
    "negative labels": (_changed("labels.complete.text", _put((0, 1, 0), -0.5)), "shares of labels"),
    "labels that are everywhere": (_changed("labels.complete.text", _put((0, 1, 2), 5.0)), "do not allow"),
    "other cases' labels": (
        (GIVEN["s0"][0], GIVEN["s0"][1] | {"labels.complete.text": 7}),
        "counts other cases",
    ),
    "more pairs than cases": ((GIVEN["s0"][0], GIVEN["s0"][1] | {CROSS: 900}), "counts more cases, or fewer"),
    "pairs of nobody": (
        ({CROSS: GIVEN["s0"][0][CROSS]}, {CROSS: 40}),
        "counts more cases, or fewer",
    ),
}


@pytest.mark.parametrize(("sent", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_what_no_cases_can_give_is_refused(sent, reason, tmp_path: Path) -> None:
    """With the reason; the round closes as if it had not come."""
    rounds = collecting(tmp_path / "a", ["s1", "s2"])
    receipt = judge(rounds, "s0", given("s0", 2, 1, *sent))
    assert (receipt.accepted, reason in receipt.reason) == (False, True), receipt.reason
    rounds.close(2)
    clean = collecting(tmp_path / "b", ["s1", "s2"])
    clean.close(2)
    assert rounds.model_file(2) == clean.model_file(2)


def test_a_root_refuses_such_a_sum_too(tmp_path: Path) -> None:
    """Its shard has been tampered with."""
    shard = new_shard(tmp_path / "0", Shard(0, 1))
    shard.open(SimpleNamespace(run=RUN, round=2, task="second_moments", version=1))
    answer(shard, "s0")
    shard._fold.sums[next(name for name in shard._fold.sums if name.endswith(COMPLETE))].total[7] *= -1
    root = started(tmp_path / "root", RootRounds)
    root.close(1)
    assert "no clipped features have" in judge(root, "shard/0", shard.sum_up(2)).reason


def test_second_moments_of_too_many_cases_are_dropped_and_it_is_said(tmp_path: Path, monkeypatch) -> None:
    """Those that were there before stay in the model; the round's results name what happened."""
    rounds = collecting(tmp_path, ["s0", "s1"])
    rounds.close(2)
    before = solved(rounds)
    monkeypatch.setattr("fedfin_aggregator.rounds.pooled_second_moments.MOST_CASES", 41)
    trained(rounds, ["s0", "s2"], gives=["s2"])
    results = [row.results.get(DROPPED) for row in rounds.journal.rounds()[:3]]
    assert results == [None, None, 1.0]
    assert files(tmp_path) == ["second-moments-3"]
    assert solved(rounds) == before
