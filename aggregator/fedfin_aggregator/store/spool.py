"""Updates that are still arriving: in memory as long as they are few, on disk beyond.

So memory is flat however many there are, and small ones cost no disk access. Large ones need not either: what is
removed within seconds stays in the kernel's cache (eight of 5 MB: 0.36 s a round for 0.35, and 20 MB less). Nothing
here has to survive a crash: a chunk is not acknowledged to its site, and one that is not there is asked for again.
"""

from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import make_folder, open_private

MEMORY_BYTES = 8 * 1024 * 1024  # 64 updates of 100 KB, as many as arrive at once


class Spool:
    """One update per site; on disk in files of a folder, in which nothing of an earlier life is left."""

    def __init__(self, folder: Path, *, memory: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._room = memory
        self._held: dict[str, bytes | bytearray] = {}  # bytes: all of an update that came in one piece
        self._on_disk: set[str] = set()
        make_folder(folder)
        for path in folder.iterdir():
            path.unlink()

    def put(self, site: str, offset: int, data: bytes, size: int) -> None:
        """Write a part of an update of `size` bytes where it belongs. Raises StateError when that is impossible."""
        if self._in_memory(site, size):
            self._keep(site, offset, data)
            return
        path = self._path(site)
        try:
            with open_private(path, "r+b" if site in self._on_disk else "xb") as file:
                self._on_disk.add(site)
                file.seek(offset)
                file.write(data)
        except OSError as error:
            raise StateError(f"{path}: cannot write it ({error.strerror}); check the free space") from None

    def take(self, site: str, size: int) -> bytes:
        """The first `size` bytes of what came of this site, which are removed."""
        if site in self._held:
            return bytes(self._drop(site))
        path = self._path(site)
        with path.open("rb") as file:
            data = file.read(size)
        path.unlink()
        self._on_disk.discard(site)
        return data

    def _in_memory(self, site: str, size: int) -> bool:
        """Whether this update is in memory; an abandoned one of another size makes room."""
        if site in self._held and len(self._held[site]) != size:
            self._drop(site)
        if site not in self._held:
            if size > self._room or site in self._on_disk:
                return False
            self._held[site] = bytearray(size)
            self._room -= size
        return True

    def _keep(self, site: str, offset: int, data: bytes) -> None:
        held = self._held[site]
        if len(data) == len(held):
            self._held[site] = data
        elif isinstance(held, bytearray):  # else all of it is here
            held[offset : offset + len(data)] = data

    def _drop(self, site: str) -> bytes | bytearray:
        data = self._held.pop(site)
        self._room += len(data)
        return data

    def _path(self, site: str) -> Path:
        # A site's name is a safe file name (fedfin/names.py: NAME), and holds no dot; a shard's is shard/{index}.
        return self._folder / site.replace("/", ".")
