"""An aggregator that was set back finds out from its sites; they take up its rounds again, and nothing counts twice."""

import pytest
from machine_helpers import (
    ENCODER,
    MODEL,
    OLD_MODEL,
    OTHER_RUN,
    PAYLOAD,
    PLAN,
    RUN,
    Aggregator,
    Site,
    begin_of,
    manifest_of,
)
from msgspec.structs import replace

from fedfin import limits
from fedfin.plan_sections import Privacy
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.messages.joining import Decline, Hello, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import decode, encode
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.refusals import late
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.schedule import last_round
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site import states as site_states

SECOND = Life(1, "a" * 16)
HELLO = Hello(boot="0" * 16, encoders={"image": ENCODER}, run=RUN)


def lives(effects: list) -> list[Life]:
    """Those that begin."""
    return [effect.life for effect in effects if isinstance(effect, round_effects.BeginLife)]


AHEAD = {
    "a later round": replace(HELLO, seen=3),
    "this round's receipt": replace(HELLO, seen=2, accepted=2),
    "a later life": replace(HELLO, life=SECOND, seen=1),
}
NOT_AHEAD = {
    "this round": replace(HELLO, seen=2),
    "an earlier receipt": replace(HELLO, seen=2, accepted=1),
    "another run": replace(HELLO, run=OTHER_RUN, seen=9),
    "nothing yet": replace(HELLO, run=""),
}


@pytest.mark.parametrize("hello", AHEAD.values(), ids=AHEAD)
def test_a_site_that_has_seen_more_makes_the_aggregator_begin_a_new_life(hello: Hello) -> None:
    """All sites hear it, and this one last: the manifest after its welcome is of the new life."""
    aggregator = Aggregator()
    effects = aggregator.feed(hello)
    (life,) = lives(effects)
    assert life.number == hello.life.number + 1
    (published,) = [
        effect.manifest for effect in effects if isinstance(effect, round_effects.PublishManifest)
    ]
    assert published.life == life
    assert [effect.message for effect in effects if isinstance(effect, round_effects.Send)][-1] == published
    assert lives(aggregator.feed(hello)) == [], "what is known already is no news"


@pytest.mark.parametrize("hello", NOT_AHEAD.values(), ids=NOT_AHEAD)
def test_what_the_aggregator_can_know_begins_no_life(hello: Hello) -> None:
    """It would make every site work again for nothing."""
    assert lives(Aggregator().feed(hello)) == []


def test_a_receipt_that_the_journal_holds_begins_no_life() -> None:
    """Also after a restart."""
    receipts = {"s0": Receipt(id=b"1" * 32, accepted=True)}
    assert lives(Aggregator(receipts=receipts).feed(AHEAD["this round's receipt"])) == []


def test_one_site_cannot_make_the_aggregator_begin_lives_without_end() -> None:
    """Each would make all others work again."""
    aggregator = Aggregator()
    begun = [
        life
        for number in range(10, 40)
        for life in lives(aggregator.feed(replace(HELLO, life=Life(100 * number))))
    ]
    assert len(begun) == limits.LIVES


def test_the_largest_number_that_a_site_can_say_ends_no_run() -> None:
    """One more could not be read: no site would take a manifest again, also after a restart."""
    aggregator = Aggregator()
    effects = aggregator.feed(replace(HELLO, life=Life(2**31 - 1, "a" * 16)))
    (published,) = [
        effect.manifest for effect in effects if isinstance(effect, round_effects.PublishManifest)
    ]
    assert decode(encode(published), RoundManifest) == published
    (life,) = lives(aggregator.feed(replace(HELLO, life=Life(published.life.number, "b" * 16)), "s1"))
    assert life.number == published.life.number + 1, "a folder that is restored later finds out as before"


def test_an_aggregator_that_is_further_behind_than_restores_can_be_comes_there_in_steps() -> None:
    """Where a site made numbers up before the folder was restored, the others still lead it on."""
    aggregator = Aggregator()
    ahead = replace(HELLO, life=Life(2 * limits.LIVES_AHEAD + 9, "a" * 16))
    begun = [life.number for _ in range(4) for life in lives(aggregator.feed(ahead))]
    assert begun == [limits.LIVES_AHEAD + 1, 2 * limits.LIVES_AHEAD + 2, ahead.life.number + 1]


def test_an_update_for_a_round_that_has_not_come_yet_is_no_late_one() -> None:
    """Its site hears where the aggregator is, and says what it has seen."""
    (answer,) = Aggregator().ask(begin_of(round_=3))
    assert isinstance(answer, RoundManifest)
    site = Site(offer=(3, PAYLOAD))
    site.feed(manifest_of(3))
    site.now = 10.0
    (asked,) = site.feed(manifest_of(2))
    assert asked.message.seen == 3


def test_an_update_that_counted_long_ago_gets_its_receipt_again() -> None:
    """A site that was set back offers it once more; "late" would make it carry the same steps again."""
    begin = begin_of(round_=1)
    known = Receipt(id=begin.outline.id, accepted=True)
    aggregator = Aggregator()
    aggregator.machine._reception._given = lambda round_, site: known if (round_, site) == (1, "s0") else None
    assert aggregator.ask(begin) == [known]
    assert [answer.accepted for answer in aggregator.ask(begin, "s1")] == [False]


