"""Which way to a version is offered, and which one a site takes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.chain import Chain, Offer, extend, path
from fedfin.protocol.messages.manifest import Part, RoundManifest

SIZE = 10_000


def _grown(delta_sizes: list[int]) -> list[Chain]:
    """A chain from version 0 on, one version for each delta."""
    chains = [Chain(Offer(0, SIZE))]
    for version, size in enumerate(delta_sizes, 1):
        chains.append(extend(chains[-1], Offer(version, SIZE), size))
    return chains


def _manifest(chain: Chain, version: int) -> RoundManifest:
    def part(offer: Offer) -> Part:
        return Part(version=offer.version, outline=transfer.outline(bytes(offer.size), 1024))

    return RoundManifest(
        run="0" * 16,
        round=version + 1,
        task="train",
        state="open",
        version=version,
        model=b"m" * 32,
        snapshot=part(chain.snapshot),
        deltas=tuple(part(delta) for delta in chain.deltas),
    )


@given(st.lists(st.integers(1, SIZE + 100), max_size=80))
@settings(max_examples=100, deadline=None)
def test_every_chain_makes_a_manifest_and_leads_everybody_there(sizes: list[int]) -> None:
    """Whatever the sizes: no gap, no more than is allowed, and a way from every version and from nothing."""
    version = len(sizes)
    manifest = _manifest(_grown(sizes)[-1], version)  # the manifest refuses a chain that breaks its rules
    for held in (None, *range(version)):
        way = path(manifest, held)
        at = held
        for kind, part in way:
            assert kind == "snapshot" or part.version == at + 1
            at = part.version
        assert at == version
        assert sum(part.outline.size for _, part in way) <= 1.25 * SIZE


def test_small_deltas_renew_the_snapshot_seldom_and_stay_as_long_as_they_pay() -> None:
    """At 1 % each: a snapshot every 26 versions; 32 deltas stay, also those before the snapshot."""
    chains = _grown([SIZE // 100] * 100)
    assert [chain.snapshot.version for chain in chains if chain.snapshot.version][::26] == [26, 52, 78]
    assert {len(chain.deltas) for chain in chains[32:]} == {limits.LISTED_DELTAS}


def test_tiny_deltas_renew_it_when_they_are_too_many() -> None:
    """A late joiner never has more than 32 to fetch."""
    chains = _grown([1] * 70)
    assert sorted({chain.snapshot.version for chain in chains}) == [0, 33, 66]


def test_a_delta_that_saves_less_than_a_tenth_is_not_offered() -> None:
    """With `exact` that is every version that trained everything."""
    assert _grown([9_001])[-1] == Chain(Offer(1, SIZE))
    assert _grown([9_000])[-1] == Chain(Offer(1, SIZE), (Offer(1, 9_000),))
    assert _grown([10, 9_001, 10])[-1] == Chain(Offer(2, SIZE), (Offer(3, 10),))


def test_a_site_that_was_away_takes_the_deltas_only_while_they_are_cheaper() -> None:
    """Then the snapshot, and the deltas after it."""
    manifest = _manifest(_grown([1_000] * 8)[-1], 8)
    assert manifest.snapshot.version == 6
    assert [part.version for part in manifest.deltas] == list(range(1, 9))
    assert [kind for kind, _ in path(manifest, 0)] == ["delta"] * 8
    assert [part.version for _, part in path(manifest, None)] == [6, 7, 8]
