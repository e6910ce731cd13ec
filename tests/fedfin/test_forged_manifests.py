"""A manifest that no aggregator of the plan can have made, or that skips rounds, does not lead a site astray."""

import pytest
from machine_helpers import OTHER_RUN, PAYLOAD, PLAN, RUN, Site, begin_of, manifest_of
from msgspec.structs import replace

from fedfin.protocol.life import FIRST_LIFE
from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.schedule import last_round
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.site.secure_machine import SecureSiteMachine

LAST = last_round(PLAN)
FORGED = {
    "round 2^31 - 1": replace(manifest_of(5), round=2**31 - 1),
    "round 0": replace(manifest_of(5), round=0),
    "a round after the last": replace(manifest_of(5), round=LAST + 1, task="evaluate"),
    "another task": replace(manifest_of(5), task="second_moments"),
    "another version": replace(manifest_of(5), round=6),
    "finished before the last round": manifest_of(5, state="finished"),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_manifest_that_does_not_fit_the_plan_is_told_once_and_not_remembered(forged: RoundManifest) -> None:
    """The true one is heeded as if the other had never come."""
    site = Site()
    (told,) = site.feed(forged)
    assert isinstance(told, site_effects.Distrust)
    assert site.feed(forged, forged) == []
    assert site.feed(manifest_of(2)) == [site_effects.Work(2, "train", 1)]


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_manifest_before_the_plan_is_known_does_not_make_a_site_deaf(forged: RoundManifest) -> None:
    """The broker retains it, so it comes first of all."""
    machine = SecureSiteMachine(
        site="s0", boot="0" * 16, encoders={}, memory=Memory(run=RUN, model=b"m" * 32, version=1)
    )
    events = [site_events.Connected(1024), forged, Welcome(run=RUN, plan=PLAN), manifest_of(2)]
    effects = [effect for event in events for effect in machine.receive(event, 0.0)]
    assert effects[-1] == site_effects.Work(2, "train", 1)


def test_a_manifest_that_skips_rounds_is_followed_only_when_it_is_told_again() -> None:
    """The site asks, and the aggregator repeats its own; one that nobody repeats changes nothing."""
    site = Site()
    site.feed(manifest_of(2))
    assert site.feed(manifest_of(9)) == [site_effects.Send("up/ctl", site.machine.hello)]
    assert site.feed(manifest_of(3)) == [site_effects.Abandon(2), site_effects.Work(3, "train", 2)]


def test_a_site_that_was_offline_for_five_rounds_comes_back() -> None:
    """It says hello when it is online again; the retained manifest and the answer are two that say the same."""
    site = Site()
    site.feed(manifest_of(2), site_events.Disconnected())
    assert site.feed(site_events.Connected(1024)) == [site_effects.Send("up/ctl", site.machine.hello)]
    assert site.feed(manifest_of(7)) == [site_effects.Send("up/ctl", site.machine.hello)]
    assert site.feed(manifest_of(7)) == [site_effects.Abandon(2), site_effects.Work(7, "train", 6)]


def test_rounds_that_are_faster_than_the_question_are_followed() -> None:
    """A message was lost, and the next round began before the answer came."""
    site = Site()
    site.feed(manifest_of(2), manifest_of(5))
    assert site.feed(manifest_of(6)) == [site_effects.Abandon(2), site_effects.Work(6, "train", 5)]


def test_finished_is_believed_in_the_last_round_only() -> None:
    """Where it ends the site's part."""
    site = Site()
    site.feed(manifest_of(LAST))
    assert site.feed(manifest_of(LAST, state="finished"))[-1] == site_effects.Finish(LAST - 1)


@pytest.mark.parametrize("message", [Evict(reason="go"), Welcome(run=OTHER_RUN, plan=PLAN)])
def test_neither_an_eviction_nor_another_run_settles_an_update_on_its_way(message: Evict | Welcome) -> None:
    """The site leaves, and its files stay as they are: nothing is settled, abandoned or joined."""
    site = Site(offer=(2, PAYLOAD))
    assert [type(effect) for effect in site.feed(message)] == [site_effects.Leave]


def test_a_receipt_for_another_update_settles_nothing() -> None:
    """Nor does the right one twice."""
    site, receipt = Site(offer=(2, PAYLOAD)), Receipt(id=begin_of().outline.id, accepted=True)
    assert site.feed(replace(receipt, id=b"x" * 32)) == []
    assert site.feed(receipt) == [site_effects.Settle(2, True, "")]
    assert site.feed(receipt) == []


def test_a_round_that_was_answered_is_not_answered_again_after_a_loss_of_state() -> None:
    """The next one is; in another run the same round is another question."""
    answered = {(RUN, FIRST_LIFE): frozenset({2, 3})}
    site = Site(answered=answered)
    assert site.feed(manifest_of(2), manifest_of(3)) == []
    assert site.feed(manifest_of(4)) == [site_effects.Work(4, "train", 3)]
    assert Site(answered={(OTHER_RUN, FIRST_LIFE): frozenset({2})}).feed(manifest_of(2)) == [
        site_effects.Work(2, "train", 1)
    ]
