"""A broker that is not there: said at once, tried again, given up after the stated time."""

import sys
from pathlib import Path

import pytest

from fedfin.command_line.main import main
from fedfin_edge.agent import agent, connection

sys.path.insert(0, str(Path(__file__).parents[1]))
from federation import fedfin, make_bundle, write_cases

from fedfin.demo.processes import free_port


def test_an_unreachable_broker_is_told_at_once_and_given_up_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 7; the terminal says which broker, how long, each failure and the remedy."""
    for module in (agent, connection):
        monkeypatch.setattr(module, "OFFLINE_S", 3.0)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("JOURNAL_STREAM", "9:27")  # where lines have no time
    broker = f"mqtt://127.0.0.1:{free_port()}"
    make_bundle(tmp_path / "bundle", "image", 6)
    cases = write_cases(tmp_path / "cases.jsonl", 0, ("image",))
    words = ("--site", "s0", "--federation", "ward", "--broker", broker, "--cases", cases)
    fedfin("edge", "init", tmp_path / "s0", *words, "--bundle", tmp_path / "bundle")
    assert main(["edge", "run", str(tmp_path / "s0"), "--no-keys"]) == 7
    warning, said = capsys.readouterr().err.split("\n", 1)
    assert "WITHOUT KEYS" in warning
    assert said.startswith(f"connecting: broker {broker}, gives_up_after_seconds 3\n")
    assert said.count("offline: cannot reach 127.0.0.1:") >= 2
    assert f"no connection to {broker} within 3 s: cannot reach 127.0.0.1:" in said
    assert "or start the broker" in said
