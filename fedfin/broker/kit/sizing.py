"""What a broker needs, from the number of sites and the size of a model: upper bounds, not averages."""

from dataclasses import dataclass

from fedfin import limits

PACKET_BYTES = limits.CHUNK_BYTES + limits.PACKET_OVERHEAD_BYTES  # the largest that FedFIN sends by itself
# What one client may have under way and unacknowledged: a window, as FedFIN sends itself.
INFLIGHT_BYTES = limits.WINDOW * PACKET_BYTES
# With TLS: 28 KiB with mosquitto 2.0.11, 32 with 2.1.2 (tests/system/test_kit_on_mosquitto.py); as much again for a few
# messages.
CONNECTION_BYTES = 64 * 1024
# Old and new snapshot at once while one replaces the other, and deltas of at most one snapshot (docs/protocol.md).
SNAPSHOTS = 3
SPARE_CONNECTIONS = 16  # of `broker check`, and of clients whose old connection is not yet known to be dead


@dataclass(frozen=True)
class Sizing:
    """Bytes; `connections`: how many the broker lets in."""

    connections: int
    retained: int
    to_aggregator: int
    to_sites: int
    memory: int
    disk: int
    queued_messages: int


def sizing(sites: int, shards: int, model_bytes: int) -> Sizing:
    """For at most `sites` sites and a model whose snapshot has `model_bytes`."""
    connections = sites + shards + 1 + SPARE_CONNECTIONS
    retained = (
        SNAPSHOTS * model_bytes + connections * PACKET_BYTES
    )  # a manifest, and what each party may retain
    to_aggregator = min(sites, limits.SENDERS) * INFLIGHT_BYTES
    to_sites = sites * INFLIGHT_BYTES
    memory = retained + to_aggregator + to_sites + connections * CONNECTION_BYTES
    queued = max(
        1000, limits.SENDERS * limits.WINDOW + 4 * sites
    )  # all windows, and every site's small messages
    return Sizing(connections, retained, to_aggregator, to_sites, memory, 2 * retained, queued)


def words(sites: int, shards: int, model_bytes: int) -> str:
    """The sum, term by term."""
    size = sizing(sites, shards, model_bytes)
    return (
        f"for {sites} sites and a model of {model_bytes / 1e6:.0f} MB: at most {size.memory / 1e6:.0f} MB of memory ="
        f" retained {size.retained / 1e6:.0f} + on its way to the aggregator {size.to_aggregator / 1e6:.0f}"
        f" + to sites {size.to_sites / 1e6:.0f}"
        f" + {size.connections} connections {size.connections * CONNECTION_BYTES / 1e6:.0f};"
        f" disk {size.disk / 1e6:.0f} MB"
    )
