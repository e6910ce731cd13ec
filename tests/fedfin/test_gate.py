"""Who holds a place at the aggregator, and what anyone may ask of it."""

import tracemalloc

import pytest
from machine_helpers import CHUNK, HELLO, MODEL, PAYLOAD, PLAN, RUN, begin_of

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.messages.joining import Evict, Hello, Welcome
from fedfin.protocol.messages.manifest import Want
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.transfers import Begin, Missing, Receipt
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.rounds import events as round_events
from fedfin.protocol.rounds.gate import MINUTE_S, Gate
from fedfin.protocol.rounds.machine import RoundMachine
from fedfin.protocol.shards.machine import ShardMachine
from fedfin.protocol.shards.shard import Shard

STATE = SiteState(online=True, boot="0" * 16)
WANT = Want(part="snapshot", version=0, bitmap=b"\x07")
ASKED = {Hello: HELLO, Begin: begin_of(), Want: WANT, SiteState: STATE}
QUOTAS = {Hello: limits.HELLOS, Begin: limits.BEGINS, Want: limits.WANTS, SiteState: limits.STATES}
MOST = limits.NAMES + limits.NAMES_PER_SITE * PLAN.rounds.sites


class Aggregator:
    """At round 2; what a message leads to."""

    def __init__(self, enrolled: frozenset[str] | None = None, **opened) -> None:
        self.machine = RoundMachine(
            PLAN, run=RUN, max_update_bytes=10**6, chunk_size=CHUNK, enrolled=enrolled
        )
        parts = (round_events.Payload("snapshot", 1, b"m" * 3000),)
        facts = {"round": 2, "version": 1, "model": MODEL, "parts": parts, "receipts": {}, "earlier": {}}
        self.machine.receive(round_events.Opened(**(facts | opened)), 0.0)

    def feed(self, site: str, message, now: float = 1.0) -> list[round_effects.Effect]:
        """One message of a site."""
        return self.machine.receive(round_events.FromSite(site, message), now)


@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: kind.__name__)
def test_what_exceeds_a_name_s_quota_is_dropped_and_told_once_a_minute(kind: type) -> None:
    """Another name's is not touched; with time it comes back."""
    aggregator, (most, per_minute) = Aggregator(), QUOTAS[kind]
    aggregator.feed("honest", HELLO)
    aggregator.feed("liar", HELLO)
    answered = [bool(aggregator.feed("liar", ASKED[kind])) for _ in range(3 * most)]
    assert sum(answered) <= most < len(answered)
    assert aggregator.feed("honest", ASKED[kind])
    told = [
        effect
        for second in (61.0, 62.0, 63.0)
        for effect in aggregator.machine.receive(round_events.Tick(), second)
        if isinstance(effect, round_effects.Throttled)
    ]
    assert told == [round_effects.Throttled(answered.count(False), "liar")]
    again = [bool(aggregator.feed("liar", ASKED[kind], 2.0 + MINUTE_S)) for _ in range(3 * most)]
    assert min(most, per_minute) - 1 <= sum(again) <= most


@pytest.mark.parametrize(
    ("message", "every"),
    [
        (HELLO, limits.RETRY_S),
        (begin_of(), limits.RETRY_S),
        (begin_of(), 0.1),  # the fastest rounds measured
        (STATE, limits.RETRY_S),
    ],
)
def test_honest_intervals_are_never_throttled(message, every: float) -> None:
    """An hour of them."""
    aggregator = Aggregator()
    aggregator.feed("s0", HELLO)
    steps = int(3600 / every)
    assert all(aggregator.feed("s0", message, 1.0 + step * every) for step in range(steps))


def test_a_site_that_lacks_every_part_of_a_long_chain_is_never_throttled() -> None:
    """A want for each of 33 parts, whenever it asks again."""
    gate = Gate(sites=1)
    assert gate.admits("s0", 0.0)
    times = [step * limits.RETRY_S for step in range(100) for _ in range(limits.LISTED_DELTAS + 1)]
    assert all(gate.passes("s0", WANT, now) for now in times)