def test_a_second_update_that_is_refused_does_not_undo_the_first() -> None:
    """A site that was set back, or its twin, offers another one."""
    aggregator = Aggregator(receipts={"s0": Receipt(id=b"1" * 32, accepted=True)})
    assert [answer.accepted for answer in aggregator.ask(begin_of())] == [False]
    assert aggregator.machine._attendance.answered == ["s0"]


def test_a_site_answers_the_rounds_of_a_new_life() -> None:
    """Those that it has answered in the one before, too; the life before is over."""
    site = Site(settled=3, accepted=3)
    assert site.feed(manifest_of(3)) == []
    begin, work = site.feed(replace(manifest_of(2), life=SECOND))
    assert begin == site_effects.BeginLife(SECOND, 2, 0)
    assert work == site_effects.Work(2, "train", 1)
    hello = site.machine.hello
    assert (hello.life, hello.seen, hello.accepted) == (SECOND, 2, 0)
    assert all(isinstance(effect, site_effects.Send) for effect in site.feed(manifest_of(4)))
    assert site.state is site_states.State.WORKING


def test_a_site_that_is_late_has_seen_that_the_next_round_began() -> None:
    """Nobody else may know: an aggregator that is set back to the round that it missed would wait for it for ever."""
    site = Site()
    site.feed(manifest_of(2), site_events.Done(2, PAYLOAD))
    (settled,) = site.feed(Receipt(id=begin_of().outline.id, accepted=False, reason=late(2)))
    assert settled == site_effects.Settle(2, False, late(2), begun=3)
    assert site.machine.hello.seen == 3
    assert Site(settled=2, begun=settled.begun).machine.hello.seen == 3
    site.feed(replace(manifest_of(2), life=SECOND))
    assert site.machine.hello.seen == 2


def test_no_round_begins_after_the_last() -> None:
    """The aggregator that has finished would take itself for set back."""
    last = last_round(PLAN)
    site = Site(offer=(last, PAYLOAD))
    site.feed(manifest_of(last))
    (settled,) = site.feed(Receipt(id=begin_of(round_=last).outline.id, accepted=False, reason=late(last)))
    assert settled.begun == last


def test_two_lives_with_one_number_are_told_of_each_other() -> None:
    """A site keeps to the first, and what it says makes the other aggregator begin a later one."""
    site = Site(life=SECOND)
    (said,) = site.feed(replace(manifest_of(2), life=Life(1, "b" * 16)))
    assert said.message.life == SECOND


def test_what_is_under_way_for_a_round_that_is_gone_is_abandoned() -> None:
    """And what the aggregator may hold is asked for: it would count twice else."""
    site = Site()
    site.feed(manifest_of(3), site_events.Done(3, PAYLOAD))
    effects = site.feed(replace(manifest_of(2), life=SECOND))
    assert [type(effect) for effect in effects] == [
        site_effects.Abandon,
        site_effects.BeginLife,
        site_effects.Work,
    ]

    site = Site()
    site.feed(manifest_of(2), site_events.Done(2, PAYLOAD))
    begin, asked = site.feed(replace(manifest_of(2), life=SECOND))
    assert (type(begin), asked.message) == (site_effects.BeginLife, begin_of())


def test_after_a_restart_a_site_is_in_the_life_that_it_was_in() -> None:
    """It heeds no manifest of one before."""
    site = Site(life=SECOND, settled=2, accepted=2)
    assert site.feed(replace(manifest_of(2), life=SECOND)) == []
    (said,) = site.feed(replace(manifest_of(3), life=FIRST_LIFE))
    assert (said.message.life, said.message.seen) == (SECOND, 2)


def test_another_run_begins_with_its_first_life() -> None:
    """Lives are a run's."""
    site = Site(life=SECOND)
    site.machine.state = site_states.State.JOINING
    site.feed(Welcome(run=OTHER_RUN, plan=site.machine._plan))
    assert site.machine.hello.life == FIRST_LIFE


SECURE = replace(PLAN, privacy=Privacy(level="secure"))


@pytest.mark.parametrize(("model", "answers"), [(MODEL, True), (OLD_MODEL, False)])
@pytest.mark.parametrize("restarted", [False, True])
def test_values_from_another_model_than_a_new_lifes_are_in_no_secure_sum(
    model: bytes, *, answers: bool, restarted: bool
) -> None:
    """Nobody would mask beside them: the site says that it has answered. From the same model they still count."""
    if restarted:
        site = Site(model, 1, plan=SECURE, offer=(2, PAYLOAD), offer_model=model)
    else:
        site = Site(model, 1, plan=SECURE)
        site.feed(manifest_of(2, model=model), site_events.Done(2, PAYLOAD))
    assert site.state is site_states.State.SENDING
    effects = site.feed(replace(manifest_of(2), life=SECOND))
    assert (site.state is site_states.State.SENDING) is answers
    assert (site_effects.SayReady(2) in effects) is answers
    assert (
        any(isinstance(each, site_effects.BeginLife) and each.barred == 2 for each in effects) is not answers
    )
    declines = [
        e.message for e in effects if isinstance(e, site_effects.Send) and isinstance(e.message, Decline)
    ]
    assert [decline.cause for decline in declines] == ([] if answers else ["rewound"])
