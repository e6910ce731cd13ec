"""The life of a shard: its states, which event it heeds in which, and where that can lead.

LEGAL is the whole of it. To its sites a shard is the aggregator that takes their updates; to the root it is a site
whose update is a sum.
"""

from enum import Enum

from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.shards import Enough, Heard, Rewind
from fedfin.protocol.messages.transfers import Missing, Receipt
from fedfin.protocol.rounds.events import FromSite, Judged, Tick
from fedfin.protocol.shards.events import RoundOpened, Summed
from fedfin.protocol.site.events import Connected, Disconnected, Published


class State(Enum):
    """Where a shard stands."""

    WAITING = "waiting"  # for a round that is open
    OPENING = "opening"  # the shell looks up what it has of this round
    COLLECTING = "collecting"  # updates come in, until the root says that it is enough
    SUMMING = "summing"  # the shell makes the round's sum and keeps it
    DELIVERING = "delivering"  # the sum is on its way to the root
    FINISHED = "finished"  # the federation is over
    EVICTED = "evicted"  # the root cannot use this shard, and said why


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
