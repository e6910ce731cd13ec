"""A site as a service, as far as it goes without systemd; tests/packaging has the rest."""

import os
import pwd
import sys
import tempfile
from pathlib import Path

import pytest
from federation import fedfin

from fedfin.errors import SettingsError, StateError
from fedfin.service.host import Host
from fedfin.service.install import SECRETS, Setup, give, install, keep_secret
from fedfin.service.program import check_program, find_program
from fedfin.service.unit import EDGE
from fedfin_edge.moving import _replaced

WRITTEN = """\
# ours since May
[cases]
table = "../cases.csv"   # of the export at night
[tls]
ca = '../ca.pem'
[modalities.text]
bundle = "../bundles/text"
column = "../cases.csv is no path here"
"""


def test_paths_are_replaced_and_everything_else_in_the_settings_is_left() -> None:
    """Comments, quotes of another kind, and the same words elsewhere."""
    moved = _replaced(WRITTEN, {"../cases.csv": '/srv/a"b\\c/cases.csv', "../ca.pem": "/s/ca.pem"})
    expected = WRITTEN.replace('table = "../cases.csv"', 'table = "/srv/a\\"b\\\\c/cases.csv"')
    assert moved == expected.replace("'../ca.pem'", '"/s/ca.pem"')


def test_a_path_that_is_written_in_another_way_is_named() -> None:
    """As with TOML's escapes."""
    with pytest.raises(SettingsError, match=r"cannot find the line with \.\./cases"):
        _replaced('table = "\\u002e./cases.csv"', {"../cases.csv": "/srv/cases.csv"})


def test_a_secret_is_copied_for_its_user_alone_and_never_over_another(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("one")
    password.chmod(0o644)
    site = tmp_path / "site"
    copy = keep_secret(site, password)
    assert (copy.read_text(), copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (
        "one",
        0o600,
        0o700,
    )
    other = tmp_path / "other" / "password"
    other.parent.mkdir()
    other.write_text("two")
    with pytest.raises(Exception, match="is another file"):
        keep_secret(site, other)


@pytest.mark.parametrize("linked", [SECRETS, f"{SECRETS}/password"])
def test_a_secret_is_not_copied_through_a_link(tmp_path: Path, linked: str) -> None:
    """Nor is what the link leads to changed."""
    password = tmp_path / "password"
    password.write_text("one")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "site" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    with pytest.raises(StateError, match="is a link"):
        keep_secret(tmp_path / "site", password)
    assert list(elsewhere.iterdir()) == []


def test_what_a_link_in_a_services_folder_leads_to_stays_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even its time of change moves, as it does when a file is given to whom it belongs."""
    monkeypatch.setattr("fedfin.service.install.USER", pwd.getpwuid(os.geteuid()).pw_name)
    shadow = tmp_path / "shadow"
    shadow.touch(mode=0o640)
    site = tmp_path / "site"
    site.mkdir()
    (site / "site.toml").touch(mode=0o644)
    (site / "link").symlink_to(shadow)
    before = shadow.stat()
    give(site)
    after = shadow.stat()
    assert (after.st_ctime_ns, after.st_mode) == (before.st_ctime_ns, before.st_mode)
    assert (site / "site.toml").stat().st_mode & 0o777 == 0o600


def test_home_folders_are_known_to_be_hidden_from_services() -> None:
    host = Host()
    assert host.hides(Path("/home/ann/cases.csv"))
    assert host.hides(Path("/root/st-mary"))
    assert not host.hides(Path("/srv/homes/cases.csv"))
    assert host.state(EDGE, "st-mary") == Path("/var/lib/fedfin/edge/st-mary")


def test_a_unit_names_the_command_beside_the_python_that_was_started_with_m(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of `python -m fedfin` is none that can be executed, and /usr/bin/fedfin is another installation."""
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "fedfin/__main__.py")])
    monkeypatch.setattr(sys, "executable", "/opt/fedfin/bin/python")
    assert find_program() == Path("/opt/fedfin/bin/fedfin")


def test_a_python_in_a_home_folder_is_named_before_anything_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the command itself is elsewhere."""
    program = tmp_path / "srv/bin/fedfin"
    python = tmp_path / "root/bin/python3"
    for path in (program, python):
        path.parent.mkdir(parents=True)
        path.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(StateError, match=f"{python} is in a home folder.*Debian packages"):
        check_program(Host(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a command as another user")
def test_a_command_that_the_services_user_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is another's alone; once it is not, the check passes. Not in tmp_path: above it only we may look."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "fedfin"
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "argv", [str(program)])
        monkeypatch.setattr("fedfin.service.program.USER", "daemon")
        monkeypatch.setattr(Host, "hides", lambda _host, _path: False)
        with pytest.raises(StateError, match=f"the user daemon cannot run {program} .Permission denied"):
            check_program(Host())
        folder.chmod(0o755)
        check_program(Host())


@pytest.mark.skipif(
    Path("/run/systemd/system").is_dir() or os.geteuid() != 0, reason="systemd runs this machine, or not root"
)
def test_an_install_that_cannot_start_says_where_the_folder_is_and_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own systemctl refuses: systemd does not run this machine."""
    for user in ("fedfin.service.install.USER", "fedfin.service.host.USER"):
        monkeypatch.setattr(user, pwd.getpwuid(os.geteuid()).pw_name)
    monkeypatch.setattr(Host, "systemd_version", lambda _host: 252)
    folder, host = tmp_path / "st-mary", Host(tmp_path / "machine")
    folder.mkdir()
    with pytest.raises(StateError, match="uninstall st-mary --keep-state") as raised:
        install(host, [Setup(EDGE, [])], "st-mary", folder)
    assert f"the folder is in {host.state(EDGE, 'st-mary')} now" in str(raised.value)
    assert host.state(EDGE, "st-mary").is_dir()


@pytest.mark.parametrize(("group", "offered"), [("edge", True), ("aggregator", False)])
def test_a_gpu_is_offered_to_who_computes_on_one(group: str, offered: bool) -> None:
    """The aggregator is numpy alone."""
    assert ("--gpu" in fedfin(group, "service", "install", "--help").stdout) is offered


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs this machine")
def test_status_without_systemd_says_the_same_sentence_to_everybody() -> None:
    done = fedfin("edge", "service", "status", "x", check=False)
    assert done.returncode == 9
    assert "systemd does not run this machine: start `fedfin edge run`" in done.stderr


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs this machine")
@pytest.mark.parametrize("words", [("edge", "service", "install", "x"), ("edge", "service", "uninstall", "x"),
                                   ("aggregator", "service", "install", "x", "--broker", "mqtt://b")])  # fmt: skip
def test_without_systemd_or_rights_it_says_so_and_changes_nothing(words: tuple[str, ...]) -> None:
    """Exit code 9."""
    done = fedfin(*words, check=False)
    assert done.returncode == 9
    reason = "systemd does not run this machine" if os.geteuid() == 0 else "run this with sudo"
    assert reason in done.stderr
