"""The aggregator ends training when it stops improving, and goes back to the best version."""

import io
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console
from round_helpers import METRICS, PLAN, judge, reopened, update

from fedfin.plan_sections import Rounds as RoundsPlan
from fedfin.protocol.convergence import ANSWERS, LOSSES
from fedfin.protocol.schedule import after_training
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.update_checks import BEST, ROLLED_BACK
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import _notes, print_summary, summary

PATIENT = replace(PLAN, rounds=RoundsPlan(count=9, patience=2, sites=1))
FALLS_THEN_RISES = (0.5, 0.3, 0.4, 0.6)  # of versions 1 to 4


def _play(rounds: Rounds, loss: float) -> None:
    """A round of one site, which says this of the version it starts from."""
    at = rounds.position
    told = {ANSWERS: 10.0} | dict.fromkeys(LOSSES.values(), 10.0 * loss)
    metrics = METRICS["train"] | told if at.round > 1 else METRICS["moments"]
    sent = update("s0", at.round, at.version, plan_=rounds.plan, metrics=metrics)
    assert judge(rounds, "s0", sent).accepted
    rounds.close(at.round)


def _trained(folder: Path, *, restart: bool) -> Rounds:
    rounds = Rounds(Journal(folder / "journal.sqlite", create=PATIENT))
    for loss in (0.0, *FALLS_THEN_RISES):
        _play(rounds, loss)
        rounds = reopened(rounds, folder) if restart else rounds
    return rounds


def test_training_ends_early_and_the_best_version_is_the_final_one(tmp_path: Path) -> None:
    rounds = _trained(tmp_path, restart=False)
    assert rounds.position.round == after_training(PATIENT)
    assert rounds.position.version == rounds.position.round - 1
    assert rounds.journal.results(5)[BEST] == 2.0
    versions = rounds._versions
    best, final = versions.tensors(2), versions.current
    assert all(np.array_equal(best[name], final[name]) for name in best)
    assert not all(np.array_equal(versions.tensors(4)[name], final[name]) for name in final)


VOTING = replace(PLAN, rounds=RoundsPlan(count=9, patience=5, sites=1, rollback=0.2))


@pytest.mark.parametrize("restart", [False, True])
def test_a_version_that_loses_is_not_taken_and_training_goes_on_from_the_better_one(
    tmp_path: Path, restart: bool
) -> None:
    """Version 3 loses against version 2: version 4 is that again; and `show` says so."""
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=VOTING))
    for loss in (0.0, 0.5, 0.3, 0.4):
        _play(rounds, loss)
        rounds = reopened(rounds, tmp_path) if restart else rounds
    assert (rounds.position.round, rounds.position.version) == (5, 4)
    assert rounds.journal.results(4)[ROLLED_BACK] == 2.0
    assert BEST not in rounds.journal.results(4)
    best = rounds._versions.tensors(2)
    assert all(np.array_equal(best[name], array) for name, array in rounds._versions.current.items())
    (note,) = [row for row in _notes(summary(rounds.journal)) if row.startswith("round 4:")]
    assert "version 3 answers validation cases worse than version 2" in note
    _play(rounds, 0.3)
    assert rounds.position.version == 5
    assert not all(np.array_equal(best[name], array) for name, array in rounds._versions.current.items())


def test_a_restart_after_every_round_decides_alike(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("once", "often")]
    for folder in folders:
        folder.mkdir()
    once, often = (_trained(folder, restart=folder.name == "often") for folder in folders)
    assert once.position == often.position


def _shown(rounds: Rounds) -> str:
    out = io.StringIO()
    print_summary(rounds.journal, Console(file=out, width=200))
    return out.getvalue()


def test_show_says_that_training_ended_early_and_which_version_went_on(tmp_path: Path) -> None:
    """Also after a restart, and to other programs."""
    rounds = _trained(tmp_path, restart=True)
    assert (
        "training stopped improving and ended after 4 of at most 9 rounds; version 2 was the best on validation cases"
        " (loss 0.3000) and went on as version 10\n"
    ) in _shown(rounds)
    assert summary(rounds.journal)["training_end"] == {
        "rounds": 4,
        "at_most": 9,
        "best_version": 2,
        "best_loss": pytest.approx(0.3),
        "went_on_as": 10,
        "without_sum": (),
        "converged": True,
    }


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (0.1, "training took all 3 rounds, and the last version went on"),
        (
            0.4,
            "training ended after 3 of at most 3 rounds; version 2 was the best on validation cases (loss 0.3",
        ),
    ],
)
def test_show_says_which_version_went_on_when_all_rounds_were_trained(
    tmp_path: Path, last: float, said: str
) -> None:
    """The newest, or one before it."""
    plan = replace(PATIENT, rounds=RoundsPlan(count=3, patience=2, sites=1))
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=plan))
    for loss in (0.0, 0.5, 0.3):
        _play(rounds, loss)
        assert summary(rounds.journal)["training_end"] is None
    _play(rounds, last)
    assert said in _shown(rounds)


def test_show_says_nothing_of_an_end_where_the_plan_looks_for_none(tmp_path: Path) -> None:
    """With a patience of 0 all rounds are trained."""
    plan = replace(PATIENT, rounds=RoundsPlan(count=1, patience=0, sites=1))
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=plan))
    for _ in range(2):
        _play(rounds, 0.5)
    assert "training" not in _shown(rounds)
