"""Single promises of a shard's machine and the root's, which chance meets too seldom."""

import pytest
from machine_helpers import (
    CHUNK,
    HELLO,
    MODEL,
    OTHER_RUN,
    PAYLOAD,
    PLAN,
    RUN,
    begin_of,
    make_plan,
    manifest_of,
)
from msgspec.structs import replace

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.manifest import RoundManifest, Want
from fedfin.protocol.messages.shards import Deliver, Enough, Heard, Rewind, Tally
from fedfin.protocol.messages.transfers import Missing, Receipt
from fedfin.protocol.refusals import TWICE
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.rounds import events as round_events
from fedfin.protocol.rounds import states as round_states
from fedfin.protocol.shards import effects as shard_effects
from fedfin.protocol.shards import events as shard_events
from fedfin.protocol.shards.machine import ShardMachine
from fedfin.protocol.shards.root_machine import RootMachine
from fedfin.protocol.shards.shard import Shard
from fedfin.protocol.site.events import Connected

BOTH = [Shard(0, 2), Shard(1, 2)]
OWN = [[f"s{n}" for n in range(20) if shard.serves(f"s{n}")] for shard in BOTH]
SUM = b"a sum" * 10
OFFER = begin_of(SUM, chunk_size=transfer.grain(len(SUM), CHUNK))
ACCEPTED = Receipt(id=OFFER.outline.id, accepted=True)
QUICK = make_plan(sites=2, min_sites=2)
ENOUGH = Enough(run=RUN, round=2)
SECOND = Life(1, "a" * 16)
HEARD = [round_effects.Send("shard/0", "dn/ctl", Heard())]


class ShardAlone:
    """Shard 0 of 2, connected."""

    def __init__(self, **memory) -> None:
        self.machine = ShardMachine(PLAN, BOTH[0], max_update_bytes=10**6, **memory)
        self.now = 0.0
        self.feed(Connected(CHUNK))

    def feed(self, *events) -> list:
        """Events, in this order."""
        return [effect for event in events for effect in self.machine.receive(event, self.now)]

    def collect(self, round_: int = 2, **opened) -> list:
        """Welcomed and collecting; what it then asks for."""
        self.feed(Welcome(run=RUN, plan=PLAN), manifest_of(round_))
        return self.feed(shard_events.RoundOpened(**({"receipts": {}, "earlier": {}} | opened)))


class Root:
    """Of two shards, at round 2, a training round."""

    def __init__(self, plan=QUICK, given=lambda *_: None, life=FIRST_LIFE, **opened) -> None:
        self.machine = RootMachine(
            plan, run=RUN, shards=2, max_sum_bytes=10**6, chunk_size=CHUNK, receipt=given, life=life
        )
        self.plan = plan
        parts = (
            round_events.Payload("snapshot", 0, b"m" * 3000),
            round_events.Payload("delta", 1, b"d" * 10),
        )
        defaults = {"round": 2, "version": 1, "model": MODEL, "parts": parts, "receipts": {}, "earlier": {}}
        self.opening = self.machine.receive(round_events.Opened(**(defaults | opened)), 0.0)

    def tell(self, index: int, *accepted: str, **changes) -> list:
        """A tally; what follows."""
        facts = {"plan": self.plan.digest(), "shards": 2, "run": RUN, "round": 2, "accepted": accepted}
        now = changes.pop("now", 1.0)
        tally = Tally(**(facts | {"refused": (), "late": (), "closed": False} | changes))
        return self.machine.receive(round_events.FromShard(index, tally), now)

    def offer(self, index: int, life=FIRST_LIFE, **changes) -> list:
        """A sum is there; what follows."""
        offer = Deliver(begin=replace(OFFER, **changes), life=life)
        return self.machine.receive(round_events.FromShard(index, offer), 1.0)

    def deliver(self, index: int, **changes) -> list:
        """A sum arrives whole and is found good; what follows."""
        self.tell(index, closed=True, **changes)
        self.offer(index, life=changes.get("life", FIRST_LIFE))
        self.machine.receive(round_events.FromShard(index, transfer.chunk(SUM, OFFER.outline, 0)), 1.0)
        return self.machine.receive(
            round_events.Judged((round_events.Answer(f"shard/{index}", 2, ACCEPTED),)), 1.0
        )


