"""Files that are whole or not there, and plain errors when they cannot be written."""

from pathlib import Path

import pytest

from fedfin.errors import StateError
from fedfin.files import make_folder, write_atomically, write_over


def test_what_cannot_be_written_is_a_plain_error_and_leaves_nothing(tmp_path: Path) -> None:
    """Into a folder that is missing, or over one."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "missing" / "x", tmp_path / "folder"):
        with pytest.raises(StateError, match=f"{path}: cannot write it"):
            write_atomically(path, b"1")
        with pytest.raises(StateError, match=f"{path}: cannot write it"):
            write_over(path, b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_where_a_file_is_is_a_plain_error(tmp_path: Path) -> None:
    """At its place or above it."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(StateError, match=f"{path}: cannot make this folder"):
            make_folder(path)


def test_a_spare_file_becomes_the_new_one(tmp_path: Path) -> None:
    """Whatever was in it; without one it is the same."""
    path, spare = tmp_path / "path", tmp_path / "spare"
    write_atomically(path, b"first", spare=spare)
    spare.write_bytes(b"something longer")
    kept = spare.stat().st_ino
    write_atomically(path, b"second", spare=spare)
    assert (path.read_bytes(), path.stat().st_ino) == (b"second", kept)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_over_has_nothing_of_before(tmp_path: Path) -> None:
    """Longer, shorter, or not there."""
    path = tmp_path / "path"
    for data in (b"some", b"something", b"so"):
        write_over(path, data)
        assert path.read_bytes() == data
