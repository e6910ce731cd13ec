"""Which messages travel on which channel.

up/ctl           Hello, Begin, Want, Decline; Ready, Dealing, Consent, Reveal
up/chunk         Chunk
dn/ctl           Welcome, Missing, Receipt, Evict, RoundManifest, GroupKeys, Twin; Cohort, Dealt, Survivors,
Consents, Summed
dn/chunk         Chunk
shard up/ctl     Tally, Deliver
shard up/chunk   Chunk
shard dn/ctl     Welcome, Enough, Heard, Rewind, Missing, Receipt, Evict, RoundManifest, Twin
up/state         SiteState (retained, last will)
agg/state        AggregatorState (retained, last will)
agg/charter      the charter (retained), signed text (fedfin/trust/charter.py)
global/manifest  RoundManifest (retained)
global/s/V/I     Chunk (retained) of a snapshot
global/d/V/I     Chunk (retained) of a delta
"""

from fedfin.protocol.messages.joining import Decline, Evict, GroupKeys, Hello, Welcome
from fedfin.protocol.messages.manifest import RoundManifest, Want
from fedfin.protocol.messages.presence import Twin
from fedfin.protocol.messages.secure_sums import (
    Cohort,
    Consent,
    Consents,
    Dealing,
    Dealt,
    Ready,
    Reveal,
    Summed,
    Survivors,
)
from fedfin.protocol.messages.shards import Deliver, Enough, Heard, Rewind, Tally
from fedfin.protocol.messages.transfers import Begin, Missing, Receipt

UpControl = Hello | Begin | Want | Decline | Ready | Dealing | Consent | Reveal
DownControl = (
    Welcome
    | Missing
    | Receipt
    | Evict
    | RoundManifest
    | GroupKeys
    | Twin
    | Cohort
    | Dealt
    | Survivors
    | Consents
    | Summed
)
ShardUpControl = Tally | Deliver
ShardDownControl = Welcome | Missing | Receipt | Evict | RoundManifest | Enough | Heard | Rewind | Twin