# A shard.


def hello_of(site: str, **changes) -> round_events.FromSite:
    """One whose update of round 2 was accepted."""
    return round_events.FromSite(site, replace(HELLO, **({"run": RUN, "seen": 2, "accepted": 2} | changes)))


def test_a_shard_learns_from_a_site_that_its_folder_was_set_back() -> None:
    """It knows of no such receipt; another shard's site, an earlier round's and its own receipts show nothing."""
    shard, (one, other, *_) = ShardAlone(), OWN[0]
    shard.collect(receipts={one: Receipt(id=b"1" * 32, accepted=True)})
    assert shard.feed(hello_of(one), hello_of(other, accepted=1), hello_of(other, run=OTHER_RUN)) == []
    (tally,) = shard.feed(hello_of(other))
    assert tally.message.behind
    assert shard.feed(rewind_to(2)) == [
        shard_effects.BeginLife(rewind_to(2)),
        shard_effects.OpenRound(rewind_to(2).manifest),
    ]
    (tally,) = shard.feed(shard_events.RoundOpened({}, {}))
    assert (tally.message.life, tally.message.behind) == (SECOND, False)
    assert shard.feed(hello_of(other)) == [], "of the life before"


def rewind_to(round_: int) -> Rewind:
    """The root goes on from there, in its second life."""
    return Rewind(manifest=replace(manifest_of(round_), life=SECOND), keep=True)


def test_a_shard_goes_back_only_where_the_root_says_what_becomes_of_its_records() -> None:
    """The manifest that sites read does not; and what is repeated, or of an earlier life, changes nothing."""
    shard = ShardAlone()
    shard.collect(4)
    assert shard.feed(replace(manifest_of(3), life=SECOND)) == []
    assert shard.feed(rewind_to(3)) == [
        shard_effects.BeginLife(rewind_to(3)),
        shard_effects.OpenRound(rewind_to(3).manifest),
    ]
    shard.feed(shard_events.RoundOpened({}, {}))
    assert shard.feed(rewind_to(3), manifest_of(4)) == []


def test_a_shard_that_delivers_the_sum_of_a_round_that_the_root_has_lost_lets_it_go() -> None:
    """Its site offers its update of the older round, and it is taken."""
    shard, site = ShardAlone(), OWN[0][0]
    shard.collect(3, sum=SUM)
    shard.feed(rewind_to(2), shard_events.RoundOpened({}, {}))
    shard.now += limits.RETRY_S
    assert [type(effect.message) for effect in shard.feed(round_events.Tick())] == [Tally]
    (answer,) = shard.feed(round_events.FromSite(site, begin_of()))
    assert isinstance(answer.message, Missing)


def test_a_restarted_shard_says_how_far_it_was() -> None:
    """Before any manifest: the root's may be of a round that is long settled."""
    machine = ShardMachine(PLAN, BOTH[0], max_update_bytes=10**6, before=(RUN, 7), settled=6)
    (tally,) = machine.receive(Connected(CHUNK), 0.0)
    assert (tally.message.round, tally.message.seen, tally.message.settled) == (0, 7, 6)


def test_a_shard_believes_no_manifest_before_the_root_has_named_the_run() -> None:
    """A broker may retain that of an earlier run, even one that has finished."""
    shard = ShardAlone()
    assert shard.feed(manifest_of(9, run=OTHER_RUN, state="finished")) == []
    assert shard.feed(Welcome(run=RUN, plan=PLAN), manifest_of(2)) == [
        shard_effects.JoinRun(RUN),
        shard_effects.OpenRound(manifest_of(2)),
    ]


