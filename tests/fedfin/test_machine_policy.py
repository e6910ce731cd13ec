"""The round policy in the two machines: what each does when a site is late, silent, uninvited or cut off."""

import pytest
from machine_helpers import (
    HELLO,
    MODEL,
    PAYLOAD,
    RUN,
    Aggregator,
    Site,
    begin_of,
    deeds,
    make_plan,
    manifest_of,
)

from fedfin.protocol import transfer
from fedfin.protocol.invitation import EVERYONE, draw
from fedfin.protocol.messages.joining import Evict, Hello
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import decode, encode
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.transfers import Missing, Receipt
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.rounds import events as round_events
from fedfin.protocol.schedule import task_of
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site import states as site_states
from fedfin_aggregator.serve.waiting import _awaiting

FOLD = make_plan(count=9, late="fold", min_sites=1, deadline_s=100.0, staleness_limit=2)
QUORUM = make_plan(count=9, min_sites=1, deadline_s=100.0)
ACCEPTED = Receipt(id=b"1" * 32, accepted=True)
ROSTER = {"s0": False, "s1": False, "s2": False}
SNAPSHOT = (round_events.Payload("snapshot", 0, b"m" * 3000),)


def _send(aggregator: Aggregator, round_: int, site: str = "s0") -> list[round_effects.Effect]:
    """A whole update, offered and sent; what the last chunk led to."""
    begin = begin_of(round_=round_)
    aggregator.ask(begin, site)
    pieces = [transfer.chunk(PAYLOAD, begin.outline, i) for i in range(3)]
    return [effect for piece in pieces for effect in aggregator.feed(piece, site)]


# The aggregator.


def test_a_late_update_is_judged_for_its_own_round() -> None:
    """And, accepted, answered again from the cache; it does not close the round that is open."""
    aggregator = Aggregator(plan=FOLD, round=4, roster=ROSTER)
    (judge,) = [effect for effect in _send(aggregator, 3) if isinstance(effect, round_effects.Judge)]
    assert (judge.site, judge.round) == ("s0", 3)
    receipt = Receipt(id=judge.id, accepted=True)
    effects = aggregator.machine.receive(round_events.Judged((round_events.Answer("s0", 3, receipt),)), 1.0)
    assert effects == [round_effects.Send("s0", "dn/ctl", receipt)]
    assert aggregator.ask(begin_of(round_=3)) == [receipt]


@pytest.mark.parametrize(("plan", "round_", "late"), [(QUORUM, 3, True), (FOLD, 3, False), (FOLD, 1, True)])
def test_a_late_offer_is_taken_only_when_it_will_count(plan, round_: int, late: bool) -> None:
    """Training, not too stale, and the plan folds: else not a byte of it is sent."""
    (answer,) = Aggregator(plan=plan, round=4).ask(begin_of(round_=round_))
    assert isinstance(answer, Receipt if late else Missing)


def test_a_transfer_goes_on_when_its_round_closes_meanwhile_if_it_still_counts() -> None:
    """What has come is not sent again."""
    aggregator = Aggregator(plan=FOLD, round=3, roster=ROSTER)
    begin = begin_of(round_=3)
    aggregator.ask(begin)
    aggregator.feed(transfer.chunk(PAYLOAD, begin.outline, 0))
    (*_, close) = aggregator.machine.receive(
        round_events.Judged((round_events.Answer("s1", 3, ACCEPTED),)), 200.0
    )
    assert isinstance(close, round_effects.CloseRound)
    opened = round_events.Opened(4, 2, MODEL, (round_events.Payload("snapshot", 2, b"m" * 3000),), {}, {})
    aggregator.machine.receive(opened, 200.0)
    assert aggregator.ask(begin) == [Missing(id=begin.outline.id, bitmap=b"\x06")]


def test_after_the_end_nothing_is_taken() -> None:
    """Not even for the last round, whose transfers were under way."""
    aggregator = Aggregator(plan=FOLD, round=11, finished=True)
    (answer,) = aggregator.ask(begin_of(round_=11))
    assert "late" in answer.reason


def test_the_roster_goes_into_the_journal_with_the_close() -> None:
    """Who let the deadline pass is known to be silent, also after a restart."""
    aggregator = Aggregator(plan=QUORUM, receipts={"s0": ACCEPTED, "s1": ACCEPTED}, roster=ROSTER)
    (close,) = aggregator.machine.receive(round_events.Tick(), 100.0)
    assert close == round_effects.CloseRound(2, {"s0": False, "s1": False, "s2": True})
    restarted = Aggregator(
        plan=QUORUM, round=3, receipts={"s0": ACCEPTED, "s1": ACCEPTED}, roster=close.roster
    )
    assert isinstance(restarted.opening[-1], round_effects.CloseRound)


