"""A site on its way to a model."""

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.invitation import EVERYONE
from fedfin.protocol.messages.manifest import Part, RoundManifest
from fedfin.protocol.site.effects import Effect, Follow, Unfollow
from fedfin.protocol.site.fetch import FOLLOWED, FOLLOWED_BYTES, Fetch

DATA = bytes(range(256)) * 8


def _manifest(data: bytes, chunk_size: int, model: bytes = b"m" * 32) -> RoundManifest:
    """It offers `data` as its snapshot."""
    return RoundManifest(
        run="0" * 16,
        round=2,
        task="train",
        state="open",
        version=1,
        model=model,
        snapshot=Part(version=1, outline=transfer.outline(data, chunk_size)),
        deltas=(),
        threshold=EVERYONE,
    )


def test_a_snapshot_alone_is_the_model() -> None:
    """What its id is, its reader checks (fedfin_edge/agent/global_model.py): it may be sealed here."""
    manifest, fetch = _manifest(DATA, 1024, transfer.whole_id(DATA)), Fetch()
    fetch.aim(manifest, None)
    for index in range(2):
        fetch.add(transfer.chunk(DATA, manifest.snapshot.outline, index))
    assert fetch.finish(manifest)[-1].snapshot == DATA


def test_every_chunk_is_subscribed_to_by_its_index_and_few_at_once() -> None:
    """A broker may give nothing that is retained to a wildcard, and drop what waits for a slow site beyond its limit.

    The last of a window is here when its first is not: only so many are ever followed.
    """
    manifest, fetch = _manifest(DATA, 8), Fetch()
    outline = manifest.snapshot.outline
    following = _followed(set(), fetch.aim(manifest, None))
    assert following == set(range(FOLLOWED))
    for index in [*range(1, len(outline.chunks)), 0]:
        following = _followed(following, fetch.add(transfer.chunk(DATA, outline, index)))
        assert len(following) <= FOLLOWED
    assert fetch.complete
    assert not _followed(following, fetch.finish(manifest))


def test_subscriptions_change_by_half_a_window() -> None:
    """Each change alone is a packet there and back; meanwhile the broker always has half a window on its way."""
    manifest, fetch = _manifest(DATA, 8), Fetch()
    fetch.aim(manifest, None)
    pieces = [transfer.chunk(DATA, manifest.snapshot.outline, index) for index in range(FOLLOWED // 2)]
    assert [effect for piece in pieces[:-1] for effect in fetch.add(piece)] == []
    effects = fetch.add(pieces[-1])
    gone = [effect.index for effect in effects if isinstance(effect, Unfollow)]
    assert gone == list(range(FOLLOWED // 2))
    assert [effect.index for effect in effects[len(gone) :]] == list(range(FOLLOWED, 3 * FOLLOWED // 2))


def test_of_large_chunks_fewer_are_followed() -> None:
    """The broker has no more bytes on their way to a site than of 64 chunks of the usual size."""
    manifest, fetch = _manifest(bytes(40 * limits.MOST_CHUNK_BYTES), limits.MOST_CHUNK_BYTES), Fetch()
    following = _followed(set(), fetch.aim(manifest, None))
    for index in range(40):
        assert len(following) * limits.MOST_CHUNK_BYTES <= FOLLOWED_BYTES == 16 * 1024 * 1024
        assert index in following
        piece = transfer.chunk(bytes(40 * limits.MOST_CHUNK_BYTES), manifest.snapshot.outline, index)
        following = _followed(following, fetch.add(piece))
    assert fetch.complete


def _followed(before: set[int], effects: list[Effect]) -> set[int]:
    """The chunks that are subscribed to after these effects."""
    gone = {effect.index for effect in effects if isinstance(effect, Unfollow)}
    return (before - gone) | {effect.index for effect in effects if isinstance(effect, Follow)}