def test_a_shard_that_comes_back_to_a_run_begins_its_lives_anew() -> None:
    """The root of another run had taken over for a while: what the folder held of this one, its life too, is gone."""
    shard = ShardAlone(before=(RUN, 3), life=SECOND)
    (join,) = shard.feed(Welcome(run=OTHER_RUN, plan=PLAN))
    assert join == shard_effects.JoinRun(OTHER_RUN)
    assert shard.feed(Welcome(run=RUN, plan=PLAN), manifest_of(2)) == [
        shard_effects.JoinRun(RUN),
        shard_effects.OpenRound(manifest_of(2)),
    ]
    (tally,) = shard.feed(shard_events.RoundOpened({}, {}))
    assert (tally.message.life, tally.message.seen) == (FIRST_LIFE, 2)


def test_a_restarted_shard_does_not_go_back() -> None:
    """A broker that was restarted may retain the manifest of an earlier round."""
    shard = ShardAlone(before=(RUN, 3))
    assert shard.feed(manifest_of(2)) == []
    assert shard.feed(manifest_of(3)) == [shard_effects.OpenRound(manifest_of(3))]


def test_a_shard_with_another_plan_leaves() -> None:
    """What it would sum up is not what the root asks for."""
    (leave,) = ShardAlone().feed(Welcome(run=RUN, plan=make_plan(sites=5)))
    assert "its plan differs" in leave.reason


def test_an_offer_between_two_rounds_is_answered_when_the_next_is_open() -> None:
    """The site has heard of it first; it need not ask again."""
    shard, site = ShardAlone(), OWN[0][0]
    assert shard.feed(round_events.FromSite(site, begin_of())) == []
    tally, answer = shard.collect()
    assert isinstance(tally.message, Tally)
    assert answer == round_effects.Send(site, "dn/ctl", Missing(id=begin_of().outline.id, bitmap=b"\x07"))


def test_a_closed_shard_takes_nothing_more_and_delivers_until_there_is_a_receipt() -> None:
    """Again and again; then it waits for the next round, in which an offer that came meanwhile is late."""
    shard, site = ShardAlone(), OWN[0][0]
    shard.collect()
    assert shard.feed(ENOUGH) == [shard_effects.SumUp(2)]
    tally, offer = shard.feed(shard_events.Summed(SUM))
    assert tally.message.closed
    assert offer == shard_effects.SendUp("up/ctl", Deliver(begin=OFFER, life=FIRST_LIFE))
    assert shard.feed(round_events.FromSite(site, begin_of())) == []
    shard.now += limits.RETRY_S
    assert shard.feed(round_events.Tick())[-1] == offer
    assert shard.feed(ACCEPTED) == [shard_effects.Settle(2)]
    shard.feed(manifest_of(3))
    late = shard.feed(shard_events.RoundOpened({}, {}))[-1]
    assert late.message.reason == "late: round 2 has closed"


def test_a_shard_whose_twin_has_delivered_says_which_folder_to_go_on_with() -> None:
    """The root took the first sum, and refuses the other."""
    shard = ShardAlone()
    shard.collect(sum=SUM)
    (leave,) = shard.feed(replace(ACCEPTED, accepted=False, reason=TWICE))
    assert "another process that is this shard has delivered round 2" in leave.reason
    assert "from that one's folder" in leave.reason
    other = ShardAlone()
    other.collect(sum=SUM)
    (leave,) = other.feed(replace(ACCEPTED, accepted=False, reason="too large"))
    assert leave.reason == "it refuses this shard's sum of round 2: too large"


@pytest.mark.parametrize(("opened", "state"), [({"sum": SUM}, "delivering"), ({"settled": True}, "waiting")])
def test_a_shard_that_died_after_closing_does_not_collect_again(opened: dict, state: str) -> None:
    """Its sum was made, or even received; more updates would be lost."""
    shard = ShardAlone()
    shard.collect(**opened)
    assert shard.machine.state.value == state


def test_enough_for_another_round_closes_nothing() -> None:
    """It was repeated, or overtaken by the next manifest."""
    shard = ShardAlone()
    shard.collect(3)
    assert shard.feed(ENOUGH, Enough(run=OTHER_RUN, round=3)) == []


# The root.


