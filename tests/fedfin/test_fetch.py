"""A site on its way to a model."""

from fedfin.protocol import transfer
from fedfin.protocol.fetch import Fetch
from fedfin.protocol.invitation import EVERYONE
from fedfin.protocol.messages import Part, RoundManifest

DATA = bytes(range(256)) * 8


def _arrived(model: bytes) -> tuple[Fetch, RoundManifest]:
    """All of the snapshot that a manifest with this `model` offers."""
    outline = transfer.outline(DATA, 1024)
    manifest = RoundManifest(
        run="0" * 16,
        round=2,
        task="train",
        state="open",
        version=1,
        model=model,
        snapshot=Part(version=1, outline=outline),
        deltas=(),
        threshold=EVERYONE,
    )
    fetch = Fetch()
    fetch.aim(manifest, None)
    for index in range(len(outline.chunks)):
        fetch.add(transfer.chunk(DATA, outline, index))
    return fetch, manifest


def test_a_snapshot_alone_is_the_model() -> None:
    """What its id is, its reader checks (fedfin_edge/agent/global_model.py): it may be sealed here."""
    fetch, manifest = _arrived(transfer.whole_id(DATA))
    assert fetch.finish(manifest)[-1].snapshot == DATA
