"""Single promises of the two machines that chance meets too seldom."""

import tracemalloc

import pytest
from machine_helpers import (
    CHUNK,
    ENCODER,
    HELLO,
    MODEL,
    OLD_MODEL,
    OTHER_RUN,
    PAYLOAD,
    PLAN,
    RUN,
    Aggregator,
    Site,
    begin_of,
    chunks_of,
    deeds,
    delta_of,
    manifest_of,
    snapshot_of,
)
from msgspec.structs import replace

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.life import Life
from fedfin.protocol.messages.joining import Evict, Hello, Welcome
from fedfin.protocol.messages.manifest import RoundManifest, Want
from fedfin.protocol.messages.transfers import Begin, Chunk, Missing, Receipt
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.rounds import events as round_events
from fedfin.protocol.rounds import states as round_states
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site import states as site_states
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.site.secure_machine import SecureSiteMachine


def test_hello_is_answered_with_the_plan_and_the_round() -> None:
    """So a site joins even when the retained manifest got lost."""
    kinds = [type(message) for message in Aggregator().ask(HELLO)]
    assert kinds == [Welcome, RoundManifest]


def test_wanting_a_replaced_version_is_answered_with_the_manifest() -> None:
    """The site that asks has missed it."""
    (answer,) = Aggregator().ask(Want(part="snapshot", version=9, bitmap=b"\x01"))
    assert (answer.round, answer.version) == (2, 1)


def test_wanted_chunks_are_sent_and_no_others() -> None:
    """Bits 0 and 2 of the snapshot's three; the delta's one; none for a bitmap that does not fit."""
    wanted = Want(part="snapshot", version=0, bitmap=b"\x05")
    assert Aggregator().feed(wanted) == [round_effects.SendChunks("s0", "snapshot", 0, (0, 2))]
    wanted = Want(part="delta", version=1, bitmap=b"\x01")
    assert Aggregator().feed(wanted) == [round_effects.SendChunks("s0", "delta", 1, (0,))]
    assert Aggregator().feed(Want(part="snapshot", version=0, bitmap=b"\xff")) == []


def test_a_new_version_publishes_what_is_new_and_clears_the_rest_after_the_manifest() -> None:
    """A site that reads the manifest finds its parts; one that has read the former still finds those for a while."""
    aggregator = Aggregator()
    parts = (round_events.Payload("snapshot", 0, b"m" * 3000), round_events.Payload("delta", 2, b"e" * 10))
    following = round_events.Opened(
        3, 2, OLD_MODEL, (parts[0], round_events.Payload("delta", 1, b"d" * 10), parts[1]), {}, {}
    )
    aggregator.machine.state = round_states.State.FOLDING
    effects = aggregator.machine.receive(following, 2.0)
    assert [type(effect) for effect in effects] == [
        round_effects.PublishPart,
        round_effects.PublishManifest,
        round_effects.ClearParts,
    ]
    assert effects[0].payload == parts[1]
    assert [part.version for part in effects[1].manifest.deltas] == [1, 2]
    assert effects[2].listed == (("snapshot", 0), ("delta", 1), ("delta", 2))


@pytest.mark.parametrize("encoders", [{}, {"smell": ENCODER}, {"image": "b" * 64}])
def test_a_site_that_cannot_follow_the_plan_is_evicted(encoders: dict[str, str]) -> None:
    """No modality of the plan, or another encoder; the reason says so."""
    (answer,) = Aggregator().ask(Hello(boot="0" * 16, encoders=encoders))
    assert isinstance(answer, Evict)
    assert "the plan's" in answer.reason


def test_an_update_of_another_run_is_not_even_taken() -> None:
    """The answer names the run that is on; a site that hears it leaves."""
    (answer,) = Aggregator().ask(begin_of(run=OTHER_RUN))
    assert answer == Welcome(run=RUN, plan=PLAN)
    site = Site()
    (leave,) = site.feed(Welcome(run=OTHER_RUN, plan=PLAN))
    assert isinstance(leave, site_effects.Leave)
    assert site.state is site_states.State.EVICTED


