"""The life of a shard: its states, the events it heeds, the effects it asks for, and which leads where.

To its sites a shard is the aggregator that takes their updates; to the root it is a site whose update is a sum.
LEGAL is the whole of it, as in site_states.py and round_states.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.shards import Enough, Heard, Rewind
from fedfin.protocol.messages.transfers import Missing, Receipt
from fedfin.protocol.round_effects import Judge, Send, Spool
from fedfin.protocol.round_events import FromSite, Judged, Tick
from fedfin.protocol.site_events import Connected, Disconnected, Published


class State(Enum):
    """Where a shard stands."""

    WAITING = "waiting"  # for a round that is open
    OPENING = "opening"  # the shell looks up what it has of this round
    COLLECTING = "collecting"  # updates come in, until the root says that it is enough
    SUMMING = "summing"  # the shell makes the round's sum and keeps it
    DELIVERING = "delivering"  # the sum is on its way to the root
    FINISHED = "finished"  # the federation is over
    EVICTED = "evicted"  # the root cannot use this shard, and said why


@dataclass(frozen=True)
class RoundOpened:
    """What the shell has of the round: receipts given in it and before, and its sum if there is one already.

    `late`: the sites with an update for an earlier round that counts in this one.
    """

    receipts: Mapping[str, Receipt]
    earlier: Mapping[str, Receipt]
    late: tuple[str, ...] = ()
    sum: bytes = b""
    settled: bool = False  # the root has the sum


@dataclass(frozen=True)
class Summed:
    """The round's sum is made and durable."""

    payload: bytes


Event = (
    Connected
    | Disconnected
    | Published
    | Tick
    | FromSite
    | Judged
    | Welcome
    | RoundManifest
    | RoundOpened
    | Summed
    | Enough
    | Heard
    | Rewind
    | Missing
    | Receipt
    | Evict
)


@dataclass(frozen=True)
class SendUp:
    """Publish on the shard's own up channel, to the root."""

    channel: str
    message: Message


@dataclass(frozen=True)
class OpenRound:
    """Look up, or begin, the records of this round, and report RoundOpened."""

    manifest: RoundManifest


@dataclass(frozen=True)
class BeginLife:
    """Make it durable that the run goes on in another life, from this round: the root was set back, or a shard.

    Later rounds are dropped, and what is held of this one, too, unless the root says that it counts.
    """

    rewind: Rewind


@dataclass(frozen=True)
class SumUp:
    """Add up this round's accepted updates, make the sum durable, and report Summed."""

    round: int


@dataclass(frozen=True)
class Settle:
    """The root has the sum: the updates in it are not needed any more."""

    round: int


@dataclass(frozen=True)
class Finish:
    """The federation is over."""


@dataclass(frozen=True)
class Leave:
    """The root cannot use this shard."""

    reason: str


Effect = Send | SendUp | Spool | Judge | OpenRound | BeginLife | SumUp | Settle | Finish | Leave

_S = State
_ANYWHERE: dict[type, tuple[State, ...]] = {Evict: (_S.EVICTED,)}


def _while(state: State, *events: type) -> dict[type, tuple[State, ...]]:
    """What may come at any time does not change the state; another run of the plan does."""
    usual = dict.fromkeys((Connected, Disconnected, Tick, FromSite, Judged, Heard, *events), (state,))
    rewound = {Rewind: (state, _S.OPENING, _S.FINISHED)}
    return usual | rewound | {Welcome: (state, _S.WAITING, _S.EVICTED)} | _ANYWHERE


LEGAL: dict[State, dict[type, tuple[State, ...]]] = {
    _S.WAITING: _while(_S.WAITING) | {RoundManifest: (_S.WAITING, _S.OPENING, _S.FINISHED)},
    _S.OPENING: _ANYWHERE | {RoundOpened: (_S.COLLECTING, _S.DELIVERING, _S.WAITING)},
    _S.COLLECTING: _while(_S.COLLECTING)
    | {RoundManifest: (_S.COLLECTING, _S.OPENING, _S.FINISHED), Enough: (_S.COLLECTING, _S.SUMMING)},
    _S.SUMMING: _ANYWHERE | {Judged: (_S.SUMMING,), Summed: (_S.DELIVERING,)},
    _S.DELIVERING: _while(_S.DELIVERING, Missing, Published)
    | {RoundManifest: (_S.DELIVERING, _S.OPENING, _S.FINISHED)}
    | {Receipt: (_S.DELIVERING, _S.WAITING, _S.OPENING, _S.FINISHED, _S.EVICTED)},
    _S.FINISHED: {FromSite: (_S.FINISHED,)},
    _S.EVICTED: {},
}
