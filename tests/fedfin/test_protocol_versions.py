"""Two versions of the program: neighbours work together, others are refused by name, and who must upgrade is named."""

from pathlib import Path

import msgspec
import pytest
from machine_helpers import HELLO, PAYLOAD, PLAN, RUN, Aggregator, Site, begin_of
from msgspec import UNSET
from msgspec.structs import replace
from simulation.faults import Faults
from simulation.toy import private_plan, toy_plan
from simulation.world import World

from fedfin.plan import Plan
from fedfin.plan_sections import Privacy, Rounds
from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.rounds.reception import TWICE
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.site.secure_machine import SecureSiteMachine
from fedfin.protocol.versions import (
    BEFORE,
    OURS,
    SIGNED_MODEL,
    Announcement,
    Party,
    following,
    foreign_hello,
    mismatch,
)

UNSIGNED_MODEL = Party(program="0.1.0", newest=SIGNED_MODEL - 1, least=1)
NEWER = Party(program="9.0", newest=99, least=99)
NEXT = Party(program="0.3", newest=OURS.newest + 1, least=OURS.newest)
SECURE = replace(PLAN, privacy=Privacy(level="secure"))


def test_neighbours_go_together() -> None:
    """The version before this one, and one that still knows this one's revision."""
    assert mismatch(BEFORE, OURS) is None
    assert mismatch(OURS, BEFORE) is None
    assert mismatch(NEXT, OURS) is None


def test_who_must_upgrade_is_named_with_both_versions() -> None:
    """At either end, whichever is behind."""
    assert mismatch(NEWER, OURS) == (
        f"the site runs FedFIN 9.0, which speaks revision 99, the aggregator {OURS}: upgrade the aggregator"
    )
    assert str(mismatch(OURS, NEWER)).endswith("upgrade the site")
    assert "the site runs FedFIN that announces no version" in str(mismatch(BEFORE, NEXT))


@pytest.mark.parametrize("plan", [SECURE, private_plan(Rounds(sites=5, min_sites=3))])
def test_sums_want_both_ends_to_sign_the_model_with_their_keys(plan: Plan) -> None:
    """With noise, too. Who is behind is named; an open plan is followed by both."""
    assert mismatch(UNSIGNED_MODEL, following(plan)) == (
        f"the site runs {UNSIGNED_MODEL}, the aggregator {following(plan)}: upgrade the site"
    )
    assert str(mismatch(following(plan), UNSIGNED_MODEL)).endswith("upgrade the aggregator")
    assert mismatch(OURS, following(plan)) is None
    assert mismatch(UNSIGNED_MODEL, following(PLAN)) is None


def test_a_secure_plans_aggregator_announces_its_version_whatever_the_hello() -> None:
    """An older site's every other hello has none: from the answer it sees that it must not join."""
    for party in (UNSET, OURS):
        welcome, *_ = Aggregator(plan=SECURE).ask(replace(HELLO, party=party))
        assert welcome.party == following(SECURE)
    (answer,) = Aggregator(plan=SECURE).ask(replace(HELLO, party=UNSIGNED_MODEL))
    assert isinstance(answer, Evict)
    assert answer.reason.endswith("upgrade the site")


def test_a_site_of_a_secure_plan_leaves_an_older_aggregator() -> None:
    """Whether that announces its version, or answers a hello without one."""
    for party in (UNSIGNED_MODEL, UNSET):
        site = SecureSiteMachine(site="s0", boot="0" * 16, encoders={}, memory=Memory())
        (leave,) = site.receive(Welcome(run=RUN, plan=SECURE, party=party), 0.0)
        assert isinstance(leave, site_effects.Leave)
        assert leave.reason.endswith("upgrade the aggregator")
    site = SecureSiteMachine(site="s0", boot="0" * 16, encoders={}, memory=Memory())
    assert isinstance(site.receive(Welcome(run=RUN, plan=SECURE, party=OURS), 0.0)[0], site_effects.Join)


def test_the_aggregator_refuses_a_site_that_does_not_go_with_it() -> None:
    """At its hello."""
    (answer,) = Aggregator().ask(replace(HELLO, party=NEWER))
    assert answer == Evict(reason=str(mismatch(NEWER, OURS)))


