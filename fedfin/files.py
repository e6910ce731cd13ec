"""Files that are whole or not there."""

import os
import tempfile
from pathlib import Path

from fedfin.errors import StateError


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there. Raises StateError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"{path}: cannot make this folder ({error.strerror}); choose another, or check permissions"
        ) from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name beside `path`, flush to disk, then rename over it. Raises StateError."""
    try:
        _write(path, data)
    except OSError as error:
        raise StateError(
            f"{path}: cannot write it ({error.strerror}); check that its folder exists, permissions and free space"
        ) from None


def _write(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
