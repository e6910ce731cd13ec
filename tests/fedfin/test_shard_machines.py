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
from fedfin.protocol import round_states as agg
from fedfin.protocol import shard_states as life
from fedfin.protocol import transfer
from fedfin.protocol.messages import (
    Enough,
    Evict,
    Life,
    Missing,
    Receipt,
    RoundManifest,
    Tally,
    Want,
    Welcome,
)
from fedfin.protocol.root_machine import RootMachine
from fedfin.protocol.shard_machine import ShardMachine
from fedfin.protocol.shards import Shard
from fedfin.protocol.site_states import Connected

BOTH = [Shard(0, 2), Shard(1, 2)]
OWN = [[f"s{n}" for n in range(20) if shard.serves(f"s{n}")] for shard in BOTH]
SUM = b"a sum" * 10
OFFER = begin_of(SUM, chunk_size=transfer.grain(len(SUM), CHUNK))
ACCEPTED = Receipt(id=OFFER.outline.id, accepted=True)
QUICK = make_plan(sites=2, min_sites=2)
ENOUGH = Enough(run=RUN, round=2)
SECOND = Life(1, "a" * 16)


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
        return self.feed(life.RoundOpened(**({"receipts": {}, "earlier": {}} | opened)))


class Root:
    """Of two shards, at round 2, a training round."""

    def __init__(self, plan=QUICK, **opened) -> None:
        self.machine = RootMachine(plan, run=RUN, shards=2, max_sum_bytes=10**6, chunk_size=CHUNK)
        self.plan = plan
        parts = (agg.Payload("snapshot", 0, b"m" * 3000), agg.Payload("delta", 1, b"d" * 10))
        defaults = {"round": 2, "version": 1, "model": MODEL, "parts": parts, "receipts": {}, "earlier": {}}
        self.opening = self.machine.receive(agg.Opened(**(defaults | opened)), 0.0)

    def tell(self, index: int, *accepted: str, **changes) -> list:
        """A tally; what follows."""
        facts = {"plan": self.plan.digest(), "shards": 2, "run": RUN, "round": 2, "accepted": accepted}
        now = changes.pop("now", 1.0)
        tally = Tally(**(facts | {"refused": (), "late": (), "closed": False} | changes))
        return self.machine.receive(agg.FromShard(index, tally), now)

    def deliver(self, index: int) -> list:
        """A sum arrives whole and is found good; what follows."""
        self.machine.receive(agg.FromShard(index, OFFER), 1.0)
        self.machine.receive(agg.FromShard(index, transfer.chunk(SUM, OFFER.outline, 0)), 1.0)
        return self.machine.receive(agg.Judged((agg.Answer(f"shard/{index}", 2, ACCEPTED),)), 1.0)


# A shard.


def hello_of(site: str, **changes) -> agg.FromSite:
    """One whose update of round 2 was accepted."""
    return agg.FromSite(site, replace(HELLO, **({"run": RUN, "seen": 2, "accepted": 2} | changes)))


def test_a_shard_learns_from_a_site_that_its_folder_was_set_back() -> None:
    """It knows of no such receipt; another shard's site, an earlier round's and its own receipts show nothing."""
    shard, (one, other, *_) = ShardAlone(), OWN[0]
    shard.collect(receipts={one: Receipt(id=b"1" * 32, accepted=True)})
    assert shard.feed(hello_of(one), hello_of(other, accepted=1), hello_of(other, run=OTHER_RUN)) == []
    (tally,) = shard.feed(hello_of(other))
    assert tally.message.behind
    renewed = replace(manifest_of(2), life=SECOND)
    assert shard.feed(renewed) == [life.BeginLife(SECOND, 2)]
    assert shard.feed(hello_of(other)) == [], "of the life before"
    shard.now += limits.RETRY_S
    assert not shard.feed(agg.Tick())[-1].message.behind


def test_what_a_shard_holds_counts_in_the_next_life_too() -> None:
    """Its sites answer the round again, and get their receipts again."""
    shard, site = ShardAlone(), OWN[0][0]
    given = Receipt(id=begin_of().outline.id, accepted=True)
    shard.collect(receipts={site: given})
    shard.feed(replace(manifest_of(2), life=SECOND))
    assert shard.feed(agg.FromSite(site, begin_of())) == [agg.Send(site, "dn/ctl", given)]


def test_a_shard_believes_no_manifest_before_the_root_has_named_the_run() -> None:
    """A broker may retain that of an earlier run, even one that has finished."""
    shard = ShardAlone()
    assert shard.feed(manifest_of(9, run=OTHER_RUN, state="finished")) == []
    assert shard.feed(Welcome(run=RUN, plan=PLAN), manifest_of(2)) == [life.OpenRound(manifest_of(2))]


def test_a_restarted_shard_does_not_go_back() -> None:
    """A broker that was restarted may retain the manifest of an earlier round."""
    shard = ShardAlone(before=(RUN, 3))
    assert shard.feed(manifest_of(2)) == []
    assert shard.feed(manifest_of(3)) == [life.OpenRound(manifest_of(3))]


def test_a_shard_with_another_plan_leaves() -> None:
    """What it would sum up is not what the root asks for."""
    (leave,) = ShardAlone().feed(Welcome(run=RUN, plan=make_plan(sites=5)))
    assert "its plan differs" in leave.reason


def test_an_offer_between_two_rounds_is_answered_when_the_next_is_open() -> None:
    """The site has heard of it first; it need not ask again."""
    shard, site = ShardAlone(), OWN[0][0]
    assert shard.feed(agg.FromSite(site, begin_of())) == []
    tally, answer = shard.collect()
    assert isinstance(tally.message, Tally)
    assert answer == agg.Send(site, "dn/ctl", Missing(id=begin_of().outline.id, bitmap=b"\x07"))


