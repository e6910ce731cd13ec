"""`fedfin edge init` at a terminal asks for the way to the broker."""

import os
import pty
import select
import sys
import time

import pytest

from fedfin.command_line.main import main
from fedfin_edge.site import open_site

WORDS = ("--site", "st-mary", "--federation", "chest")
SECONDS = 60.0


@pytest.fixture
def table(maker):
    """One case with a text."""
    return maker.table([{"case": "a", "text": "clear", "effusion": 1}])


def init(folder, maker, table) -> list[str]:
    """The command's words."""
    bundle = str(maker.bundles["text"])
    return ["edge", "init", str(folder), *WORDS, "--cases", str(table), "--bundle", bundle]


def at_a_terminal(words: list[str], answers: dict[str, str]) -> tuple[int, str]:
    """Run the command with a terminal of its own; a question is known by a part of it. Exit code, what was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "fedfin", *words])
    shown, asked, end = "", 0, time.monotonic() + SECONDS
    left = dict(answers)
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            shown += os.read(terminal, 4096).decode()
        except OSError:  # the other end is closed
            break
        question = next((part for part in left if part in shown[asked:] and shown.endswith(": ")), None)
        if question is not None:
            asked = len(shown)
            os.write(terminal, f"{left.pop(question)}\n".encode())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def test_it_asks_for_the_way_out_and_keeps_passwords_for_their_owner_alone(maker, table) -> None:
    """wss://, a proxy with a password, a login; no password is shown, nor in site.toml."""
    folder = maker.folder / "site"
    answers = {
        "The broker": "wss://broker.example/mqtt",
        "CA bundle": "",
        "at the broker": "mary",
        "Its password": "correct-horse",
        "HTTP proxy": "http://proxy.example:3128",
        "at the proxy": "mary-out",
        "password:": "battery-staple",
    }
    code, shown = at_a_terminal(init(folder, maker, table), answers)
    assert code == 0, shown
    site = open_site(folder)
    assert site.settings.broker == "wss://broker.example/mqtt"
    assert site.login is not None
    assert (site.login.user, site.login.password()) == ("mary", "correct-horse")
    proxy = site.proxy
    assert proxy is not None
    assert not isinstance(proxy, str)
    assert proxy.login is not None
    assert (proxy.address, proxy.login.password()) == ("proxy.example:3128", "battery-staple")
    assert site.settings.login.password_file == "broker-password"
    for name in ("broker-password", "proxy-password", "site.toml"):
        assert (folder / name).stat().st_mode & 0o077 == 0
    for secret in ("correct-horse", "battery-staple"):
        assert secret not in shown + (folder / "site.toml").read_text()


def test_an_answer_that_cannot_be_leaves_nothing(maker, table) -> None:
    """Said at once, not after the last question."""
    folder = maker.folder / "site"
    code, shown = at_a_terminal(init(folder, maker, table), {"The broker": "broker.example"})
    assert code == 3
    assert "write it like mqtts://broker.example:8883" in shown
    assert not folder.exists()


def test_without_a_terminal_the_option_is_named(maker, table, capsys: pytest.CaptureFixture[str]) -> None:
    """As a script needs it."""
    words = ["edge", "init", str(maker.folder / "site"), *WORDS, "--cases", str(table)]
    assert main([*words, "--bundle", str(maker.bundles["text"])]) == 3
    assert "name the broker with --broker" in capsys.readouterr().err


def test_a_password_file_that_others_may_read_is_named(
    maker, table, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stays where the option says, with the remedy."""
    secret = maker.folder / "password of mary"
    secret.write_text("correct-horse\n")
    secret.chmod(0o644)
    maker.site(table, "text", options=["--user", "mary", "--password-file", str(secret)])
    err = capsys.readouterr().err
    assert f"others on this machine may read '{secret}'; chmod go-rwx '{secret}'" in err
    secret.chmod(0o600)
    (maker.folder / "site" / "site.toml").unlink()
    maker.site(table, "text", options=["--user", "mary", "--password-file", str(secret)])
    assert "may read" not in capsys.readouterr().err
