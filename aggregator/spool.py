"""Updates that are still arriving, on disk: however many there are, none is in memory.

One file per site, written chunk by chunk wherever each belongs. Nothing here has to survive a crash: a chunk is
not acknowledged to its site, and one that is not there is asked for again.
"""

from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import make_folder


class Spool:
    """The folder; what an earlier life left in it is removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)
        for path in folder.iterdir():
            path.unlink()

    def put(self, site: str, offset: int, data: bytes) -> None:
        """Write a chunk where it belongs. Raises StateError when that is impossible."""
        path = self._path(site)
        try:
            with path.open("r+b" if path.exists() else "xb") as file:
                file.seek(offset)
                file.write(data)
        except OSError as error:
            raise StateError(f"{path}: cannot write it ({error.strerror}); check the free space") from None

    def take(self, site: str, size: int) -> bytes:
        """The first `size` bytes of what came of this site, which are removed."""
        path = self._path(site)
        with path.open("rb") as file:
            data = file.read(size)
        path.unlink()
        return data

    def _path(self, site: str) -> Path:
        # A site's name is a safe file name (fedfin/plan.py: NAME), and holds no dot; a shard's is shard/{index}.
        return self._folder / site.replace("/", ".")