def test_the_root_closes_when_its_shards_together_have_the_target() -> None:
    """It tells both, and folds when both sums are there."""
    root = Root()
    assert root.tell(0, OWN[0][0]) == HEARD
    assert root.tell(1, OWN[1][0]) == [
        round_effects.Send(f"shard/{i}", "dn/ctl", replace(ENOUGH, promised=(OWN[i][0],))) for i in (0, 1)
    ]
    assert root.deliver(0) == [round_effects.Send("shard/0", "dn/ctl", ACCEPTED)]
    _, close = root.deliver(1)
    assert isinstance(close, round_effects.CloseRound)


def test_a_tally_that_is_repeated_or_tells_of_others_sites_counts_nothing() -> None:
    """A site counts once, and only where it belongs."""
    root = Root()
    for _ in range(2):
        assert root.tell(0, OWN[0][0]) == root.tell(0, OWN[0][0], OWN[1][0]) == HEARD


def test_a_shard_that_has_closed_closes_the_round() -> None:
    """The root was restarted after it had said so: what is summed up cannot be collected again."""
    for root in (Root(), Root(receipts={"shard/0": ACCEPTED})):
        root.tell(0, *OWN[0][:2], closed=True)
        assert root.tell(1) == [round_effects.Send("shard/1", "dn/ctl", ENOUGH)]


def test_a_root_that_was_restarted_knows_by_the_quorum_that_a_shard_was_set_back() -> None:
    """One shard has closed the round, which all together had enough for; now they have less."""
    root = Root()
    assert root.tell(0, OWN[0][0], closed=True) == HEARD
    root.tell(1)
    (answer,) = root.tell(1)
    assert isinstance(answer.message, Rewind)


def test_a_shard_that_lags_is_told_run_and_round() -> None:
    """And one that did not hear that it is enough hears it again."""
    root = Root()
    assert [type(e.message) for e in root.tell(0, run=OTHER_RUN)] == [Welcome, RoundManifest]
    assert [type(e.message) for e in root.tell(0, round=1)] == [RoundManifest]
    root.tell(0, *OWN[0][:2])
    assert root.tell(1) == [round_effects.Send("shard/1", "dn/ctl", ENOUGH)]


@pytest.mark.parametrize(
    ("index", "changes", "reason"),
    [
        (0, {"plan": "0" * 64}, "its plan differs"),
        (0, {"shards": 3}, "the root has 2 shards, this one was started as 0/3"),
        (2, {"shards": 3}, "the root has 2 shards, 0 to 1"),
    ],
)
def test_a_shard_that_does_not_belong_is_evicted(index: int, changes: dict, reason: str) -> None:
    """With the reason."""
    (effect,) = Root().tell(index, **changes)
    assert isinstance(effect.message, Evict)
    assert reason in effect.message.reason


def test_while_the_root_waits_for_a_sum_it_says_so_and_goes_on_answering() -> None:
    """Sites join and fetch meanwhile; the operator hears which shard is awaited."""
    root = Root()
    root.tell(0, *OWN[0][:2])
    root.deliver(0)
    late = 2.0 + limits.REMIND_S
    assert root.machine.receive(round_events.Tick(), late) == [round_effects.Lacking(2, ("shard/1",))]
    assert root.machine.receive(round_events.Tick(), late + 1) == []
    kinds = [type(e.message) for e in root.machine.receive(round_events.FromSite("s9", HELLO), late)]
    assert kinds == [Welcome, RoundManifest]
    want = Want(part="delta", version=1, bitmap=b"\x01")
    assert root.machine.receive(round_events.FromSite("s9", want), late) == [
        round_effects.SendChunks("s9", "delta", 1, (0,))
    ]


def test_the_root_takes_no_update_of_a_site_but_waits_for_who_offers_one() -> None:
    """The update is for its shard; that it comes shows that the site can finish."""
    plan = make_plan(sites=3, min_sites=2, deadline_s=100.0)
    closed = []
    for offers in (True, False):
        root = Root(plan, roster={"s0": False, "s1": False, "s2": True})
        if offers:
            assert root.machine.receive(round_events.FromSite("s2", begin_of(PAYLOAD)), 1.0) == []
        effects = [
            effect
            for index, own in enumerate(OWN)
            for effect in root.tell(index, *[site for site in ("s0", "s1") if site in own])
        ]
        closed.append(any(isinstance(effect.message, Enough) for effect in effects))
    assert closed == [False, True]


