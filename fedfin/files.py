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


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write to a temporary name beside `path`, then rename over it. Raises StateError.

    `durable`: it survives a power cut, once this returns. False saves two flushes of the disk, for what can be had
    again and is checked when it is read: after a power cut it may be the old file, the new one, or damaged.
    """
    try:
        _write(path, data, durable=durable)
    except OSError as error:
        raise StateError(
            f"{path}: cannot write it ({error.strerror}); check that its folder exists, permissions and free space"
        ) from None


def flush_folder(path: Path) -> None:
    """Make it durable that files were made, renamed or removed in this folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, data: bytes, *, durable: bool) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        Path(name).replace(path)
        if durable:
            flush_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
