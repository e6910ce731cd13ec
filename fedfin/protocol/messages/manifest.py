"""The round that runs, and which parts lead to the model that it starts from."""

from typing import Annotated, ClassVar, Literal

import msgspec

from fedfin import limits
from fedfin.model.model_spec import Task
from fedfin.protocol.fields import Bitmap, Boot, Count, Id
from fedfin.protocol.invitation import EVERYONE
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.transfers import Outline
from fedfin.protocol.padding import most_sealed_bytes

Draw = Annotated[int, msgspec.Meta(ge=0)]  # of 64 bits, which is all that msgpack has
PartKind = Literal["snapshot", "delta"]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One payload on the way to a model: the snapshot of a version, or the delta to it from the version before."""

    version: Count
    outline: Outline


class RoundManifest(Message, frozen=True):
    """Retained: the round that runs, and the model version it starts from. Also an answer to a site that missed it.

    A plan can be run again: `run` tells a broker's leftovers of an earlier run from this one's messages. `model` is
    the id (transfer.py) of that version's GlobalModel payload, by whatever parts (chain.py) a site comes to it.
    `threshold`: which sites the round asks (fedfin/protocol/invitation.py). A site follows the `life` with
    the highest number.
    """

    private: ClassVar[bool] = False
    run: Boot
    round: Count
    task: Task
    state: Literal["open", "finished"]
    version: Count
    model: Id
    snapshot: Part
    deltas: Annotated[tuple[Part, ...], msgspec.Meta(max_length=limits.LISTED_DELTAS)]
    threshold: Draw = EVERYONE
    life: Life = FIRST_LIFE

    def __post_init__(self) -> None:
        newest = [part.version for part in self.deltas]
        if newest != list(range(self.version - len(newest) + 1, self.version + 1)):
            raise ValueError("the deltas do not lead to the version one by one")
        if not self.version - len(newest) <= self.snapshot.version <= self.version:
            raise ValueError("no deltas lead from the snapshot to the version")
        most = most_sealed_bytes(self.snapshot.outline.size) + len(self.deltas) * most_sealed_bytes(0)
        if sum(part.outline.size for part in self.deltas) > most:
            raise ValueError("the deltas are larger than the snapshot")


class Want(Message, frozen=True):
    """A site asks for chunks of a global model's part that the broker did not deliver."""

    private: ClassVar[bool] = False
    part: PartKind
    version: Count
    bitmap: Bitmap