def test_a_shard_that_was_set_back_makes_the_root_begin_a_new_life() -> None:
    """Once; and sites hear of it when all shards are in it. What shards hold of the round still counts."""
    root = Root()
    (answer,) = root.tell(0, behind=True)
    new = answer.message.manifest.life
    assert (answer.message.keep, new.number) == (True, 1)
    assert root.tell(0, behind=True) == [answer], "it speaks of the life before"
    assert root.tell(0, OWN[0][0], life=new) == HEARD, "the other shard does not know yet"
    assert [e.message.keep for e in root.tell(1, OWN[1][0])] == [True]
    begin, published, *_ = root.tell(1, life=new)
    assert (begin.life, begin.site, begin.round) == (new, "shard/0", 2)
    assert published.manifest.life == new


@pytest.mark.parametrize(
    "tally",
    [
        {"round": 3, "seen": 3, "settled": 2},
        {"round": 0, "seen": 3, "settled": 2},
        {"round": 2, "seen": 2, "settled": 2},
        {"round": 1, "seen": 1, "life": SECOND},
        {"round": 2, "seen": 2, "closed": True, "life": SECOND},
    ],
    ids=["at a later round", "restarted", "settled", "in a later life", "in a later life of this round"],
)
def test_a_root_whose_shard_knows_more_begins_its_round_anew_in_a_new_life(tally: dict) -> None:
    """What shards hold of the round is dropped, all of them: the policy decides once more when it closes."""
    root = Root()
    root.tell(1, *OWN[1][:2])  # enough to close the round, which cannot be
    (answer,) = root.tell(0, **tally)
    new = answer.message.manifest.life
    assert (answer.message.keep, answer.message.manifest.round) == (False, 2)
    assert new.number == 1 + tally.get("life", FIRST_LIFE).number
    root.tell(0, life=new)
    (answer,) = root.tell(1, OWN[1][0])
    assert not answer.message.keep
    begin, *published, _ = root.tell(1, life=new)
    assert (begin.life, begin.site, begin.seen) == (new, "shard/0", tally["seen"])
    assert published[-2].manifest == answer.message.manifest
    assert root.machine.state is round_states.State.COLLECTING
    root.tell(0, OWN[0][0], life=new)
    assert root.tell(1, OWN[1][0], life=new)[0].message.promised == (OWN[0][0],)


def test_a_root_that_holds_a_shards_sum_lets_it_go_for_the_new_life() -> None:
    """With the other shards' sites it would be less than the policy wants; that shard's sites answer again, too."""
    root = Root(receipts={"shard/0": ACCEPTED})
    (answer, _) = root.tell(0, round=4, seen=4, settled=3), root.tell(1, round=4, seen=4, settled=3)
    new = answer[0].message.manifest.life
    root.tell(0, life=new)
    root.tell(1, life=new)
    assert root.machine.state is round_states.State.COLLECTING
    root.tell(0, *OWN[0][:2], life=new)
    assert root.deliver(0, life=new) == [round_effects.Send("shard/0", "dn/ctl", ACCEPTED)]
    assert isinstance(root.deliver(1, life=new)[-1], round_effects.CloseRound)


def test_a_site_with_an_update_for_a_round_that_the_root_has_lost_hears_of_its_new_life() -> None:
    """The manifest may have got lost on its way, and shards wait for rounds that are still to come."""
    root = Root()
    (where,) = root.machine.receive(round_events.FromSite("s0", begin_of(PAYLOAD, round_=5)), 1.0)
    assert (where.site, where.message.round) == ("s0", 2)


