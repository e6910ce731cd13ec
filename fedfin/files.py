"""Files that are whole or not there; what FedFIN makes belongs to its user alone, whatever the umask.

Bundles and exported models, which are made to be handed on, are in folders.py.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from fedfin.errors import StateError

FOLDER_MODE, FILE_MODE = 0o700, 0o600


def make_folder(path: Path) -> None:
    """Make a folder for its user alone, and those above it as the umask says, unless it is there. Raises StateError."""
    if path.is_dir():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"{path}: cannot make this folder ({error.strerror}); choose another, or check permissions"
        ) from None


def why(error: Exception) -> str:
    """Why a file cannot be read, for people: an error of the system without its number and path."""
    return getattr(error, "strerror", None) or str(error)


def no_access(error: OSError) -> str:
    """What cannot be read or written, whose it is, and what to do about it."""
    path = Path(error.filename or ".")
    if error.errno == errno.EROFS:
        return f"{path}: cannot write there ({error.strerror}); use a folder on a disk that can be written to"
    remedy = "run as the user who set the folder up, or ask for access"
    return f"{path}: no access ({error.strerror}){_owned(path)}; {remedy}"


def _owned(path: Path) -> str:
    """By whom, where that can be found out."""
    for each in (path, *path.parents):
        with contextlib.suppress(OSError, KeyError):
            return f", {each} belongs to {each.owner()}"
    return ""


Data = bytes | Iterable[bytes | memoryview]


def write_atomically(path: Path, data: Data, *, spare: Path | None = None) -> None:
    """Write to another name beside `path`, then rename it to `path`; durable once this returns. Raises StateError.

    `data`: as a whole, or part by part.

    `spare`: a file in the same folder that is not needed any more, to write into if it is there. It has its place on
    the disk and in the kernel's memory already: for 5 MB 2 ms, where a new file takes 5.
    """
    try:
        _write(path, data, spare=spare)
    except OSError as error:
        raise _unwritable(path, error) from None


def read_at_most(path: Path, most: int) -> bytes:
    """A file's bytes. Raises OSError, of a file larger than `most` bytes too: nothing of it is read further."""
    with path.open("rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return data


def drop_halves(path: Path) -> None:
    """Take away what a kill left of writing `path` anew. Call it while nobody writes there."""
    for half in path.parent.glob(f".{path.name}.*"):
        half.unlink(missing_ok=True)


def open_private(path: Path, mode: str) -> IO[Any]:
    """`open` in a binary mode; a file that is made is for its user alone. Raises OSError."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, FILE_MODE))


def make_private(path: Path) -> None:
    """Make an empty file for its user alone unless it is there: SQLite gives its own files the same rights.

    Raises StateError.
    """
    try:
        open_private(path, "ab").close()
    except OSError as error:
        raise _unwritable(path, error) from None


def replace_file(path: Path, data: bytes) -> None:
    """Likewise, but not durable: whole for whoever reads it, and a power cut may lose it. Raises StateError."""
    try:
        handle, name = _temporary(path, None)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None


def write_over(path: Path, data: bytes) -> None:
    """Write into the file that is there: neither whole after a crash nor durable. Raises StateError.

    For what can be had again and is checked when it is read: for 5 MB 0.2 ms.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE), "wb") as stream:
            stream.write(data)
            stream.truncate()
    except OSError as error:
        raise _unwritable(path, error) from None


def flush_folder(path: Path) -> None:
    """Make it durable that files were made, renamed or removed in this folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, data: Data, *, spare: Path | None) -> None:
    handle, name = _temporary(path, spare)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines([data] if isinstance(data, bytes) else data)
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
        flush_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _temporary(path: Path, spare: Path | None) -> tuple[int, str]:
    """A file to write into, open, and its name."""
    if spare is not None and spare.exists():
        return os.open(spare, os.O_WRONLY), str(spare)
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")


def _unwritable(path: Path, error: OSError) -> StateError:
    return StateError(
        f"{path}: cannot write it ({error.strerror}); check that its folder exists, permissions and free space"
    )