def test_who_answered_before_a_restart_in_the_first_round_is_no_stranger() -> None:
    """It has its receipt and says nothing more; no roster was kept yet. With the other two the round is complete."""
    aggregator = Aggregator(
        plan=make_plan(count=2, min_sites=2), round=1, version=0, parts=SNAPSHOT, receipts={"s0": ACCEPTED}
    )
    for site in ("s1", "s2"):
        aggregator.feed(HELLO, site)
        effects = aggregator.machine.receive(
            round_events.Judged((round_events.Answer(site, 1, ACCEPTED),)), 2.0
        )
        assert isinstance(effects[-1], round_effects.CloseRound) == (site == "s2")


@pytest.mark.parametrize(("moment", "waited_for"), [(200.0, True), (201.0, False)])
def test_a_silent_site_is_waited_for_again_if_it_was_as_fast_as_a_deadline(
    moment: float, waited_for: bool
) -> None:
    """Its round was opened at 100, and closed without it before 200."""
    aggregator = Aggregator(plan=QUORUM, receipts={"s0": ACCEPTED, "s1": ACCEPTED}, roster=ROSTER)
    aggregator.machine.receive(round_events.Tick(), 100.0)
    for round_, opened, answered in ((3, 100.0, 150.0), (4, 200.0, moment)):
        parts = (round_events.Payload("snapshot", round_, b"m" * 3000),)
        aggregator.machine.receive(round_events.Opened(round_, round_, MODEL, parts, {}, {}), opened)
        if round_ == 4:
            aggregator.now = moment
            (answer,) = aggregator.ask(begin_of(round_=3), "s2")
            assert "late" in answer.reason
        for site in ("s0", "s1"):
            effects = aggregator.machine.receive(
                round_events.Judged((round_events.Answer(site, round_, ACCEPTED),)), answered
            )
    assert isinstance(effects[-1], round_effects.CloseRound) != waited_for


def test_a_cut_of_its_own_link_costs_no_site_its_round() -> None:
    """The deadline waits as long as the link was down."""
    aggregator = Aggregator(plan=QUORUM, receipts={"s0": ACCEPTED}, roster=ROSTER)
    aggregator.machine.receive(round_events.Disconnected(), 50.0)
    assert deeds(aggregator.machine, 300.0) == []
    aggregator.machine.receive(round_events.Reconnected(), 350.0)
    assert deeds(aggregator.machine, 399.0) == []
    assert isinstance(aggregator.machine.receive(round_events.Tick(), 400.0)[0], round_effects.CloseRound)


def test_a_site_that_is_gone_is_not_waited_for() -> None:
    """Its last will says so; a minute later the others' round closes."""
    aggregator = Aggregator(plan=QUORUM, receipts={"s0": ACCEPTED, "s1": ACCEPTED}, roster=ROSTER)
    aggregator.feed(SiteState(online=False, boot="0" * 16), "s2")
    assert deeds(aggregator.machine, 60.0) == []
    assert isinstance(aggregator.machine.receive(round_events.Tick(), 61.0)[0], round_effects.CloseRound)


def test_a_site_that_was_evicted_is_not_waited_for() -> None:
    """It came back with another encoder."""
    aggregator = Aggregator(plan=QUORUM, receipts={"s0": ACCEPTED, "s1": ACCEPTED}, roster=ROSTER)
    (answer,) = aggregator.ask(Hello(boot="0" * 16, encoders={"image": "b" * 64}), "s2")
    assert isinstance(answer, Evict)
    assert isinstance(aggregator.machine.receive(round_events.Tick(), 2.0)[0], round_effects.CloseRound)


def test_an_update_that_is_too_large_is_an_answer() -> None:
    """The round does not wait for a better one."""
    aggregator = Aggregator(plan=QUORUM, limit=1000, receipts={"s0": ACCEPTED, "s1": ACCEPTED}, roster=ROSTER)
    (answer,) = aggregator.ask(begin_of(), "s2")
    assert "too large" in answer.reason
    assert isinstance(aggregator.machine.receive(round_events.Tick(), 2.0)[0], round_effects.CloseRound)


