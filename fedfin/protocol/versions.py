"""Which version of the program speaks, what it understands, and who must upgrade where two do not go together.

Every message has the same `v`. What both ends must know beyond it has a revision: parties announce theirs in hello and
welcome. One from before announcements leaves such a hello out, and hears the next one, which has none.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from fedfin import __version__
from fedfin.decoding import UNDECODABLE
from fedfin.plan import Plan

Revision = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
UNTOLD = 1  # the revision of parties that announce none
TWINS = 2  # from this one on sites understand Twin (messages/presence.py)
SIGNED_MODEL = 7  # from this one on keys in secure sums are signed with the id of the model (cohorts.py)


class Party(msgspec.Struct, frozen=True, array_like=True):
    """A program's version, and the revisions that it understands. Later versions may add to it."""

    program: Annotated[str, msgspec.Meta(max_length=64)]
    newest: Revision
    least: Revision

    def __str__(self) -> str:
        wire = f"{self.least}" if self.least == self.newest else f"{self.least} to {self.newest}"
        return f"FedFIN {ascii(self.program)[1:-1]}, which speaks revision {wire}"


OURS = Party(program=__version__, newest=SIGNED_MODEL, least=UNTOLD)
BEFORE = Party(program="that announces no version", newest=UNTOLD, least=UNTOLD)
Announced = Party | UnsetType


class _Hello(msgspec.Struct):
    """As much of a hello as any version must be able to read."""

    kind: str
    party: Announced = UNSET


def party_of(announced: Announced) -> Party:
    """Who has said this."""
    return BEFORE if isinstance(announced, UnsetType) else announced


def mismatch(site: Party, aggregator: Party) -> str | None:
    """Why the two do not go together, and who must upgrade."""
    if site.newest >= aggregator.least and aggregator.newest >= site.least:
        return None
    behind = "the site" if site.newest < aggregator.least else "the aggregator"
    return f"the site runs {site}, the aggregator {aggregator}: upgrade {behind}"


def following(plan: Plan, ours: Party = OURS) -> Party:
    """As which we go on with a plan: one with secure sums is not followed by every revision.

    A site takes nobody's key that is signed as before. So there each must know what came before, too: histograms of
    scores in 32 bins (3), privacy.least_sites_per_block (4), a consent in Begin (5), privacy.least_answers (6).
    """
    return replace(ours, least=max(ours.least, SIGNED_MODEL)) if plan.privacy.summed else ours


def answer_to(plan: Plan, announced: Announced) -> Announced:
    """What a welcome announces: nothing to a hello without a version, which may be of a site that cannot read it.

    Where the plan asks for more than such a site has, it is not to join: there we always announce.
    """
    ours = following(plan)
    return UNSET if isinstance(announced, UnsetType) and ours.least == UNTOLD else ours


def foreign_hello(data: bytes, aggregator: Party = OURS) -> str | None:
    """Why a message that this version cannot read is of a site that does not go together with it, if so."""
    try:
        hello = msgspec.msgpack.decode(data, type=_Hello)
    except UNDECODABLE:
        return None
    return mismatch(party_of(hello.party), aggregator) if hello.kind == "hello" else None


class Announcement:
    """Whether a site's next hello announces its version: every other one does, until the aggregator answers one.

    `waiting`: no answer has come to the last one yet.
    """

    def __init__(self, ours: Party = OURS) -> None:
        self.ours, self.waiting = ours, False
        self._announces = True

    @property
    def party(self) -> Announced:
        """What the hello says."""
        return self.ours if self._announces or self.ours.least > UNTOLD else UNSET

    def ask(self) -> None:
        """A hello is about to leave."""
        self.waiting = True

    def ask_again(self) -> None:
        """The last one may not have been understood."""
        if self.waiting:
            self._announces = not self._announces

    def answered(self, party: Announced) -> None:
        """The aggregator announces its version, or is from before that."""
        self._announces, self.waiting = not isinstance(party, UnsetType), False
