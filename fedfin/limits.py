"""Every limit of the protocol, with the measurement or reason behind it. Checked before anything is allocated."""

# One PUBLISH must finish within two keepalives or the client disconnects itself and resends for ever
# (measured: 3 MB at 2 Mbit/s with keepalive 5 is a livelock). 256 KiB takes 1.05 s at 2 Mbit/s.
CHUNK_BYTES = 256 * 1024
# ... unless the broker's URL says another: a broker that takes its time for each packet is faster with larger ones. So
# everybody takes as much: it passes within two keepalives from 70 kbit/s on, over WebSockets from 140.
LEAST_CHUNK_BYTES = 4 * 1024
MOST_CHUNK_BYTES = 1024 * 1024
# The grain of an update on its way up: what is asked for again is a multiple of it. A packet carries one or several,
# as fast as the link is (pace.py); half a packet is what a broken connection costs on average.
UP_CHUNK_BYTES = 32 * 1024
# What an MQTT packet and our envelope add to a chunk's data, generously.
PACKET_OVERHEAD_BYTES = 4 * 1024
MOST_PACKET_BYTES = MOST_CHUNK_BYTES + PACKET_OVERHEAD_BYTES
# Packets on their way at once: enough to fill a link while acknowledgements travel, little to send again after a cut.
WINDOW = 8
# ... and their bytes, of an update: of larger packets fewer are on their way.
WINDOW_BYTES = WINDOW * CHUNK_BYTES
KEEPALIVE_S = 60
# Sites that send at once. Their windows together stay below what mosquitto queues for one client (1,000 messages):
# beyond that it drops without a word, and every chunk dropped costs its site a retry.
SENDERS = 64
# A sender that is silent for so long yields its place when others wait: the time in which a site asks twice.
SILENCE_S = 10.0
# ... and so does one that sent less than this meanwhile, 64 kbit/s: a chunk now and then must not hold a place. What a
# slow site had under way is taken all the same.
LEAST_BYTES = 80_000
# Names that hold a place where there is no roster: enough for a small federation's trials and replaced machines, ...
NAMES = 256
# ... and for a large one's sites and their successors. A place is some 2 KB.
NAMES_PER_SITE = 4
# A name that never gave an update and is quiet for so long yields its place to another when all are taken.
FORGET_S = 600.0
# Messages of one name: at once, and a minute from then on. An honest site asks every RETRY_S, 12 times a minute.
HELLOS = (20, 60)  # it says hello at each connection, too, and when it missed rounds
BEGINS = (200, 1200)  # one or two a round, and the fastest rounds measured take 0.1 s
WANTS = (200, 800)  # one for each of 33 parts, every RETRY_S: 396
STATES = (40, 60)  # two for each connection

# New lives of a run that one site can make one start of the aggregator begin; and answers of a site to the same round,
# one in each life. Restoring a backup takes one, and who asks without end learns from the differences.
LIVES = 8
# How far the number of a life may be above ours and be one that honest restores came to: each takes one. A number that
# a site makes up moves ours by no more, so that it stays one that messages carry.
LIVES_AHEAD = 1024

# People behind a number that leaves a site by itself, or cases behind a result that is shown: fewer tell of each.
LEAST_PATIENTS = LEAST_CASES = 10

# Where answers are counted over all sites, a site still has so many patients of either for itself, or none: so an
# aggregator that lies of the counts sees no single one. Ten would cost points at sites of 72 (docs/LOG.md).
LEAST_MERGED = 3

# Answers on their way to one site at once: one travels while one is acknowledged, and one waits behind.
ANSWERS = 3
# ... and to all sites together, in bytes: what the client's queue holds at most, whatever is asked for.
ANSWER_BYTES = 8 * 1024 * 1024

CONTROL_BYTES = (
    384 * 1024
)  # a control message; the longest is RoundManifest: two digests per chunk of a model
CHUNKS = 4096  # per transfer: 1 GiB, and 128 KiB of digests in Begin
TRANSFER_BYTES = CHUNKS * CHUNK_BYTES  # ... in larger chunks, too
LISTED_DELTAS = 32  # between versions, offered at once; at 130 bytes each in a manifest
TENSORS = 4096  # per update or model
# Of a plan's model or of one update. The default model has 1.2 million, and a site that trains holds each about ten
# times for a while: the largest plan costs it about 1.5 GB.
PLAN_VALUES = 1 << 25
MODALITIES = 64  # of a plan, and of a site
SETTINGS_BYTES = (
    1 << 20
)  # a plan, a site's settings, a bundle's manifest: the longest lists of labels take 200 KB
NAME_CHARS = 128  # a metric's name
METRICS = 64  # named numbers beside an update
GROUP_KEYS = 64  # that one message brings: one for each charter of a run that removed a site
REASON_CHARS = 500  # why an update was refused or a site dropped

# The fold is a sum of int64 fixed-point numbers (fedfin_aggregator/fold/fold.py), which adds up how large they can be:
# it holds 2^39 cases of values up to 1, 2^30 of values below 2^9, and 2^23 of the largest that travel.
VALUE_ABS = 2.0**16
FRACTION_BITS = 24
ROUND_WEIGHT = 2**40  # cases that one tensor's sum can count, whatever its values
SITE_WEIGHT = 2**30  # cases that one site can claim for one tensor, whatever the plan says
FEATURE_ABS = (
    2.0**8
)  # of a feature, in the root of its mean square: its square must be below VALUE_ABS to travel

# Sites in one secure sum: fewer would show what single sites gave; of more, one site's shares would not fit a message.
LEAST_SUMMED = 3
LEAST_GROUPS = 3  # of sites, whose sums are compared: two have no middle
COHORT = 512
BLOCK_BYTES = (
    64 * 1024
)  # of what all sites of a cohort say of the blocks they give to; keys and shares take 140 KB
# Rounds of training at most that a plan with secure sums is drafted with, and the demo's has: what they and all else
# that is seen tell together of ten sites of 72 in 16 dimensions is to stay at .60 (docs/leakage.md).
SUMMED_ROUNDS = 2

# A question without an answer is asked again after this long.
RETRY_S = 5.0
# A tally names every site that has an answer. So that it stays below 30 KB/s, the next one may follow after this long
# per answer: of ten sites the root hears at once, of five hundred four times a second.
TALLY_S = 0.0005
AWAIT_S = 60.0  # how often the aggregator tells its operator which sites an open round waits for
REMIND_S = 30.0  # how often the root tells its operator which shards it waits for
SHARDS = 256  # of one federation
# A site without work asks this often whether it missed something: once in a round is enough, the broker tells it first.
IDLE_S = 60.0
# A site whose link broke is waited for this long, also when all others have answered: longer than the link's longest
# pause between two tries (30 s, with jitter 45 s), so that a cut in the middle of an upload does not cost the upload.
OFFLINE_GRACE_S = 60.0
