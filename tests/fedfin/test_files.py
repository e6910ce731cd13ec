"""Files that are whole or not there, and plain errors when they cannot be written."""

from pathlib import Path

import pytest

from fedfin.errors import StateError
from fedfin.files import make_folder, write_atomically


def test_what_cannot_be_written_is_a_plain_error_and_leaves_nothing(tmp_path: Path) -> None:
    """Into a folder that is missing, or over one."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "missing" / "x", tmp_path / "folder"):
        with pytest.raises(StateError, match=f"{path}: cannot write it"):
            write_atomically(path, b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_where_a_file_is_is_a_plain_error(tmp_path: Path) -> None:
    """At its place or above it."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(StateError, match=f"{path}: cannot make this folder"):
            make_folder(path)
