"""Between a shard and its root."""

from typing import Annotated

import msgspec

from fedfin import limits
from fedfin.names import Digest, Name
from fedfin.protocol.fields import Boot, Count
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.transfers import Begin


class Tally(Message, frozen=True):
    """A shard says where it stands: which of its sites have an answer in this round.

    `late`: sites with an update for an earlier round that counts in this one. `closed`: no more will come, the sum
    is made. `behind`: in this life a site has a receipt of ours that we know nothing of: our folder was restored from
    a backup. `seen`: the newest round of this life that it has opened, `settled`: whose sum the root has taken, so that
    a root that was restored from a backup finds out. The root answers with whatever the shard has missed.
    """

    plan: Digest
    shards: Annotated[int, msgspec.Meta(ge=1, le=limits.SHARDS)]
    run: Boot
    round: Count
    accepted: tuple[Name, ...]
    refused: tuple[Name, ...]
    late: tuple[Name, ...]
    closed: bool
    life: Life = FIRST_LIFE
    behind: bool = False
    seen: Count = 0
    settled: Count = 0


class Enough(Message, frozen=True):
    """The root tells its shards to close the round: their sums are asked for.

    `promised`: whose updates the shard has said that it counts.
    """

    run: Boot
    round: Count
    life: Life = FIRST_LIFE
    promised: tuple[Name, ...] = ()


class Deliver(Message, frozen=True):
    """A shard offers the sum of a round, made in this `life`, or asks again where it stands: as a site with Begin.

    Two processes that are one shard may be in different lives: the tally of one says nothing of the other's sum.
    """

    begin: Begin
    life: Life


class Heard(Message, frozen=True):
    """The root's answer to a Tally from which nothing else follows: it is there."""


class Rewind(Message, frozen=True):
    """The root tells a shard to go on in another life, from the round of this manifest: what came later is dropped.

    `keep`: not what it holds of this round, unless it has closed it.
    """

    manifest: RoundManifest
    keep: bool
