"""`fedfin edge support`: what is shown is what is written, and secrets are not in it."""

import json
from pathlib import Path

import pytest

from fedfin.command_line.main import main
from fedfin_edge.doctor.support import support_text
from fedfin_edge.site import Site, open_site

ACCESS = """
[login]
user = "login-user-name"
password_file = "secret-place"

[proxy]
url = "http://proxy.inside.hospital:3128"
user = "proxy-user-name"
password_file = "secret-place"
"""


@pytest.fixture
def site(maker) -> Site:
    """With a login and a proxy."""
    row = {"case": "a", "patient": "p", "image": maker.image("a.png"), "text": "clear lungs", "effusion": 1}
    made = maker.site(maker.table([row]))
    (made.folder / "secret-place").write_text("correct-horse\n")
    settings = made.folder / "site.toml"
    settings.write_text(settings.read_text() + ACCESS)
    return open_site(made.folder)


def support(site: Site, out: Path, *options: object) -> int:
    """Run the command."""
    return main(["edge", "support", str(site.folder), "--out", str(out), *map(str, options)])


def test_what_is_shown_is_what_is_written(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the byte, but for the last line; for its owner alone; and nothing is written over."""
    out = tmp_path / "support.txt"
    capsys.readouterr()
    assert support(site, out, "--yes") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(written := out.read_text())
    assert shown.removeprefix(written).count("\n") == 1
    for part in (
        "=== versions",
        "torch",
        "=== doctor",
        "PASS  versions",
        "=== status",
        '"doing"',
        "site.toml: ",
    ):
        assert part in written
    assert out.stat().st_mode & 0o077 == 0
    assert support(site, out, "--yes") == 9


def test_without_a_yes_nothing_is_written(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown all the same."""
    out = tmp_path / "support.txt"
    assert support(site, out) == 3
    assert "=== settings" in capsys.readouterr().out
    assert not out.exists()


def test_settings_are_there_without_secrets_and_places(site: Site) -> None:
    """Users, passwords, files, hosts; a key that nobody has looked at is left out, too."""
    text = support_text(site.folder, [], [])
    settings = json.loads(text.partition("=== settings\n")[2].partition("\n\n===")[0])
    assert settings["cases"] | {"table": ""} == {
        "table": "", "case": "case", "patient": "patient", "split": "split", "labels": ["effusion"],
    }  # fmt: skip
    assert settings["broker"] == "mqtt://127.0.0.1:1883"
    assert settings["policy"]["least_patients"] == 10
    assert settings["proxy"] == dict.fromkeys(("url", "user", "password_file"), "(left out)")
    for secret in (
        "correct-horse",
        "login-user-name",
        "proxy-user-name",
        "inside.hospital",
        "secret-place",
        "cases.csv",
    ):
        assert secret not in text


def test_settings_that_cannot_be_read_are_what_help_is_needed_for(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text says what is wrong with them, and holds nothing else of theirs; a folder that is away is an error."""
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace("held_out", "held_outt"))
    (tmp_path / "log").write_text('{"event": "online", "time": 1.5}\n')
    out = tmp_path / "support.txt"
    assert support(site, out, "--yes", "--log", tmp_path / "log") == 0
    written = out.read_text()
    assert "=== settings\n" in written
    assert "unknown field `held_outt`" in written.partition("=== settings\n")[2].partition("===")[0]
    assert "FAIL  site.toml" in written
    assert "1.5 online" in written
    assert not any(word in written for word in ("login-user-name", "inside.hospital", "secret-place"))
    assert main(["edge", "support", str(tmp_path / "away"), "--out", str(tmp_path / "other")]) == 3
    assert "there is no such folder" in capsys.readouterr().err


def test_of_a_log_only_events_are_taken(site: Site, tmp_path: Path) -> None:
    """What a person or another program wrote there is counted, not shown; a log that is away is said to be."""
    log = tmp_path / "run.log"
    log.write_text('starting\n{"event": "online", "time": 1.5}\nPatient Mary Miller\n{"name": "Mary"}\n')
    text = support_text(site.folder, [], [log])
    assert "1.5 online" in text
    assert "and 3 lines that are no events" in text
    assert "Mary" not in text
    assert "cannot be read" in support_text(site.folder, [], [tmp_path / "away.log"])


def test_a_site_s_two_services_have_a_log_each(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the journal gives them: the JSON lines of `--json`, without a head of its own."""
    for name, event in (("edge", "online"), ("intake", "listening")):
        (tmp_path / name).write_text(json.dumps({"event": event, "time": 1.5}) + "\n")
    logs = ("--log", tmp_path / "edge", "--log", tmp_path / "intake")
    assert support(site, tmp_path / "support.txt", "--yes", *logs) == 0
    shown = capsys.readouterr().out
    assert "lines of log 1\n1.5 online" in shown
    assert "lines of log 2\n1.5 listening" in shown
