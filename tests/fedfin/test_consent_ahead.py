"""Sites sign with their masked values that all who have dealt are in the sum: one question fewer where all came."""

import numpy as np
import pytest
from cohort_sites import RUN, Sites
from machine_helpers import CHUNK, MODEL, make_plan
from msgspec import UNSET
from msgspec.structs import replace
from test_secure_round_machine import ROUND, Aggregator

from fedfin.errors import ProtocolError
from fedfin.plan_sections import Privacy
from fedfin.protocol import transfer
from fedfin.protocol.cohorts import threshold
from fedfin.protocol.messages.joining import Welcome
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealt, Ready, Survivors
from fedfin.protocol.messages.transfers import Begin, Chunk, Missing
from fedfin.protocol.rounds import sum_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site.effects import Send
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.site.secure_machine import SecureSiteMachine
from fedfin.protocol.versions import OURS
from fedfin.secure_sums.member import LostError

SECURE = replace(
    make_plan(), privacy=Privacy(level="secure"), rounds=replace(make_plan().rounds, min_sites=3)
)


class AheadAggregator(Aggregator):
    """Its sites sign ahead, but for those that are `hesitant`; of `forgers` the signature is another's."""

    def __init__(
        self, count: int = 5, *, hesitant: tuple[str, ...] = (), forgers: tuple[str, ...] = ()
    ) -> None:
        self.hesitant, self.forgers = hesitant, forgers
        super().__init__(count)

    def answer(self, names=()) -> None:
        """As Aggregator; masked values with what is signed ahead."""
        for name in names or [name for name in self.names if name not in self.silent]:
            question = self.asked.get(name)
            if not isinstance(question, Dealt):
                super().answer((name,))
                continue
            del self.asked[name]
            member = self.sites.members[name]
            self.masked[name] = member.mask(question, np.full(8, 1, np.uint64))
            consent = UNSET if name in self.hesitant else member.consent_to_all(question)
            self._offer(name, bytes(64) if name in self.forgers else consent)

    def _offer(self, name: str, consent) -> None:
        outline = transfer.outline(self.masked[name], CHUNK)
        self.say(name, Begin(run=RUN, round=ROUND, outline=outline, consent=consent))
        assert isinstance(self.asked[name], Missing)
        self.say(name, Chunk(id=outline.id, index=0, data=self.masked[name]))


def _dealt(aggregator: AheadAggregator) -> AheadAggregator:
    aggregator.ready()
    aggregator.to(Dealt)
    return aggregator


def test_where_all_values_come_shares_are_asked_for_at_once() -> None:
    """And what opening takes is durable before that, the sum fixed before that."""
    aggregator = _dealt(AheadAggregator())
    aggregator.answer()
    assert all(isinstance(question, Consents) for question in aggregator.asked.values())
    fixed, kept = (
        aggregator.done.index(aggregator.of(kind)[0]) for kind in (sum_effects.FixSum, sum_effects.KeepSum)
    )
    assert fixed < kept
    aggregator.answer()
    assert aggregator.of(sum_effects.OpenSum)[0].survivors == aggregator.names


def test_who_was_started_again_after_its_values_came_is_asked_for_its_shares() -> None:
    """It does not hold the secrets any more with which it masked, and says so; what it signed ahead it keeps."""
    aggregator = _dealt(AheadAggregator(3))
    aggregator.answer(aggregator.names[:2])
    aggregator.say("s0", Ready(run=RUN, round=ROUND, lost=bytes([1]) * 16))
    aggregator.answer()
    assert isinstance(aggregator.asked["s0"], Consents)
    aggregator.answer()
    assert aggregator.of(sum_effects.OpenSum)[0].survivors == aggregator.names


def test_where_a_site_is_lost_the_others_are_asked_who_is_left() -> None:
    """What they signed ahead is of another list, and counts for nothing."""
    aggregator = _dealt(AheadAggregator())
    aggregator.silent = {"s4"}
    aggregator.answer()
    aggregator.wait(100.0)
    assert {type(aggregator.asked[name]) for name in aggregator.names[:4]} == {Survivors}
    aggregator.answer()
    aggregator.answer()
    (sum_,) = aggregator.of(sum_effects.OpenSum)
    assert sum_.survivors == aggregator.names[:4]
    assert all(reveal.keys.keys() == {"s4"} for reveal in sum_.reveals.values())


def test_who_has_not_signed_ahead_is_asked() -> None:
    """A site of a version from before, beside enough others."""
    aggregator = _dealt(AheadAggregator(hesitant=("s0",)))
    aggregator.answer()
    assert isinstance(aggregator.asked["s0"], Survivors)
    assert isinstance(aggregator.asked["s1"], Consents)


@pytest.mark.parametrize("how", ["hesitant", "forgers"])
def test_too_few_signatures_ahead_are_none(how: str) -> None:
    """All are asked, as ever; one that is not its site's is none either."""
    aggregator = _dealt(AheadAggregator(**{how: ("s0", "s1")}))
    aggregator.answer()
    assert {type(aggregator.asked[name]) for name in ("s0", "s1")} == {Survivors}
    assert not aggregator.of(sum_effects.KeepSum)
    aggregator.answer()
    assert aggregator.of(sum_effects.KeepSum)