def test_chunks_in_any_order_lead_to_judgement_once() -> None:
    """Repeats, a damaged one and one of another cut are passed over."""
    aggregator, begin = Aggregator(), begin_of()
    assert aggregator.ask(begin) == [Missing(id=begin.outline.id, bitmap=b"\x07")]
    pieces = [transfer.chunk(PAYLOAD, begin.outline, i) for i in range(3)]
    wrong = [
        Chunk(id=begin.outline.id, index=0, data=b"x" * CHUNK),
        Chunk(id=begin.outline.id, index=0, data=b"x"),
        Chunk(id=begin.outline.id, index=99, data=b"x"),
        Chunk(id=b"\0" * 32, index=0, data=b"x"),
    ]
    for piece in wrong:
        assert aggregator.feed(piece) == []
    assert aggregator.feed(pieces[2]) == [round_effects.Spool("s0", 2 * CHUNK, pieces[2].data, len(PAYLOAD))]
    assert aggregator.feed(pieces[2]) == []
    assert aggregator.feed(pieces[0]) == [round_effects.Spool("s0", 0, pieces[0].data, len(PAYLOAD))]
    assert aggregator.ask(begin) == [Missing(id=begin.outline.id, bitmap=b"\x02")]
    last = aggregator.feed(pieces[1])
    assert last == [
        round_effects.Spool("s0", CHUNK, pieces[1].data, len(PAYLOAD)),
        round_effects.Judge("s0", 2, begin.outline.id, len(PAYLOAD), checked=False),
    ]
    assert aggregator.feed(pieces[1]) == aggregator.ask(begin) == []  # until there is its receipt


@pytest.mark.parametrize("which", ["receipts", "earlier"])
def test_a_repeated_begin_gets_the_same_receipt_again(which: str) -> None:
    """In its round and after it closed."""
    begin = begin_of(round_=2 if which == "receipts" else 1)
    receipt = Receipt(id=begin.outline.id, accepted=True)
    assert Aggregator(**{which: {"s0": receipt}}).ask(begin) == [receipt]


@pytest.mark.parametrize(
    ("begin", "opened", "reason"),
    [
        (begin_of(round_=1), {}, "late: round 1"),
        (begin_of(), {"limit": 1000}, "too large: 3072 bytes, at most 1000"),
        (begin_of(), {"receipts": {"s0": Receipt(id=b"1" * 32, accepted=True)}}, "already has an update"),
        (begin_of(), {"finished": True}, "late"),
    ],
)
def test_an_offer_that_cannot_count_is_refused_at_once(begin: Begin, opened: dict, reason: str) -> None:
    """Before a byte of it is sent, with the reason."""
    aggregator = Aggregator(**opened)
    answer, reported = aggregator.feed(begin)
    assert not answer.message.accepted
    assert reason in answer.message.reason
    assert reported == round_effects.Refused("s0", begin.round, begin.outline.id, answer.message.reason)
    assert aggregator.feed(begin) == [answer]  # again and again must not fill the logs


def test_a_round_closes_at_its_deadline_with_enough_sites_only() -> None:
    """With fewer than min_sites it goes on, and says so."""
    late = PLAN.rounds.deadline_s
    roster = {"s0": False, "s1": False, "s2": True}
    few = Aggregator(receipts={"s0": Receipt(id=b"1" * 32, accepted=True)}, roster=roster)
    assert deeds(few.machine, late - 1) == []
    assert few.machine.receive(round_events.Tick(), late) == [round_effects.Stalled(2, 1, 3, ("s1",))]
    full = Aggregator(receipts={f"s{i}": Receipt(id=b"1" * 32, accepted=True) for i in range(3)})
    assert full.opening[-1] == round_effects.CloseRound(2, {"s0": False, "s1": False, "s2": False})


def test_a_refused_update_does_not_count_towards_closing() -> None:
    """Three receipts, one of them a refusal."""
    receipts = {f"s{i}": Receipt(id=b"1" * 32, accepted=i > 0) for i in range(3)}
    assert Aggregator(receipts=receipts).machine.state is round_states.State.COLLECTING


