"""One process at a time in a folder."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import open_private

LOCK = ".lock"


@contextlib.contextmanager
def only_process(folder: Path, what: str) -> Iterator[None]:
    """Hold the folder's lock file; `what` names the command in the message.

    The kernel drops the lock with the process, however that ends, so the file may stay: removing it would let two
    processes lock two files of one name. Raises StateError when another process holds it or it cannot be written.
    """
    try:
        stream = open_private(folder / LOCK, "ab")
    except OSError as error:
        raise StateError(
            f"{folder / LOCK}: cannot write the lock file ({error.strerror}); check the folder and its permissions"
        ) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                f"{folder}: another `{what}` is at work in this folder; wait for it or stop it first"
            ) from None
        yield


def is_at_work(folder: Path) -> bool:
    """Whether a process holds the folder's lock. Writes nothing."""
    try:
        with (folder / LOCK).open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
