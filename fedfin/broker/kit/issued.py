"""What the kit's CA has signed: `issued.json`. Written before a certificate is, so that each can be revoked."""

from pathlib import Path

import msgspec

from fedfin.errors import StateError
from fedfin.files import why, write_atomically


class Issued(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One certificate. `serial`: in hex; `until`, `revoked`: seconds since 1970."""

    name: str
    serial: str
    until: int
    revoked: int | None = None


class IssuedList:
    """Of one CA, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all: list[Issued] = []
        if path.exists():
            try:
                self._all = msgspec.json.decode(path.read_bytes(), type=list[Issued])
            except (OSError, msgspec.DecodeError) as error:
                raise StateError(
                    f"{path}: cannot read what the CA has signed ({why(error)}); take it from a backup: without it"
                    " nothing can be revoked"
                ) from None

    def add(self, issued: Issued) -> None:
        """Durable once this returns."""
        self._save([*self._all, issued])

    def revoke(self, name: str, at: int) -> int:
        """Mark all certificates of this name that are still valid; how many."""
        marked = [
            msgspec.structs.replace(each, revoked=at) if self._lives(each, name, at) else each
            for each in self._all
        ]
        changed = sum(one is not other for one, other in zip(marked, self._all, strict=True))
        self._save(marked)
        return changed

    def revoked(self) -> list[Issued]:
        """Every certificate that was revoked."""
        return [each for each in self._all if each.revoked is not None]

    def shut_out(self, at: int) -> list[str]:
        """Names that had a certificate revoked and hold no other that is valid."""
        names = {each.name for each in self.revoked()}
        return sorted(name for name in names if not any(self._lives(each, name, at) for each in self._all))

    @staticmethod
    def _lives(each: Issued, name: str, at: int) -> bool:
        return each.name == name and each.revoked is None and each.until > at

    def _save(self, issued: list[Issued]) -> None:
        self._all = issued
        write_atomically(self._path, msgspec.json.format(msgspec.json.encode(issued)) + b"\n")
