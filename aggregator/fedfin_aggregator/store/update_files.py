"""The bytes of updates while their round is open: one file per round, beside the journal, that only grows.

SQLite would write each of them twice, to its log and then to its pages, and once more to delete them. Here each is
appended once, and flushed with those that came with it; the journal's row, written after it, says where it is. What a
crash leaves at the end of the file without a row counts for nothing.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import flush_folder, open_private


class UpdateFiles:
    """Files `round-N.updates` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unflushed: dict[Path, bool] = {}  # files with new updates, and whether they are new themselves

    def append(self, round_: int, payload: bytes) -> int:
        """Add an update, durable with the next `flush`; where it begins in its round's file. Raises StateError."""
        path = self._path(round_)
        try:
            with open_private(path, "ab") as stream:
                offset = stream.tell()
                stream.write(payload)
        except OSError as error:
            raise _unwritable(path, error) from None
        self._unflushed[path] = self._unflushed.get(path, False) or offset == 0
        return offset

    def flush(self) -> None:
        """Make what was added durable. Raises StateError."""
        for path, fresh in self._unflushed.items():
            try:
                with open_private(path, "ab") as stream:
                    os.fdatasync(stream.fileno())
                if fresh:
                    flush_folder(self._folder)
            except OSError as error:
                raise _unwritable(path, error) from None
        self._unflushed.clear()

    def read(self, round_: int, offset: int, size: int) -> bytes:
        """The update that begins there. Raises StateError when it is not there."""
        path = self._path(round_)
        try:
            with path.open("rb") as stream:
                stream.seek(offset)
                payload = stream.read(size)
        except OSError:
            payload = b""
        if len(payload) != size:
            raise StateError(f"{path} is damaged or missing; restore it with the journal from a backup")
        return payload

    def keep_only(self, rounds: Iterable[int]) -> None:
        """The others have closed."""
        kept = {self._path(round_) for round_ in rounds}
        for path in self._folder.glob("round-*.updates"):
            if path not in kept:
                path.unlink()

    def _path(self, round_: int) -> Path:
        return self._folder / f"round-{round_}.updates"


def _unwritable(path: Path, error: OSError) -> StateError:
    return StateError(f"{path}: cannot write it ({error.strerror}); check permissions and free space")