def test_an_update_of_an_abandoned_round_is_ignored() -> None:
    """The worker may finish in the very moment in which its round closes."""
    site = Site()
    site.feed(manifest_of(2))
    assert site.feed(manifest_of(3)) == [site_effects.Abandon(2), site_effects.Work(3, "train", 2)]
    assert site.feed(site_events.Done(2, PAYLOAD)) == []
    assert site.state is site_states.State.WORKING


def test_an_older_manifest_changes_nothing() -> None:
    """Repeated and overtaken messages are normal; but if that is where the aggregator is, it must hear more."""
    site = Site()
    assert len(site.feed(manifest_of(3))) == 1
    assert site.feed(manifest_of(3), manifest_of(2)) == [site_effects.Send("up/ctl", site.machine.hello)]
    assert site.feed(manifest_of(2)) == [], "one question is enough"
    assert site.state is site_states.State.WORKING


def test_a_site_that_hears_of_another_run_asks_about_it_in_any_state() -> None:
    """It once fetched the former run's model for ever: the manifest was left out, and nothing else answered."""
    site = Site(model=OLD_MODEL)
    site.feed(manifest_of(3))
    assert site.state is site_states.State.FETCHING
    assert site.feed(manifest_of(1, run=OTHER_RUN)) == [site_effects.Send("up/ctl", site.machine.hello)]
    assert site.feed(manifest_of(1, run=OTHER_RUN)) == [], "one question is enough"


