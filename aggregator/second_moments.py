"""The federation's second moments: each site gives its own once, whenever it comes; then all is solved anew.

Their exact sums, by group of sites (aggregator/closed_form/groups.py), are kept in a file beside the journal, one for
each round that added to them: written before the round is closed, and read again only when it is.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from aggregator.closed_form.groups import by_group, group_shapes
from aggregator.closed_form.solve import solve
from aggregator.fold import Fold, Sum
from fedfin.errors import StateError
from fedfin.files import write_atomically
from fedfin.plan import Plan


class _KeptSum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    total: bytes
    weight: int


class SecondMoments:
    """Those of one federation, in `folder`."""

    def __init__(self, folder: Path, plan: Plan, limit: int) -> None:
        self._folder, self._plan, self._limit = folder, plan, limit

    def solved_with(self, round_: int, new: Mapping[str, Sum]) -> dict[str, NDArray[np.float64]]:
        """The tensors that follow from all that came before this round, and what came in it; nothing if nothing did."""
        if not new:
            return {}
        fold = Fold(self._limit)
        fold.merge(self._before(round_))
        fold.merge(new)
        self._keep(round_, fold)
        return solve(self._plan, by_group(fold.sums))

    def _before(self, round_: int) -> dict[str, Sum]:
        earlier = [number for number in self._rounds() if number < round_]
        if not earlier:
            return {}
        path = self._path(max(earlier))
        shapes = group_shapes(self._plan)
        try:
            kept = msgspec.msgpack.decode(path.read_bytes(), type=dict[str, _KeptSum])
            return {
                name: Sum(
                    np.frombuffer(sum_.total, "<i8").astype(np.int64).reshape(shapes[name]), sum_.weight
                )
                for name, sum_ in kept.items()
            }
        except (OSError, msgspec.MsgspecError, KeyError, ValueError) as error:
            raise StateError(f"{path}: cannot be read ({error}); restore it from a backup") from None

    def _keep(self, round_: int, fold: Fold) -> None:
        kept = {
            name: _KeptSum(sum_.total.astype("<i8", copy=False).tobytes(), sum_.weight)
            for name, sum_ in fold.sums.items()
        }
        write_atomically(self._path(round_), msgspec.msgpack.encode(kept))

    def drop_before(self, round_: int) -> None:
        """Forget all but the newest file of the rounds before this one: it holds what the others do."""
        for number in sorted(number for number in self._rounds() if number < round_)[:-1]:
            self._path(number).unlink(missing_ok=True)

    def _rounds(self) -> list[int]:
        return [int(path.stem.rpartition("-")[2]) for path in self._folder.glob("second-moments-*.msgpack")]

    def _path(self, round_: int) -> Path:
        return self._folder / f"second-moments-{round_}.msgpack"
