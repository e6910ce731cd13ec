"""SQLite stores, and the files of a site's state."""

import contextlib
from pathlib import Path

from fedfin_aggregator.store.journal import Journal
from fedfin_edge.agent.state import AgentState
from fedfin_edge.cases.feature_store import FeatureStore
from fuzz.scratch import REFUSED, scratch_file

ENCODER, INPUT = "a" * 64, b"i" * 32


def fuzz(data: bytes) -> None:
    """Opened and asked, or refused."""
    with contextlib.suppress(REFUSED), FeatureStore(_fresh("features.sqlite", data)) as store:
        store.known(ENCODER, [INPUT])
        store.get(ENCODER, INPUT, 2)
    with contextlib.suppress(REFUSED), contextlib.closing(Journal(_fresh("journal.sqlite", data))) as journal:
        journal.rounds()
        journal.updates.receipts(1)
        journal.versions.newest()
    for name in ("progress.json", "plan.json", "outbox.msgpack", "feedback.msgpack", "model.msgpack"):
        folder = scratch_file(name, data).parent
    with contextlib.suppress(REFUSED):
        state = AgentState(folder)
        state.memory({})
        state.feedback()
    with contextlib.suppress(REFUSED):
        AgentState(folder).plan()
    with contextlib.suppress(REFUSED):
        AgentState(folder).last_update()


def _fresh(name: str, data: bytes) -> Path:
    for rest in ("-wal", "-shm"):
        scratch_file(name + rest, b"").unlink()
    return scratch_file(name, data)
