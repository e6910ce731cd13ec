"""Folders of other users, and ones that may only be read: neither is damage."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import Federation
from unprivileged import nobody

from fedfin.command_line.main import main


@pytest.fixture(scope="module")
def ward() -> Iterator[Federation]:
    """Set up, where another user can be let in; nobody runs."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield Federation(folder, "mqtt://127.0.0.1:1", sites=1, keys=True)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def rights(folder: Path, mode: int) -> Iterator[None]:
    """Every folder in it has these, and we are nobody who is above them."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    before = {path: path.stat().st_mode for path in folders}
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o444)
    for path in reversed(folders):
        path.chmod(mode)
    folder.parent.chmod(0o755)
    try:
        with nobody():
            yield
    finally:
        for path in folders:
            path.chmod(before[path])
        for path in files:
            path.chmod(0o600)


def words(ward: Federation) -> dict[str, tuple[str, ...]]:
    """What only looks, by what it looks at."""
    agg, site = str(ward.folder / "agg"), str(ward.folder / "s0")
    return {
        "show": ("aggregator", "show", agg),
        "audit": ("edge", "audit", site),
        "explain-update": ("edge", "explain-update", site),
    }


def test_show_needs_no_write_access(ward: Federation, capsys: pytest.CaptureFixture[str]) -> None:
    """And leaves nothing behind where it has it."""
    before = sorted((ward.folder / "agg").iterdir())
    assert main(words(ward)["show"]) == 0
    assert sorted((ward.folder / "agg").iterdir()) == before
    with rights(ward.folder / "agg", 0o555):
        assert main(words(ward)["show"]) == 0
    assert "not finished" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["audit", "explain-update"])
def test_what_looks_at_a_site_needs_no_write_access(
    ward: Federation, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A site that has not taken part yet has nothing to show, and says that."""
    with rights(ward.folder / "s0", 0o555):
        assert main(words(ward)[what]) == 9
    assert "yet" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["show", "audit", "explain-update"])
def test_another_users_folder_is_named_as_that(
    ward: Federation, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with whose it is."""
    name = "agg" if what == "show" else "s0"
    with rights(ward.folder / name, 0o000):
        assert main(words(ward)[what]) == 9
    (line,) = capsys.readouterr().err.splitlines()
    assert "no access (Permission denied)" in line
    assert f"{ward.folder / name} belongs to {ward.folder.owner()}; run as the user" in line


def test_serve_says_that_it_may_not_write(ward: Federation, capsys: pytest.CaptureFixture[str]) -> None:
    """The journal is not called damaged."""
    command = ("aggregator", "serve", str(ward.folder / "agg"), "--broker", "mqtt://127.0.0.1:1", "--no-keys")
    with rights(ward.folder / "agg", 0o555):
        assert main(command) == 9
    said = capsys.readouterr().err
    assert "no access" in said
    assert "damaged" not in said


def test_a_part_of_the_journal_that_cannot_be_read_here_is_named(
    ward: Federation, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is in a file of SQLite's beside the journal: without it older rounds would be shown as the newest."""
    agg = ward.folder / "agg"
    wal = agg / "journal.sqlite-wal"
    wal.write_bytes(b"x" * 4096)
    try:
        with rights(agg, 0o555):
            assert main(words(ward)["show"]) == 9
    finally:
        wal.unlink()
    assert "copy the folder to where you may write" in capsys.readouterr().err
