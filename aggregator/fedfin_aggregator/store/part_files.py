"""The parts that lead to the model's versions, a file each, in a folder beside the journal.

In SQLite a part of megabytes would be written three times: to its log, to its pages, and again when its row changes.
A file is written and flushed before the journal has its row, and removed after the row is gone: what a crash leaves
without a row counts for nothing, and is overwritten or removed by what follows.
"""

from collections.abc import Iterable
from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import make_folder, write_atomically
from fedfin.protocol.messages.manifest import PartKind

Key = tuple[PartKind, int]


class PartFiles:
    """Files `snapshot-V` and `delta-V`; the folder is made with the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: Key, data: bytes) -> None:
        """Make a part durable. Raises StateError."""
        make_folder(self._folder)
        write_atomically(self._path(key), data)

    def read(self, key: Key) -> bytes:
        """The part. Raises StateError when it is not there."""
        try:
            return self._path(key).read_bytes()
        except OSError:
            raise StateError(
                f"{self._path(key)} is missing; restore it with the journal from a backup"
            ) from None

    def keep_only(self, keys: Iterable[Key]) -> None:
        """Remove all others, unfinished ones of a crash too."""
        kept = {self._path(key) for key in keys}
        for path in self._folder.glob("*"):  # nothing when there is no folder yet
            if path not in kept:
                path.unlink()

    def _path(self, key: Key) -> Path:
        kind, version = key
        return self._folder / f"{kind}-{version}"