def test_a_closed_shard_takes_nothing_more_and_delivers_until_there_is_a_receipt() -> None:
    """Again and again; then it waits for the next round, in which an offer that came meanwhile is late."""
    shard, site = ShardAlone(), OWN[0][0]
    shard.collect()
    assert shard.feed(ENOUGH) == [life.SumUp(2)]
    tally, offer = shard.feed(life.Summed(SUM))
    assert tally.message.closed
    assert offer == life.SendUp("up/ctl", OFFER)
    assert shard.feed(agg.FromSite(site, begin_of())) == []
    shard.now += limits.RETRY_S
    assert shard.feed(agg.Tick())[-1] == offer
    assert shard.feed(ACCEPTED) == [life.Settle(2)]
    shard.feed(manifest_of(3))
    late = shard.feed(life.RoundOpened({}, {}))[-1]
    assert late.message.reason == "late: round 2 has closed"


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
    assert root.tell(0, OWN[0][0]) == []
    assert root.tell(1, OWN[1][0]) == [
        agg.Send(f"shard/{i}", "dn/ctl", replace(ENOUGH, promised=(OWN[i][0],))) for i in (0, 1)
    ]
    assert root.deliver(0) == [agg.Send("shard/0", "dn/ctl", ACCEPTED)]
    _, close = root.deliver(1)
    assert isinstance(close, agg.CloseRound)


def test_a_tally_that_is_repeated_or_tells_of_others_sites_counts_nothing() -> None:
    """A site counts once, and only where it belongs."""
    root = Root()
    for _ in range(2):
        assert root.tell(0, OWN[0][0]) == root.tell(0, OWN[0][0], OWN[1][0]) == []


def test_a_shard_that_has_closed_closes_the_round() -> None:
    """The root was restarted after it had said so: what is summed up cannot be collected again."""
    for effects in (
        Root().tell(0, OWN[0][0], closed=True),
        Root(receipts={"shard/0": ACCEPTED}).opening,
    ):
        assert agg.Send("shard/1", "dn/ctl", ENOUGH) in effects


def test_a_shard_that_lags_is_told_run_and_round() -> None:
    """And one that did not hear that it is enough hears it again."""
    root = Root()
    assert [type(e.message) for e in root.tell(0, run=OTHER_RUN)] == [Welcome, RoundManifest]
    assert [type(e.message) for e in root.tell(0, round=1)] == [RoundManifest]
    root.tell(0, *OWN[0][:2])
    assert root.tell(1) == [agg.Send("shard/1", "dn/ctl", ENOUGH)]


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
    assert root.machine.receive(agg.Tick(), late) == [agg.Lacking(2, ("shard/1",))]
    assert root.machine.receive(agg.Tick(), late + 1) == []
    kinds = [type(e.message) for e in root.machine.receive(agg.FromSite("s9", HELLO), late)]
    assert kinds == [Welcome, RoundManifest]
    want = Want(part="delta", version=1, bitmap=b"\x01")
    assert root.machine.receive(agg.FromSite("s9", want), late) == [agg.SendChunks("s9", "delta", 1, (0,))]


def test_the_root_takes_no_update_of_a_site_but_waits_for_who_offers_one() -> None:
    """The update is for its shard; that it comes shows that the site can finish."""
    plan = make_plan(sites=3, min_sites=2, deadline_s=100.0)
    closed = []
    for offers in (True, False):
        root = Root(plan, roster={"s0": False, "s1": False, "s2": True})
        if offers:
            assert root.machine.receive(agg.FromSite("s2", begin_of(PAYLOAD)), 1.0) == []
        effects = [
            root.tell(index, *[site for site in ("s0", "s1") if site in own]) for index, own in enumerate(OWN)
        ]
        closed.append(any(effects))
    assert closed == [False, True]


def test_a_shard_that_was_set_back_makes_the_root_begin_a_new_life() -> None:
    """Once; sites hear of it by the manifest, and the shard, too."""
    root = Root()
    begin, published, answer = root.tell(0, behind=True)
    assert (begin.life.number, begin.site, begin.round) == (1, "shard/0", 2)
    assert published.manifest.life == begin.life
    assert answer == agg.Send("shard/0", "dn/ctl", published.manifest)
    assert root.tell(0, behind=True) == [answer], "it speaks of the life before"


def test_a_shard_whose_sum_is_here_lost_nothing() -> None:
    """Its folder is older than its last words, and the root has them."""
    root = Root()
    root.tell(0, OWN[0][0], OWN[0][1])
    root.deliver(0)
    assert not [effect for effect in root.tell(0, behind=True) if isinstance(effect, agg.BeginLife)]


def test_a_shard_that_lacks_what_it_promised_is_not_summed_up() -> None:
    """It says that its folder was set back, and gives its sum when its sites have answered again."""
    shard, (one, other, *_) = ShardAlone(), OWN[0]
    shard.collect(receipts={one: Receipt(id=b"1" * 32, accepted=True)})
    (tally,) = shard.feed(replace(ENOUGH, promised=(one, other)))
    assert tally.message.behind
    assert shard.feed(replace(ENOUGH, promised=(one,))) == [life.SumUp(2)]


def test_the_root_says_what_a_shard_promised_and_not_for_ever() -> None:
    """A site that has answered may be gone when its shard asks it again."""
    root, (one, other, *_) = Root(), OWN[0]
    enough = agg.Send("shard/0", "dn/ctl", replace(ENOUGH, promised=(one, other)))
    assert enough in root.tell(0, one, other)
    assert enough in root.tell(0, one)
    late = root.tell(0, one, now=1.0 + QUICK.rounds.deadline_s)
    assert agg.Send("shard/0", "dn/ctl", ENOUGH) in late