def test_leaves_that_were_made_before_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offer is the same; each pass over 5 MB takes 3 ms, while all wait."""
    site, other, update = Site(), Site(), PAYLOAD[:CHUNK]
    known = transfer.leaves(memoryview(update))
    site.feed(manifest_of(2))
    other.feed(manifest_of(2))
    offer = site.feed(site_events.Done(2, update))
    monkeypatch.setattr(transfer, "leaves", None)
    assert other.feed(site_events.Done(2, update, known)) == offer


def test_no_more_chunks_are_under_way_than_the_window() -> None:
    """And each one taken by the broker makes room for one."""
    site, payload = Site(), bytes(20 * CHUNK)
    site.feed(manifest_of(2))
    (offer,) = site.feed(site_events.Done(2, payload))
    first = site.feed(Missing(id=offer.message.outline.id, bitmap=b"\xff\xff\x0f"))
    assert [effect.message.index for effect in first] == list(range(8))
    assert [effect.message.index for effect in site.feed(site_events.Published())] == [8]


def test_a_broker_with_smaller_packets_gets_smaller_chunks() -> None:
    """Also for an update that was outlined before the reconnect."""
    site = Site()
    site.feed(manifest_of(2))
    site.feed(site_events.Disconnected())
    site.feed(site_events.Connected(4096))
    site.feed(site_events.Done(2, bytes(5000)))
    effects = site.feed(site_events.Connected(2048))
    assert effects[-1].message.outline.chunk_size == 2048


def test_a_site_takes_the_deltas_since_its_version() -> None:
    """Of those that are listed only the later ones; it asks the aggregator for what the broker does not bring."""
    site = Site(OLD_MODEL, version=3)
    assert site.feed(manifest_of(6, snapshot=1)) == [
        site_effects.Follow("delta", 4, 0),
        site_effects.Follow("delta", 5, 0),
    ]
    site.feed(*chunks_of(delta_of(5)))
    site.now = 6.0
    assert site.feed(site_events.Tick()) == [
        site_effects.Send("up/ctl", Want(part="delta", version=4, bitmap=b"\x01"))
    ]
    effects = site.feed(*chunks_of(delta_of(4)))
    assert effects[-1] == site_effects.Assemble(5, MODEL, None, (delta_of(4), delta_of(5)))
    assert site.feed(site_events.Assembled(5, MODEL)) == [site_effects.Work(6, "train", 5)]


@pytest.mark.parametrize("version", [None, 0, 6])
def test_a_late_joiner_takes_the_snapshot_and_the_deltas_after_it(version: int | None) -> None:
    """So does a site whose version is older than every delta, or is of a future that never was."""
    site = Site(OLD_MODEL, version=version)
    site.feed(manifest_of(6, snapshot=4))
    effects = site.feed(*chunks_of(snapshot_of(4)), *chunks_of(delta_of(5)))
    assert effects[-1] == site_effects.Assemble(5, MODEL, snapshot_of(4), (delta_of(5),))


def test_what_does_not_come_out_right_is_built_anew_from_the_snapshot() -> None:
    """Then it must be right: if not, the site leaves and says so."""
    site = Site(OLD_MODEL, version=4)
    site.feed(manifest_of(6, snapshot=4), *chunks_of(delta_of(5)))
    assert site.state is site_states.State.ASSEMBLING
    assert site.feed(site_events.Misfit("x"))[0] == site_effects.Follow("snapshot", 4, 0)
    site.feed(*chunks_of(snapshot_of(4)), *chunks_of(delta_of(5)))
    (leave,) = site.feed(site_events.Misfit("another digest"))
    assert "another digest" in leave.reason
    assert site.state is site_states.State.EVICTED


def test_hello_is_said_again_until_it_is_answered() -> None:
    """Another start of the aggregator that is behind takes an update of its open round, and must hear of later ones."""
    site = Site()
    site.feed(manifest_of(2), site_events.Done(2, PAYLOAD))
    site.machine.greet()
    asked = []
    for _ in range(2):
        site.now += limits.RETRY_S
        asked.append([type(effect.message) for effect in site.feed(site_events.Tick())])
        site.feed(Welcome(run=RUN, plan=PLAN))
    assert asked == [[Hello, Begin], [Begin]]


def test_what_an_earlier_version_needs_may_all_be_here() -> None:
    """The aggregator is set back while a site fetches: no chunk is missing, so that none would come and say so."""
    site = Site(OLD_MODEL, version=3)
    site.feed(manifest_of(6, snapshot=3), *chunks_of(delta_of(4)))
    assert site.state is site_states.State.FETCHING
    effects = site.feed(replace(manifest_of(5, snapshot=3), life=Life(1, "b" * 16)))
    assert effects[-1] == site_effects.Assemble(4, MODEL, None, (delta_of(4),))


@pytest.mark.parametrize("deltas", [0, 1])
def test_a_model_larger_than_the_plan_s_is_not_fetched(deltas: int) -> None:
    """A manifest of a few KB could announce a GiB: nothing is allocated for it, whatever the way."""
    site = Site(OLD_MODEL, version=4)
    honest = manifest_of(6, snapshot=5 - deltas)
    outline = replace(honest.snapshot.outline, size=2**20, chunks=(b"c" * 32,) * 1024)
    tracemalloc.start()
    (leave,) = site.feed(replace(honest, snapshot=replace(honest.snapshot, outline=outline)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "has 1048576 bytes, the plan's at most" in leave.reason
    assert site.state is site_states.State.EVICTED
    assert peak < 2**19


def test_another_run_s_version_is_nothing_to_build_on() -> None:
    """Version numbers begin anew with each run; a site begins with version 0, which it makes itself."""
    site = Site(OLD_MODEL, version=4)
    site.machine.state = site_states.State.JOINING
    assert site.feed(Welcome(run=OTHER_RUN, plan=PLAN)) == [
        site_effects.Join(OTHER_RUN, PLAN),
        site_effects.MakeFirst(),
    ]
    assert site.feed(manifest_of(6, run=OTHER_RUN, snapshot=4)) == []
    assert site.feed(site_events.Assembled(0, OLD_MODEL))[0] == site_effects.Follow("snapshot", 4, 0)


def test_the_first_model_does_not_travel() -> None:
    """A site that has made it works at once; one that joins later takes the deltas since."""
    site = Site(OLD_MODEL, version=4)
    for version, first in ((0, site_effects.Work(1, "moments", 0)), (2, site_effects.Follow("delta", 1, 0))):
        site.machine._answered.run, site.machine._manifest = "", None
        site.machine.state = site_states.State.JOINING
        site.feed(Welcome(run=RUN, plan=PLAN), manifest_of(version + 1, snapshot=0))
        assert site.feed(site_events.Assembled(0, MODEL if version == 0 else OLD_MODEL))[0] == first


def test_after_a_cut_only_the_missing_chunks_are_subscribed_to() -> None:
    """What is here already does not come a second time."""
    site = Site(OLD_MODEL)
    site.feed(manifest_of(6), chunks_of(snapshot_of(5))[1], site_events.Disconnected())
    assert site.feed(site_events.Connected(CHUNK))[1:] == [
        site_effects.Follow("snapshot", 5, 0),
        site_effects.Follow("snapshot", 5, 2),
    ]


def test_a_slow_site_keeps_what_a_later_manifest_needs_too() -> None:
    """Rounds that are faster than its download do not set it back."""
    site = Site(OLD_MODEL)
    site.feed(manifest_of(6, snapshot=5), *chunks_of(snapshot_of(5))[:2])
    gone = [site_effects.Unfollow("snapshot", 5, index) for index in range(2)]
    assert site.feed(manifest_of(7, snapshot=5)) == [*gone, site_effects.Follow("delta", 6, 0)]
    effects = site.feed(chunks_of(snapshot_of(5))[2], *chunks_of(delta_of(6)))
    assert effects[-1] == site_effects.Assemble(6, MODEL, snapshot_of(5), (delta_of(6),))
    (other,) = Site(OLD_MODEL, version=4).feed(manifest_of(6, snapshot=4), manifest_of(7))[1:2]
    assert other == site_effects.Unfollow("delta", 5, 0)


def test_a_newer_manifest_waits_until_the_model_is_assembled() -> None:
    """And then goes on from there."""
    site = Site(OLD_MODEL, version=4)
    site.feed(manifest_of(6, snapshot=4), *chunks_of(delta_of(5)))
    assert site.feed(manifest_of(7, snapshot=4, model=b"n" * 32)) == []
    assert site.feed(site_events.Assembled(5, MODEL)) == [site_effects.Follow("delta", 6, 0)]


def test_an_update_without_a_receipt_comes_before_anything_else() -> None:
    """After a restart, even when its round has closed: it may have been accepted."""
    site = Site(offer=(2, PAYLOAD))
    assert site.state is site_states.State.SENDING
    assert site.feed(manifest_of(3)) == [site_effects.Send("up/ctl", begin_of())]
    receipt = Receipt(id=begin_of().outline.id, accepted=False, reason="late")
    assert site.feed(receipt) == [site_effects.Settle(2, False, "late"), site_effects.Work(3, "train", 2)]


def test_another_run_does_not_get_the_update_of_this_one() -> None:
    """Its receipt would be another's."""
    site = SecureSiteMachine(
        site="s0", boot="0" * 16, encoders={}, memory=Memory(run=RUN, offer=(2, PAYLOAD))
    )
    site.receive(site_events.Connected(CHUNK), 0.0)
    effects = site.receive(Welcome(run=OTHER_RUN, plan=PLAN), 0.0)
    assert effects == [site_effects.Join(OTHER_RUN, PLAN), site_effects.MakeFirst()]
    assert site.receive(site_events.Assembled(0, MODEL), 0.0) == []
    assert site.state is site_states.State.IDLE


def test_an_idle_site_asks_whether_it_missed_something() -> None:
    """Seldom; and not while it is offline."""
    site = Site()
    assert site.feed(site_events.Tick()) == []
    site.now = 61.0
    assert [effect.message for effect in site.feed(site_events.Tick())] == [
        Hello(boot="0" * 16, encoders={"image": ENCODER}, run=RUN)
    ]
    site.feed(site_events.Disconnected())
    site.now = 600.0
    assert site.feed(site_events.Tick()) == []


@pytest.mark.parametrize("machine", [site_states, round_states])
def test_every_state_is_reachable_and_every_target_is_a_state(machine) -> None:
    """LEGAL has no dead ends but the final states."""
    reached = {target for row in machine.LEGAL.values() for targets in row.values() for target in targets}
    assert set(machine.LEGAL) == set(machine.State)
    assert reached | {next(iter(machine.State))} == set(machine.State)
