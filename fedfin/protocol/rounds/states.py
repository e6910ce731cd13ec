"""The life of a round at the aggregator: its states, which event it heeds in which, and where that can lead.

LEGAL is the whole of it.
"""

from enum import Enum

from fedfin.protocol.rounds.events import (
    Delivers,
    Disconnected,
    Enrolled,
    FromSite,
    Judged,
    Opened,
    Reconnected,
    Seal,
    SumEnded,
    Tick,
)


class State(Enum):
    """Where the current round stands."""

    STARTING = "starting"  # the server has not yet said which round it is
    COLLECTING = "collecting"  # updates come in
    FOLDING = "folding"  # enough came, or the deadline passed: the server makes the next version
    FINISHED = "finished"  # the last round is folded; sites may still fetch the final model


_S = State
LEGAL: dict[State, dict[type, tuple[State, ...]]] = {
    _S.STARTING: {Opened: (_S.COLLECTING, _S.FOLDING, _S.FINISHED)},
    _S.COLLECTING: {
        FromSite: (_S.COLLECTING,),
        Opened: (_S.COLLECTING, _S.FOLDING),  # a root's round anew, in another life
        Enrolled: (_S.COLLECTING, _S.FOLDING),
        Judged: (_S.COLLECTING, _S.FOLDING),
        SumEnded: (_S.COLLECTING, _S.FOLDING),
        Disconnected: (_S.COLLECTING,),
        Reconnected: (_S.COLLECTING,),
        Delivers: (_S.COLLECTING,),
        Seal: (_S.FOLDING,),
        Tick: (_S.COLLECTING, _S.FOLDING),
    },
    # Updates that were complete when the round closed are in it, and get their receipts. A root may have to wait for
    # its shards' sums: meanwhile sites are welcome, and fetch what they lack.
    _S.FOLDING: {
        FromSite: (_S.FOLDING,),
        Enrolled: (_S.FOLDING,),
        Judged: (_S.FOLDING,),
        Delivers: (_S.FOLDING,),
        Disconnected: (_S.FOLDING,),
        Reconnected: (_S.FOLDING,),
        Opened: (_S.COLLECTING, _S.FOLDING, _S.FINISHED),
    },
    _S.FINISHED: {FromSite: (_S.FINISHED,), Enrolled: (_S.FINISHED,)},
}