@pytest.mark.parametrize("sites", range(3, 51))
def test_two_lists_of_one_attempt_cannot_both_be_opened(sites: int) -> None:
    """Each site reveals for one; less than a third that lie, and reveal for both, are too few."""
    liars = (sites - 1) // 3
    assert (sites - liars) + 2 * liars < 2 * threshold(sites)


# At the site.


def _masked_sites(count: int = 5) -> tuple[Sites, dict[str, Dealt]]:
    sites = Sites(count)
    dealings = sites.deal(sites.names)
    questions = {name: sites.dealt(dealings, name) for name in sites.names}
    sites.mask(dealings, {name: np.ones(8, np.uint64) for name in sites.names})
    return sites, questions


def _signed_ahead(sites: Sites, questions: dict[str, Dealt]) -> Consents:
    signatures = {name: sites.members[name].consent_to_all(question) for name, question in questions.items()}
    return Consents(run=RUN, round=ROUND, attempt=questions["s0"].attempt, signatures=signatures)


def test_what_is_signed_ahead_is_durable_and_a_new_life_reveals_for_it() -> None:
    """It is written before the signature leaves."""
    sites, questions = _masked_sites()
    ahead = _signed_ahead(sites, questions)
    assert sites.ledgers["s0"].kept.survivors == sites.names
    assert sites.member("s0").reveal(ahead).seeds.keys() == set(sites.names)


def test_a_site_that_signed_another_list_reveals_for_that_of_all_no_more() -> None:
    """Of a site that is left out in one list and not in the other both secrets would be open."""
    sites, questions = _masked_sites()
    ahead, left = _signed_ahead(sites, questions), sites.consents(sites.names[:4])
    for member in (sites.members["s0"], sites.member("s0")):
        with pytest.raises(ProtocolError, match="of something else"):
            member.reveal(ahead)
    assert sites.members["s0"].reveal(left).keys.keys() == {"s4"}


def test_after_a_reveal_for_all_no_other_list_is_signed() -> None:
    """Not in a new life either."""
    sites, questions = _masked_sites()
    sites.members["s0"].reveal(_signed_ahead(sites, questions))
    other = Survivors(run=RUN, round=ROUND, attempt=questions["s0"].attempt, names=sites.names[:4])
    for member in (sites.members["s0"], sites.member("s0")):
        with pytest.raises(ProtocolError, match="other survivors than before"):
            member.consent(other)


def test_a_new_life_signs_no_other_list() -> None:
    """It has not the attempt's secrets any more, and says so."""
    sites, questions = _masked_sites()
    _signed_ahead(sites, questions)
    other = Survivors(run=RUN, round=ROUND, attempt=questions["s0"].attempt, names=sites.names[:4])
    with pytest.raises(LostError):
        sites.member("s0").consent(other)


def test_under_another_rounds_number_nothing_of_an_attempt_is_revealed_or_signed() -> None:
    """It would be written down of that round, and another list signed: of the site left out both secrets would open."""
    sites, questions = _masked_sites()
    ahead, next_ = _signed_ahead(sites, questions), ROUND + 1
    other = Survivors(run=RUN, round=next_, attempt=ahead.attempt, names=sites.names[:4])
    for member in (sites.members["s0"], sites.member("s0")):
        with pytest.raises(LostError):
            member.reveal(replace(ahead, round=next_))
        with pytest.raises(LostError):
            member.consent(other)
    assert sites.ledgers["s0"].attempts == {}


def test_values_are_not_masked_for_another_round_than_that_of_the_cohort() -> None:
    """Nor is a dealing told again for it: what may stand beside a sum, and in which groups, is by round."""
    sites = Sites(5)
    dealings = sites.deal(sites.names)
    with pytest.raises(LostError):
        sites.members["s0"].mask(replace(sites.dealt(dealings, "s0"), round=ROUND + 1), np.ones(8, np.uint64))
    again = Cohort(run=RUN, round=ROUND + 1, attempt=dealings["s0"].attempt, names=sites.names)
    dealing = sites.answer(again, "s0")
    assert (dealing.round, dealing.key) != (ROUND, dealings["s0"].key)
    assert dealing.round == ROUND + 1


def test_where_all_must_not_be_in_a_sum_nothing_is_signed_ahead_nor_kept() -> None:
    """Beside an earlier one it would show one site; the values leave all the same, for a list that shows none."""
    sites, questions = _masked_sites()
    sites.ledgers["s0"].sums = [frozenset(sites.names[:4])]
    assert sites.members["s0"].consent_to_all(questions["s0"]) == b""
    assert sites.ledgers["s0"].kept is None


def test_what_is_signed_ahead_goes_with_the_masked_values() -> None:
    """In one offer; where nothing is signed ahead, the offer says nothing."""
    machine = SecureSiteMachine(
        site="s0", boot="0" * 16, encoders={}, memory=Memory(run=RUN, model=MODEL, version=0, offer=(2, b"u"))
    )
    for event in (site_events.Connected(CHUNK), Welcome(run=RUN, plan=SECURE, party=OURS)):
        machine.receive(event, 0.0)
    for signed, sent in ((b"c" * 64, b"c" * 64), (b"", UNSET)):
        effects = machine.receive(site_events.Masked(2, b"masked", signed), 0.0)
        (begin,) = [
            each.message for each in effects if isinstance(each, Send) and isinstance(each.message, Begin)
        ]
        assert begin.consent == sent