def test_a_root_and_shards_that_were_all_set_back_learn_it_from_a_site() -> None:
    """Nobody else knows of the later rounds."""
    root = Root()
    hello = replace(HELLO, run=RUN, seen=5, accepted=4)
    assert not [
        e
        for e in root.machine.receive(round_events.FromSite("s0", hello), 1.0)
        if isinstance(e, round_effects.BeginLife)
    ]
    (answer,) = root.tell(0, round=2, seen=2)
    new = answer.message.manifest.life
    root.tell(0, life=new)
    root.tell(1)
    begin, *_ = root.tell(1, life=new)
    assert (begin.site, begin.seen) == ("s0", 5)


def test_a_root_takes_no_sum_of_another_life() -> None:
    """Nor does it refuse one, which would end the shard."""
    root = Root()
    root.tell(0, round=3, seen=3, settled=2)
    assert root.offer(0, round=3) == []
    assert root.offer(1) == [], "it has not said which life it is in"


@pytest.mark.parametrize(
    "its",
    [{}, {"round": 3}, {"life": SECOND, "round": 3}],
    ids=["this round", "a later round", "of our life"],
)
def test_a_root_takes_a_sum_by_its_own_life_not_by_what_a_twin_of_its_shard_says(its: dict) -> None:
    """One of two processes is in the new life; what the other has was promised in the one before."""
    root = Root(life=SECOND)
    root.tell(0, life=SECOND)
    assert root.offer(0, **its) == []
    assert isinstance(root.offer(0, life=SECOND)[0].message, Missing)


def test_a_root_refuses_no_sum_of_another_run() -> None:
    """A shard's twin has heard of a fresh folder that took over, and the shard not yet: it must not end for that."""
    root = Root()
    root.tell(0)
    answers = root.tell(0, run=OTHER_RUN, closed=True)
    assert isinstance(answers[0].message, Welcome)
    assert root.offer(0, run=OTHER_RUN) == []


def test_a_sum_that_was_taken_rounds_ago_gets_its_receipt_again() -> None:
    """A twin of its shard, or a restored folder, offers it; a refusal would end the shard."""
    given = {(2, "shard/0"): ACCEPTED}
    root = Root(given=lambda *key: given.get(key), round=4)
    root.tell(0, round=4)
    (answer,) = root.offer(0)
    assert answer.message == ACCEPTED


def test_people_hear_within_two_minutes_which_shards_are_silent_or_have_not_followed() -> None:
    """While the round is open, and while a new life waits for them; not while the root is itself cut off."""
    root = Root()
    root.tell(0, now=100.0)
    assert round_effects.Unheard(2, ("shard/1",), 100.0) in root.machine.receive(round_events.Tick(), 100.0)
    root.machine.receive(round_events.Disconnected(), 110.0)
    assert not root.machine.receive(round_events.Tick(), 300.0)
    root.machine.receive(round_events.Reconnected(), 301.0)
    root.tell(0, round=3, seen=3, now=302.0)
    assert round_effects.Rewinding(2, ("shard/0", "shard/1")) in root.machine.receive(
        round_events.Tick(), 333.0
    )


def test_a_shard_whose_sum_is_here_lost_nothing() -> None:
    """Its folder is older than its last words, and the root has them."""
    root = Root()
    root.tell(0, OWN[0][0], OWN[0][1])
    root.deliver(0)
    assert not [effect for effect in root.tell(0, behind=True) if isinstance(effect, round_effects.BeginLife)]


def test_a_shard_that_lacks_what_it_promised_is_not_summed_up() -> None:
    """It says that its folder was set back, and gives its sum when its sites have answered again."""
    shard, (one, other, *_) = ShardAlone(), OWN[0]
    shard.collect(receipts={one: Receipt(id=b"1" * 32, accepted=True)})
    (tally,) = shard.feed(replace(ENOUGH, promised=(one, other)))
    assert tally.message.behind
    assert shard.feed(replace(ENOUGH, promised=(one,))) == [shard_effects.SumUp(2)]


def test_the_root_says_what_a_shard_promised() -> None:
    """Also when it has to say again that it is enough."""
    root, (one, other, *_) = Root(), OWN[0]
    enough = round_effects.Send("shard/0", "dn/ctl", replace(ENOUGH, promised=(one, other)))
    assert enough in root.tell(0, one, other)
    assert enough in root.tell(0, one)