def test_a_hello_that_cannot_be_read_is_refused_by_version_if_it_says_one() -> None:
    """Its fields are another version's; what is no hello, or goes together, is only left out."""
    hello = msgspec.to_builtins(HELLO) | {"never": "heard of", "party": msgspec.to_builtins(NEWER)}
    assert foreign_hello(msgspec.msgpack.encode(hello)) == mismatch(NEWER, OURS)
    assert foreign_hello(msgspec.msgpack.encode(hello | {"kind": "begin"})) is None
    assert foreign_hello(msgspec.msgpack.encode(hello | {"party": msgspec.to_builtins(NEXT)})) is None
    assert foreign_hello(b"\xc1") is None


def test_such_a_site_hears_it_from_a_running_aggregator(tmp_path: Path) -> None:
    """In the simulation, through the broker."""
    world = World(1, toy_plan(Rounds(count=1, sites=1, min_sites=1)), 1, Faults(), tmp_path)
    hello = msgspec.to_builtins(HELLO) | {"never": "heard of", "party": msgspec.to_builtins(NEWER)}

    def speak(_: str, event: str, __: object) -> None:
        if event == "joined":
            topic = "fedfin/1/ward/site/s0/up/ctl"
            world.broker.receive(world.sites[0], topic, msgspec.msgpack.encode(hello), retain=False)

    world.on_report = speak
    with pytest.raises(AssertionError, match=r"the site runs FedFIN 9\.0.*upgrade the aggregator"):
        world.run()


def test_a_site_leaves_an_aggregator_that_does_not_go_with_it() -> None:
    """One that announces a version, and one from before versions were announced."""
    site = SecureSiteMachine(site="s0", boot="0" * 16, encoders={}, memory=Memory())
    (leave,) = site.receive(Welcome(run=RUN, plan=PLAN, party=NEWER), 0.0)
    assert leave == site_effects.Leave(str(mismatch(OURS, NEWER)))
    site = SecureSiteMachine(site="s0", boot="0" * 16, encoders={}, memory=Memory())
    site._announcement = Announcement(NEXT)
    (leave,) = site.receive(Welcome(run=RUN, plan=PLAN), 0.0)
    assert "the aggregator FedFIN that announces no version, which speaks revision 1" in leave.reason


def test_an_older_aggregator_hears_a_hello_that_it_can_read() -> None:
    """It has left out the one before; from its welcome on no hello announces anything."""
    site = SecureSiteMachine(site="s0", boot="0" * 16, encoders={}, memory=Memory())
    said = [site.receive(site_events.Connected(1024), 0.0)[0].message.party]
    said += [site.receive(site_events.Tick(), 10.0 * tick)[0].message.party for tick in (1, 2, 3)]
    assert said == [OURS, UNSET, OURS, UNSET]
    site.receive(Welcome(run=RUN, plan=PLAN), 31.0)
    assert site.hello.party is UNSET


def test_a_newer_aggregator_hears_of_the_version_ever_after() -> None:
    """However often it is asked."""
    site = Site()
    site.feed(Welcome(run=RUN, plan=PLAN, party=OURS))
    site.feed(site_events.Disconnected(), site_events.Connected(1024))
    assert site.machine.hello.party == OURS


@pytest.mark.parametrize(("said", "answered"), [(UNSET, UNSET), (OURS, OURS), (NEXT, OURS)])
def test_a_welcome_announces_a_version_to_whom_can_read_it(said: object, answered: object) -> None:
    """A site from before announcements leaves out what it does not know."""
    aggregator = Aggregator()
    welcome, _ = aggregator.ask(replace(HELLO, party=said))
    assert welcome.party == answered
    assert aggregator.machine.revision("s0") == (1 if said is UNSET else said.newest)


def test_a_second_update_for_a_closed_round_is_not_late_if_the_first_counts() -> None:
    """A twin's: were it late, its site would carry the same steps again with the next one."""
    aggregator = Aggregator()
    given = Receipt(id=b"1" * 32, accepted=True)
    aggregator.machine._reception._given = lambda round_, site: given if (round_, site) == (1, "s0") else None
    assert [answer.reason for answer in aggregator.ask(begin_of(PAYLOAD, round_=1))] == [TWICE]
    assert [answer.reason for answer in aggregator.ask(begin_of(PAYLOAD, round_=1), "s1")] == [
        "late: round 1 has closed"
    ]
