"""The life of a site: its states, which event it heeds in which, and where that can lead.

LEGAL is the whole of it. An event that is not in the table is a late or repeated one, which MQTT may always deliver: it
is ignored.
"""

from enum import Enum

from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealt, Summed, Survivors
from fedfin.protocol.messages.transfers import Chunk, Missing, Receipt
from fedfin.protocol.site.events import (
    Assembled,
    Barred,
    Connected,
    Disconnected,
    Done,
    Masked,
    Misfit,
    Published,
    Tick,
)


class State(Enum):
    """Where a site stands."""

    JOINING = "joining"  # says hello until it is welcomed
    IDLE = "idle"  # waits for a round
    FETCHING = "fetching"  # collects the parts of a global model
    ASSEMBLING = "assembling"  # has them, and makes the model of them; or the first one of the plan
    WORKING = "working"  # computes its update
    SENDING = "sending"  # delivers it, until there is a receipt
    FINISHED = "finished"  # holds the final model
    EVICTED = "evicted"  # was dropped, and knows why


_S = State
_AFTER_MANIFEST = (_S.IDLE, _S.FETCHING, _S.ASSEMBLING, _S.WORKING, _S.FINISHED, _S.EVICTED)
LEGAL: dict[State, dict[type, tuple[State, ...]]] = {
    _S.JOINING: {
        Connected: (_S.JOINING,),
        Disconnected: (_S.JOINING,),
        Tick: (_S.JOINING,),
        # No manifest: what one may say is known from the plan, and with the plan comes the manifest, too.
        Welcome: (_S.IDLE, _S.ASSEMBLING, _S.SENDING, _S.EVICTED),
        Evict: (_S.EVICTED,),
    },
    _S.IDLE: {
        Welcome: (_S.IDLE, _S.EVICTED),
        Connected: (_S.IDLE,),
        Disconnected: (_S.IDLE,),
        Tick: (_S.IDLE,),
        RoundManifest: _AFTER_MANIFEST,
        Evict: (_S.EVICTED,),
    },
    _S.FETCHING: {
        Welcome: (_S.FETCHING, _S.EVICTED),
        Connected: (_S.FETCHING,),
        Disconnected: (_S.FETCHING,),
        Tick: (_S.FETCHING,),
        Chunk: (_S.FETCHING, _S.ASSEMBLING, _S.EVICTED),
        RoundManifest: _AFTER_MANIFEST,
        Evict: (_S.EVICTED,),
    },
    _S.ASSEMBLING: {
        Welcome: (_S.ASSEMBLING, _S.EVICTED),
        Connected: (_S.ASSEMBLING,),
        Disconnected: (_S.ASSEMBLING,),
        RoundManifest: (_S.ASSEMBLING,),
        Assembled: _AFTER_MANIFEST,
        Misfit: (_S.FETCHING, _S.ASSEMBLING, _S.EVICTED),
        Evict: (_S.EVICTED,),
    },
    _S.WORKING: {
        Welcome: (_S.WORKING, _S.EVICTED),
        Connected: (_S.WORKING,),
        Disconnected: (_S.WORKING,),
        Done: (_S.WORKING, _S.SENDING),
        Barred: _AFTER_MANIFEST,
        RoundManifest: _AFTER_MANIFEST,
        Evict: (_S.EVICTED,),
    },
    _S.SENDING: {
        Welcome: (_S.SENDING, _S.EVICTED),
        Connected: (_S.SENDING,),
        Disconnected: (_S.SENDING,),
        Tick: (_S.SENDING,),
        Published: (_S.SENDING,),
        Missing: (_S.SENDING,),
        Receipt: (_S.SENDING, *_AFTER_MANIFEST),
        Cohort: (_S.SENDING,),
        Dealt: (_S.SENDING,),
        Survivors: (_S.SENDING,),
        Consents: (_S.SENDING,),
        Masked: (_S.SENDING,),
        Barred: (_S.SENDING, *_AFTER_MANIFEST),
        Summed: (_S.SENDING, *_AFTER_MANIFEST),
        RoundManifest: (_S.SENDING, *_AFTER_MANIFEST),  # of a new life
        Evict: (_S.EVICTED,),
    },
    _S.FINISHED: {},
    _S.EVICTED: {},
}
