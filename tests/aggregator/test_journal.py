"""The journal and the commands on it."""

import contextlib
import json
import re
import sqlite3
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console
from round_helpers import PLAN, judge, new_rounds, play, reopened, update

from fedfin.command_line.main import main
from fedfin.errors import StateError
from fedfin.model.plan_file import plan_toml
from fedfin.plan_sections import Privacy, Rounds
from fedfin_aggregator.store import update_files
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.update_writer import Entry, UpdateRow
from fedfin_aggregator.summary import print_summary, summary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plan.toml").write_text(plan_toml(PLAN))
    assert main(["aggregator", "init", str(tmp_path / "plan.toml"), str(tmp_path / "agg")]) == 0
    return tmp_path / "agg"


def test_init_makes_one_file_that_holds_the_plan(folder: Path) -> None:
    """And nothing beside it."""
    assert [path.name for path in folder.iterdir()] == ["journal.sqlite"]
    assert Journal(folder / "journal.sqlite").plan == PLAN


@pytest.mark.parametrize("level", ["open", "secure"])
def test_init_names_no_keys_only_for_a_plan_that_is_served_without(
    level: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Secure sums need them: `serve --no-keys` would end at once."""
    path, rounds = tmp_path / "plan.toml", Rounds(sites=3, min_sites=3)
    plan = replace(PLAN, privacy=Privacy(level=level), rounds=rounds)
    path.write_text(plan_toml(plan))
    assert main(["aggregator", "init", str(path), str(tmp_path / "agg")]) == 0
    assert ("--no-keys" in capsys.readouterr().out) == (level == "open")


def test_init_refuses_a_folder_that_is_in_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its journal stays as it was."""
    before = (folder / "journal.sqlite").read_bytes()
    assert main(["aggregator", "init", str(folder.parent / "plan.toml"), str(folder)]) == StateError.exit_code
    assert "choose another folder" in capsys.readouterr().err
    assert (folder / "journal.sqlite").read_bytes() == before


def test_an_interrupted_init_can_be_done_again(tmp_path: Path) -> None:
    """What it left is no journal, and no obstacle."""
    (tmp_path / ".journal.sqlite.new").write_bytes(b"half")
    assert new_rounds(tmp_path).plan == PLAN


def test_each_init_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that leftovers of an earlier run at the broker can be told apart."""
    monkeypatch.undo()  # conftest.py's
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        runs.append(new_rounds(tmp_path / name).journal.run)
    assert runs[0] != runs[1]


@pytest.mark.parametrize(
    "words", [["show"], ["serve", "--broker", "mqtt://127.0.0.1:1"], ["model", "--out", "x"]]
)
def test_a_folder_without_aggregator_names_the_remedy(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is not made into one."""
    assert main(["aggregator", words[0], str(tmp_path), *words[1:]]) == StateError.exit_code
    assert f"run `fedfin aggregator init PLAN {tmp_path}`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_journal_is_a_plain_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback."""
    (tmp_path / "journal.sqlite").write_text("not a database, but long enough to look like something" * 99)
    assert main(["aggregator", "show", str(tmp_path)]) == StateError.exit_code
    assert "not an aggregator's journal" in capsys.readouterr().err


def test_an_unknown_version_says_which_is_the_newest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And writes nothing."""
    out = folder / "model.fedfin"
    assert (
        main(["aggregator", "model", str(folder), "--version", "7", "--out", str(out)])
        == StateError.exit_code
    )
    assert "no model version 7; the newest is 0" in capsys.readouterr().err
    assert not out.exists()


def test_show_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every round with its results; final metrics only at the end."""
    rounds = new_rounds(tmp_path)
    play(rounds)
    assert main(["aggregator", "show", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["federation"], told["version"], told["final"]) == ("ward", 1, None)
    assert [(row["round"], row["task"], row["closed"]) for row in told["rounds"]] == [
        (1, "moments", True),
        (2, "train", False),
    ]
    for _ in range(3):
        play(rounds)
    main(["aggregator", "show", str(tmp_path), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["rounds"][1]["label_loss"] == 0.25
    assert 0.0 <= told["final"]["auc.all"] <= 1.0


def test_show_tells_who_gave_what_and_who_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accepted, refused and why; the charter's sites that never sent anything are named, too."""
    rounds = new_rounds(tmp_path)
    play(rounds)
    refused = rounds.judge(2, "s1", bytes(32), b"no update")
    assert not refused.accepted
    print_summary(rounds.journal, Console(width=200), frozenset({"s0", "s9"}))
    lines = capsys.readouterr().out.splitlines()
    assert "in the charter, and never took part: s9" in lines
    assert f"s1: 1 updates refused, 1 accepted; the last refusal: {refused.reason}" in lines
    sites = summary(rounds.journal, frozenset({"s0", "s9"}))["sites"]
    assert sites["s9"] == {"accepted": 0, "refused": 0, "reason": ""}
    assert sites["s0"]["accepted"] == 1


def test_a_site_that_comes_back_is_not_said_to_take_no_part(tmp_path: Path) -> None:
    """Of the open round it owes an answer like any other; after a restore it had declined the rounds before."""
    rounds = new_rounds(tmp_path)
    rounds.journal.decline("s0", 1, "rewound")
    assert rounds.journal.declined() == {"s0": (1, "rewound")}
    rounds.journal.updates.add(UpdateRow(2, "s0", bytes(32), True, "", 3, {}, 2), b"abc")
    assert rounds.journal.declined() == {}
    rounds.journal.decline("s0", 2, "rewound")
    assert rounds.journal.declined() == {"s0": (2, "rewound")}


def test_show_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the final metrics once there are some."""
    rounds = new_rounds(tmp_path)
    main(["aggregator", "show", str(tmp_path)])
    assert "not finished" in capsys.readouterr().out
    for _ in range(4):
        play(rounds)
    main(["aggregator", "show", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "0.2500" in shown
    assert "0.7500" in shown
    assert "only-image" in shown


def test_results_of_fewer_than_ten_cases_are_shown_as_suppressed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would tell of single scores."""
    rounds = new_rounds(tmp_path)
    for _ in range(3):
        play(rounds)
    at = rounds.position
    for site in ("s0", "s1", "s2"):
        judge(rounds, site, update(site, at.round, at.version, weight=3))
    rounds.close(at.round)
    main(["aggregator", "show", str(tmp_path), "--json"])
    final = json.loads(capsys.readouterr().out)["final"]
    assert not any(name.startswith(("auc.", "cases.")) for name in final)
    main(["aggregator", "show", str(tmp_path)])
    assert re.search("all.*fewer than 10.*suppressed", capsys.readouterr().out)


def test_payloads_are_kept_only_while_their_round_is_open(tmp_path: Path) -> None:
    """Afterwards only the receipts' facts stay."""
    rounds = new_rounds(tmp_path)
    play(rounds)
    assert len(rounds.journal.updates.counted(1)) == 3
    assert list(rounds.journal.updates.payloads(1)) == []
    judge(rounds, "s0", update("s0", 2, 1))
    rounds.journal.tidy()
    assert [path.name for path in tmp_path.glob("*.updates")] == ["round-2.updates"]
    assert [site for _, site, _ in rounds.journal.updates.payloads(2)] == ["s0"]


def test_payloads_that_a_crash_left_without_a_row_count_for_nothing(tmp_path: Path) -> None:
    """The row is written after the bytes; bytes without one are passed over, also by what follows them."""
    rounds = new_rounds(tmp_path)
    judge(rounds, "s0", update("s0", 1, 0))
    with (tmp_path / "round-1.updates").open("ab") as stream:
        stream.write(b"half an upd")
    rounds = reopened(rounds, tmp_path)
    judge(rounds, "s1", update("s1", 1, 0))
    kept = {site: payload for _, site, payload in reopened(rounds, tmp_path).journal.updates.payloads(1)}
    assert kept == {name: update(name, 1, 0) for name in ("s0", "s1")}


def test_a_payload_that_is_gone_is_a_plain_error(tmp_path: Path) -> None:
    """A journal that was copied without what is beside it."""
    rounds = new_rounds(tmp_path)
    judge(rounds, "s0", update("s0", 1, 0))
    (tmp_path / "round-1.updates").unlink()
    with pytest.raises(StateError, match="damaged or missing; restore it"):
        reopened(rounds, tmp_path)


def _entry(reason: str = "") -> Entry:
    return Entry(UpdateRow(1, "s0", bytes(32), True, reason, 3, {}, 1), b"abc")


def test_the_journal_takes_other_rows_while_updates_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow it is: the bytes are flushed before the journal is locked, and their rows come after."""
    journal = new_rounds(tmp_path).journal
    waits, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(update_files.os, "fdatasync", lambda _: (waits.set(), goes_on.wait(30)))
    writer = threading.Thread(target=journal.updates.write, args=([_entry()],))
    writer.start()
    try:
        assert waits.wait(10)
        journal.outliers.decide("s1", "included")
        assert journal.updates.receipts(1) == {}
    finally:
        goes_on.set()
        writer.join()
    assert journal.updates.receipts(1).keys() == {"s0"}
    assert list(journal.updates.payloads(1)) == [(1, "s0", b"abc")]


def test_a_journal_that_cannot_take_an_update_is_a_plain_error(tmp_path: Path) -> None:
    """As on a full disk; nothing of the update is in it."""
    journal = new_rounds(tmp_path).journal
    journal.updates._writer._db().execute("PRAGMA max_page_count = 1")  # no page more than it has
    with pytest.raises(StateError, match=r"journal.sqlite: cannot be written \(.*full\); check free space"):
        journal.updates.write([_entry("x" * 100_000)])
    assert journal.updates.receipts(1) == {}


def test_a_journal_that_cannot_take_a_round_s_end_is_a_plain_error(tmp_path: Path) -> None:
    """The round is open as before."""
    journal = new_rounds(tmp_path).journal
    journal._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StateError, match=r"journal.sqlite: cannot be written \(.*full\); check free space"):
        journal.close_round(1, {}, None, {"x" * 100_000: False})
    assert journal.rounds()[-1].closed is None


def test_a_journal_that_another_program_holds_is_a_plain_error(tmp_path: Path) -> None:
    """For longer than is waited."""
    journal = new_rounds(tmp_path).journal
    journal._db.execute("PRAGMA busy_timeout = 1")
    with contextlib.closing(sqlite3.connect(journal.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match=r"database is locked\).* no other program holds it"):
            journal.outliers.decide("s0", "left out")
