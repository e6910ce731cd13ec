"""Promises of fedfin.command_line.log_file."""

import json
from pathlib import Path

import pytest

from fedfin.command_line import log_file
from fedfin.errors import StateError


def test_a_log_is_of_bounded_size_and_for_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest lines are kept; whoever else reports hears of every event."""
    monkeypatch.setattr(log_file, "MOST_BYTES", 1000)
    heard: list[int] = []
    report = log_file.logged(lambda _, facts: heard.append(facts["round"]), tmp_path / "log")
    for number in range(200):
        report("round", {"round": number})
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["log", *(f"log.{n + 1}" for n in range(log_file.KEPT))]
    assert all(path.stat().st_size <= 1000 and path.stat().st_mode & 0o077 == 0 for path in files)
    assert json.loads((tmp_path / "log").read_text().splitlines()[-1])["round"] == 199
    assert heard == list(range(200))


def test_a_full_disk_behind_the_log_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """And says nothing for each line."""
    log_file.logged(lambda *_: None, Path("/dev/full"))("round", {"round": 1})
    assert capsys.readouterr().err == ""


def test_a_log_where_nobody_may_write_is_refused_at_once(tmp_path: Path) -> None:
    """Not in the middle of a federation."""
    with pytest.raises(StateError, match="no access"):
        log_file.logged(lambda *_: None, tmp_path)