def test_names_without_end_cost_nothing_lasting() -> None:
    """100,000 names say hello; so many as the limit says hold a place, and memory does not grow with the others."""
    aggregator = Aggregator()
    for number in range(MOST):
        assert aggregator.feed(f"n{number}", HELLO)
    tracemalloc.start()
    for number in range(100_000):
        for message in (HELLO, begin_of(), WANT, STATE)[:: 1 if number < 100 else 4]:
            aggregator.feed(f"m{number}", message, 1.0 + number * 1e-4)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 2**20, "a tenth of what 100,000 places are, or less"
    assert sum(aggregator.machine.knows(f"m{number}") for number in range(1000)) == 0
    assert len(aggregator.machine._roster) == MOST


def test_a_name_that_never_gave_anything_yields_its_place_when_it_is_quiet_for_long() -> None:
    """The quietest first; a site whose update counted keeps its own, though nothing was heard of it."""
    proven = {"s0": Receipt(id=b"1" * 32, accepted=True)}
    aggregator = Aggregator(receipts=proven)
    for number in range(MOST - 1):
        aggregator.feed(f"n{number}", HELLO, 1.0 + number * 1e-3)
    assert aggregator.feed("late", HELLO, limits.FORGET_S - 1) == []
    assert aggregator.feed("late", HELLO, limits.FORGET_S + 2)
    assert not aggregator.machine.knows("n0")
    assert aggregator.machine.knows("s0")


def test_with_a_roster_no_other_name_gets_a_place_and_nobody_takes_that_of_an_enrolled_one() -> None:
    """However many come first."""
    aggregator = Aggregator(enrolled=frozenset({"s0", "s1"}))
    for number in range(1000):
        for message in (HELLO, begin_of(), WANT, STATE):
            assert aggregator.feed(f"liar-{number}", message) == []
    assert len(aggregator.machine._roster) == 0
    assert isinstance(aggregator.feed("s1", HELLO)[0].message, Welcome)
    (asked,) = aggregator.feed("s1", begin_of())
    assert isinstance(asked.message, Missing)


def test_a_hello_that_does_not_fit_the_plan_gets_no_place() -> None:
    """It is told why, and forgotten."""
    aggregator = Aggregator()
    (answer,) = aggregator.feed("odd", Hello(boot="0" * 16, encoders={"smell": "c" * 64}))
    assert isinstance(answer.message, Evict)
    assert not aggregator.machine.knows("odd")


def test_64_liars_do_not_keep_an_honest_update_out() -> None:
    """They begin, ask again and again, and never send; the honest site is asked for its chunks in SILENCE_S."""
    aggregator = Aggregator()
    for number in range(limits.SENDERS):
        assert aggregator.feed(f"liar-{number}", begin_of())
    assert aggregator.feed("s0", begin_of()) == []
    for number in range(limits.SENDERS):
        aggregator.feed(f"liar-{number}", begin_of(), limits.SILENCE_S)
    calls = aggregator.machine.receive(round_events.Tick(), limits.SILENCE_S + 1)
    assert [call.site for call in calls] == ["s0"]
    pieces = [transfer.chunk(PAYLOAD, begin_of().outline, i) for i in range(3)]
    effects = [effect for piece in pieces for effect in aggregator.feed("s0", piece, 12.0)]
    assert isinstance(effects[-1], round_effects.Judge)


def test_a_shard_keeps_no_offers_of_names_without_end() -> None:
    """Those that come between two rounds wait there; each may have an outline of 128 KiB."""
    shard = ShardMachine(PLAN, Shard(0, 1), max_update_bytes=10**6)
    for number in range(MOST + 1000):
        shard.receive(round_events.FromSite(f"n{number}", begin_of()), 0.0)
    assert len(shard._early) == MOST


def test_a_new_roster_takes_places_and_says_whose() -> None:
    """Who is not enrolled any more gets none again."""
    gate = Gate(sites=3, enrolled=frozenset({"a", "b"}))
    assert gate.admits("a", 0.0)
    assert gate.admits("b", 0.0)
    assert gate.enroll(frozenset({"b", "c"})) == ["a"]
    assert [gate.admits(site, 1.0) for site in ("a", "b", "c")] == [False, True, True]