def test_a_round_that_stalls_asks_everyone_in_a_new_manifest() -> None:
    """Three of ten were invited, and do not come."""
    plan = make_plan(count=9, invite=3, deadline_s=100.0)
    aggregator = Aggregator(plan=plan, roster={f"s{i}": False for i in range(10)})
    (manifest,) = [e.manifest for e in aggregator.opening if isinstance(e, round_effects.PublishManifest)]
    assert sum(draw(RUN, 2, f"s{i}") <= manifest.threshold for i in range(10)) == 3
    stalled, again = aggregator.machine.receive(round_events.Tick(), 100.0)
    assert len(stalled.missed) == 3
    assert again.manifest.threshold == EVERYONE
    (_, told) = aggregator.ask(HELLO)
    assert told == again.manifest


# The site.


def test_a_site_that_is_not_asked_rests() -> None:
    """Until a round asks it, or the same one asks more."""
    site, limit = Site(), draw(RUN, 2, "s0")
    assert site.feed(manifest_of(2, threshold=limit - 1)) == []
    assert site.state is site_states.State.IDLE
    assert site.feed(manifest_of(2, threshold=limit)) == [site_effects.Work(2, "train", 1)]


def test_a_site_that_is_not_asked_any_more_stops_fetching() -> None:
    """The round for which it needed the model has closed."""
    site = Site(model=b"o" * 32)
    site.feed(manifest_of(2))
    assert site.state is site_states.State.FETCHING
    effects = site.feed(manifest_of(3, threshold=draw(RUN, 3, "s0") - 1))
    assert effects == [site_effects.Unfollow("snapshot", 1, index) for index in range(3)]
    assert site.state is site_states.State.IDLE


def test_work_that_still_counts_is_not_interrupted() -> None:
    """It is sent when it is done; then comes the round that is open."""
    site = Site(plan=FOLD)
    site.feed(manifest_of(2))
    assert site.feed(manifest_of(3)) == []
    (offer,) = site.feed(site_events.Done(2, PAYLOAD))
    assert offer.message.round == 2
    receipt = Receipt(id=offer.message.outline.id, accepted=True)
    assert site.feed(receipt) == [site_effects.Settle(2, True, ""), site_effects.Work(3, "train", 2)]


@pytest.mark.parametrize(("plan", "number"), [(QUORUM, 3), (FOLD, 5), (FOLD, 11)])
def test_work_that_counts_no_more_is_abandoned(plan, number: int) -> None:
    """Refused when late; too stale; or the evaluation has begun."""
    site = Site(plan=plan)
    site.feed(manifest_of(2))
    newer = manifest_of(number, task=task_of(plan, number))
    assert site_effects.Abandon(2) in site.feed(newer, newer), (
        "one that skips rounds is believed when it is told again"
    )


# The wire.


def test_a_threshold_has_64_bits() -> None:
    """All of them, and none below zero."""
    for threshold in (0, 2**63, EVERYONE):
        manifest = manifest_of(2, threshold=threshold)
        assert decode(encode(manifest), RoundManifest) == manifest
    with pytest.raises(OverflowError):
        encode(manifest_of(2, threshold=2**64))


def test_an_open_round_says_now_and_then_whom_it_waits_for() -> None:
    """Once a minute; which sites, and when it can close without them."""
    plan = make_plan(sites=3, min_sites=2, deadline_s=300.0)
    aggregator = Aggregator(plan=plan, roster={"s0": False, "s1": False})
    said = [
        (now, effect)
        for now in range(1, 200)
        for effect in aggregator.machine.receive(round_events.Tick(), float(now))
        if isinstance(effect, round_effects.Awaiting)
    ]
    assert [now for now, _ in said] == [60, 120, 180]
    first = said[0][1]
    assert (first.accepted, first.quorum, first.sites, first.seconds) == (0, 2, ("s0", "s1"), 240.0)


def test_of_sites_that_are_not_waited_for_it_says_who_they_are() -> None:
    """One let a deadline pass: with it the round could close, and nobody else is missing."""
    plan = make_plan(sites=3, min_sites=2, deadline_s=300.0)
    aggregator = Aggregator(plan=plan, roster={"s0": True, "s1": False})
    aggregator.machine._attendance.answer("s1", accepted=True)
    (said,) = [
        effect
        for now in range(1, 61)
        for effect in aggregator.machine.receive(round_events.Tick(), float(now))
        if isinstance(effect, round_effects.Awaiting)
    ]
    assert (said.accepted, said.sites, said.away) == (1, (), ("s0",))
    assert "waits for s0, late or offline before; it needs 1 more" in _awaiting(said)
