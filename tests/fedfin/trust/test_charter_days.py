"""What the coordinator's and the operator's commands say of a charter whose last day is over, or is no day."""

import datetime as dt
from pathlib import Path

import pytest
from parties import PLAN, Parties

from fedfin.command_line.main import main
from fedfin.trust.accepted import TRUST
from fedfin_aggregator.folder import JOURNAL
from fedfin_aggregator.store.journal import Journal

YESTERDAY = dt.date.today() - dt.timedelta(days=1)  # noqa: DTZ011 - as people read a calendar


@pytest.mark.parametrize(
    ("day", "code", "words"),
    [(str(YESTERDAY), 3, "that day is over"), ("27.11.2026", 2, "write it as 2027-12-31")],
)
def test_a_day_that_makes_no_sense_makes_no_charter(
    day: str, code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The charter that is there stays."""
    parties = Parties(tmp_path)
    before = (tmp_path / "study" / "charter").read_bytes()
    try:
        ended = main(["aggregator", "charter", str(parties.folder / "study"), "--until", day])
    except SystemExit as error:
        ended = error.code
    assert ended == code
    assert words in capsys.readouterr().err
    assert (tmp_path / "study" / "charter").read_bytes() == before


def test_a_charter_that_has_expired_is_not_taken_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its aggregator would go on with the one before, and not start again."""
    parties = Parties(tmp_path)
    serving = tmp_path / "serving"
    serving.mkdir()
    (tmp_path / "agg").rename(serving / TRUST)
    journal = Journal(serving / JOURNAL, create=PLAN)
    parties.coordinator.change(expires=YESTERDAY, run=journal.run)
    journal.close()
    charter = tmp_path / "study" / "charter"
    assert main(["aggregator", "accept", str(serving), str(charter)]) == 3
    assert f"expired on {YESTERDAY}" in capsys.readouterr().err
