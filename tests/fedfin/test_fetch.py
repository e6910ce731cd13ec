"""A site on its way to a model."""

import pytest

from fedfin.errors import ProtocolError
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
    """It is not hashed again: its id is the model's."""
    fetch, manifest = _arrived(transfer.whole_id(DATA))
    assert fetch.finish(manifest)[-1].snapshot == DATA


def test_a_snapshot_of_another_model_is_refused() -> None:
    """However whole it came."""
    fetch, manifest = _arrived(b"?" * 32)
    with pytest.raises(ProtocolError, match="not the model of version 1"):
        fetch.finish(manifest)
