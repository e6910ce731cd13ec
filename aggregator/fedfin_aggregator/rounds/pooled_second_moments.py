"""The federation's second moments: each site gives its own once, whenever it comes; then all is solved anew.

Their exact sums, by group of sites (closed_form/groups.py), are kept in a file beside the journal, one for each round
that added to them: written before the round is closed, and the one before removed after it. A file is the length of
its index (8 bytes, little-endian), the index as msgpack, and the sums in its order.
"""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.errors import ProtocolError, StateError
from fedfin.files import write_atomically
from fedfin.model.second_moment_spec import LARGEST
from fedfin.plan import Plan
from fedfin_aggregator.closed_form.groups import group_shapes
from fedfin_aggregator.fold.fold import Fold, Sum

_ITEM = np.dtype("<i8")
_LENGTH_BYTES = 8
# Cases of one group, in all rounds together: their sums stay below 2^62, as those of one round (fold/fold.py). Fewer
# where a standardised feature may have more than the variance one.
MOST_CASES = 2**62 // (int(LARGEST) << limits.FRACTION_BITS)


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sum in a file's index."""

    name: str
    weight: int
    crc32: int


class SecondMoments:
    """Those of one federation, in `folder`."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan

    def with_new(self, new: Mapping[str, Sum], before: int | None) -> tuple[dict[str, Sum], bool]:
        """All second moments there are, if a round adds some (else none), and whether its own had to be dropped.

        They are when a group would have more than MOST_CASES: thousands of sites that claim a million cases each.
        before: the last round that added something. Raises StateError when its file is missing or damaged.
        """
        if not new:
            return {}, False
        fold = Fold(MOST_CASES // max(modality.most_variance for modality in self._plan.modalities))
        fold.merge(self.kept(before))
        try:
            fold.merge(new)
        except ProtocolError:
            return fold.sums, True
        return fold.sums, False

    def kept(self, round_: int | None) -> dict[str, Sum]:
        """Those that this round left; none where there was no such round. Raises StateError."""
        return {} if round_ is None else self._read(self._path(round_))

    def keep(self, sums: Mapping[str, Sum], round_: int) -> None:
        """Write them down for the rounds after this one, before it is closed."""
        write_atomically(self._path(round_), _parts(sums))

    def keep_only(self, round_: int | None) -> None:
        """Remove the files of all rounds but this one, and what a crash left unfinished."""
        kept = None if round_ is None else self._path(round_)
        for pattern in ("second-moments-*", ".second-moments-*"):
            for path in self._folder.glob(pattern):
                if path != kept:
                    path.unlink(missing_ok=True)

    def _read(self, path: Path) -> dict[str, Sum]:
        shapes = group_shapes(self._plan)
        try:
            with path.open("rb") as stream:
                length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
                index = msgspec.msgpack.decode(stream.read(length), type=list[_Kept])
                return {kept.name: _read_sum(stream, kept, shapes[kept.name]) for kept in index}
        except (OSError, msgspec.MsgspecError, KeyError, ValueError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "damaged"
            raise StateError(
                f"{path}: cannot be read ({reason}); restore it with the journal from a backup"
            ) from None

    def _path(self, round_: int) -> Path:
        return self._folder / f"second-moments-{round_}"


def _parts(sums: Mapping[str, Sum]) -> Iterator[bytes | memoryview]:
    """A file's bytes, without a second copy of the sums."""
    totals = {name: _bytes(sums[name].total.astype(_ITEM, copy=False)) for name in sorted(sums)}
    index = [_Kept(name, sums[name].weight, zlib.crc32(data)) for name, data in totals.items()]
    encoded = msgspec.msgpack.encode(index)
    yield len(encoded).to_bytes(_LENGTH_BYTES, "little")
    yield encoded
    yield from totals.values()


def _read_sum(stream: BinaryIO, kept: _Kept, shape: tuple[int, ...]) -> Sum:
    total = np.empty(shape, _ITEM)
    data = _bytes(total)
    if stream.readinto(data) != len(data) or zlib.crc32(data) != kept.crc32:  # type: ignore[attr-defined]
        raise ValueError
    return Sum(total.astype(np.int64, copy=False), kept.weight)


def _bytes(array: NDArray[np.int64]) -> memoryview:
    return memoryview(array.reshape(-1)).cast("B")  # type: ignore[arg-type]
