"""One site that deals what nobody can use stops no sum of the others; nobody is put out by a few that lie."""

import os
from collections.abc import Iterable

import numpy as np
import pytest
from cohort_sites import MODEL, RUN, Sites
from machine_helpers import make_plan
from msgspec.structs import replace
from test_secure_round_machine import DEADLINE, ROUND, STATISTICS, Aggregator

from fedfin.protocol.cohorts import key_statement
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealing, Dealt, Ready, SumKey
from fedfin.protocol.rounds import sum_effects
from fedfin.protocol.rounds.accusations import Accusations
from fedfin.protocol.rounds.attempts import GIVEN_UP, MOST_ATTEMPTS
from fedfin.protocol.rounds.effects import CloseRound, Stalled
from fedfin.protocol.schedule import task_of
from fedfin.protocol.subtraction import NO_COHORT, answered_once
from fedfin.secure_sums.member import BadDealingError
from fedfin.trust.identity import Identity

SMALL_ORDER = bytes(32)


def spoilt(dealing: Dealing, victims: Iterable[str]) -> Dealing:
    """What it has dealt to these does not open."""
    bad = {name: os.urandom(len(dealing.shares[name])) for name in victims if name in dealing.shares}
    return replace(dealing, shares=dealing.shares | bad)


def weak(dealing: Dealing, identity: Identity) -> Dealing:
    """With a key that nobody can agree on a mask with, signed as it must be."""
    where, commitment = (dealing.run, dealing.round, dealing.attempt), dealing.key.commitment
    signature = identity.signing.sign(key_statement(*where, MODEL, SMALL_ORDER, commitment))
    return replace(dealing, key=SumKey(SMALL_ORDER, commitment, signature))


class SpoiltAggregator(Aggregator):
    """`victims`: to whom s0 deals what does not open. `weak`: with a key of small order. `liars`: accuse all others."""

    def __init__(
        self,
        count: int = 5,
        *,
        victims: Iterable[str] = (),
        liars: tuple[str, ...] = (),
        weak: bool = False,
        **opened,
    ) -> None:
        self.victims, self.liars, self.weak = list(victims), liars, weak
        super().__init__(count, **opened)

    def answer(self, names: Iterable[str] = ()) -> None:
        """As Aggregator; who has no use of what was dealt to it says so."""
        for name in names or [name for name in self.names if name not in self.silent]:
            question = self.asked.get(name)
            if isinstance(question, Cohort) and name == "s0":
                del self.asked[name]
                dealing = spoilt(self.sites.answer(question, name), self.victims)
                self.say(name, weak(dealing, self.sites.identities[name]) if self.weak else dealing)
            elif isinstance(question, Dealt) and name in self.liars:
                self.accuse(name, question.keys.keys() - {name})
            else:
                self._answer_as_ever(name)

    def _answer_as_ever(self, name: str) -> None:
        try:
            super().answer((name,))
        except BadDealingError as error:
            self.accuse(name, error.names)

    def accuse(self, name: str, accused: Iterable[str], attempt: int = 0) -> None:
        """In the newest attempt, or in this one."""
        id_ = bytes([attempt]) * 16 if attempt else self.of(sum_effects.NewSum)[-1].attempt
        self.say(name, Ready(run=RUN, round=self.round, lost=id_, unopened=tuple(accused)))

    @property
    def named(self) -> list[str]:
        """Whose dealings are told to be bad."""
        return [effect.site for effect in self.of(sum_effects.BadDealing)]

    @property
    def cohorts(self) -> list[tuple[str, ...]]:
        """Of all attempts."""
        return [new.names for new in self.of(sum_effects.NewSum)]

    @property
    def survivors(self) -> tuple[str, ...]:
        """Of the sum that is about to open."""
        return self.of(sum_effects.KeepSum)[0].sum.survivors


@pytest.mark.parametrize("victims", [("s1", "s2", "s3", "s4"), ("s1", "s2")])
def test_who_deals_what_a_third_cannot_open_is_left_out_of_the_next_attempt(victims: tuple[str, ...]) -> None:
    """At once. It is named with those who say so; nobody else is blamed, and the others make the sum."""
    aggregator = SpoiltAggregator(victims=victims)
    aggregator.ready()
    aggregator.to(Consents)
    assert aggregator.of(sum_effects.BadDealing) == [sum_effects.BadDealing("s0", ROUND, victims)]
    assert not aggregator.of(Stalled)
    assert aggregator.cohorts == [aggregator.names, aggregator.names[1:]]
    assert aggregator.survivors == aggregator.names[1:]
    assert aggregator.now == 1.0


def test_who_is_left_out_stays_so_in_this_round() -> None:
    """However often it is ready."""
    aggregator = SpoiltAggregator(victims=("s1", "s2"))
    aggregator.ready()
    aggregator.to(Dealt)
    aggregator.answer()
    aggregator.ready(["s0"])
    aggregator.silent = {"s1", "s2"}
    aggregator.answer()
    aggregator.wait(2 * DEADLINE)
    aggregator.ready()
    assert len(aggregator.cohorts) == 3
    assert not any("s0" in cohort for cohort in aggregator.cohorts[1:])


def test_who_cannot_open_what_few_cannot_is_not_in_the_sum() -> None:
    """Nobody is named: the one may lie."""
    aggregator = SpoiltAggregator(victims=("s1",))
    aggregator.ready()
    aggregator.to(Consents)
    assert aggregator.cohorts == [aggregator.names]
    assert not aggregator.named
    assert aggregator.survivors == ("s0", "s2", "s3", "s4")


def test_where_statistics_need_all_a_site_that_deals_badly_to_one_costs_a_deadline_and_no_sum() -> None:
    """Without who cannot open it the sum would show that one beside the first. So both are out, and one more.

    Before that both are let in once more, as the others wait for them.
    """
    everyone = (frozenset(f"s{number}" for number in range(7)),)
    aggregator = SpoiltAggregator(7, victims=("s3",), summed=everyone, round=STATISTICS)
    aggregator.ready()
    aggregator.to(Dealt)
    aggregator.answer()
    bad, accuser = aggregator.of(sum_effects.BadDealing)
    assert (bad.site, bad.accusers, accuser.site, accuser.accused) == ("s0", ("s3",), "s3", ("s0",))
    aggregator.ready()
    aggregator.to(Dealt)
    aggregator.answer()
    aggregator.wait(DEADLINE)
    aggregator.to(Consents)
    assert aggregator.cohorts == [aggregator.names, aggregator.names, ("s1", "s2", "s4", "s5")]
    assert aggregator.survivors == aggregator.cohorts[-1]


@pytest.mark.parametrize("sites", [3, 7, 50])
def test_some_that_lie_put_out_fewer_than_they_are(sites: int) -> None:
    """Whatever they say of whom; of one that lies alone and one that is honest both are out."""
    names, rng = tuple(f"s{number:02}" for number in range(sites)), np.random.default_rng(sites)
    for _ in range(200):
        liars = names[: rng.integers(1, 1 + sites // 3)]
        accusations, honest = Accusations(names), names[len(liars) :]
        for name in liars:
            accusations.add(name, [other for other in names if rng.random() < rng.choice([0.1, 0.5, 1.0])])
        out = set(accusations.left_out) & set(honest)
        assert len(out) <= max(len(liars), 1)
        assert len(liars) == 1 or len(out) < len(liars) or set(liars) <= set(accusations.left_out)


def test_who_is_in_most_pairs_is_left_out_first() -> None:
    """A bad dealer of three, beside one pair of which nobody knows who it is."""
    accusations = Accusations("abcdefg")
    for name in "bcd":
        accusations.add(name, "a")
    accusations.add("e", "f")
    assert accusations.left_out == ("a", "e", "f")
    assert accusations.excused == set("bcde")
    assert (accusations.against("f"), accusations.by("e")) == (("e",), ("f",))
    liar = Accusations("abcdefg")
    liar.add("g", "abc")
    assert liar.left_out == ("g",)


def test_two_liars_of_seven_put_nobody_out_of_the_rounds_sum() -> None:
    """They are without."""
    aggregator = SpoiltAggregator(7, liars=("s5", "s6"))
    aggregator.ready()
    aggregator.to(Consents)
    assert (aggregator.cohorts, aggregator.named) == ([aggregator.names], [])
    assert aggregator.survivors == aggregator.names[:5]


def test_an_accusation_counts_once_in_its_attempt_by_and_of_its_cohort() -> None:
    """Nor from outside of the cohort, nor of oneself, nor when one's values have come."""
    aggregator = SpoiltAggregator(6)
    aggregator.ready(aggregator.names[:5])
    aggregator.wait(DEADLINE)
    aggregator.to(Dealt)
    aggregator.accuse("s5", ["s1"])
    aggregator.accuse("s0", ["s1"], attempt=9)
    aggregator.answer(["s0"])
    aggregator.accuse("s0", ["s1"])
    aggregator.accuse("s2", ["s2", "s5", "zz"])
    for _ in range(3):
        aggregator.accuse("s2", ["s1"])
    aggregator.answer(("s1", "s3"))
    aggregator.accuse("s4", ["s1"])
    assert aggregator.of(sum_effects.BadDealing)[0] == sum_effects.BadDealing("s1", ROUND, ("s4",))
    assert aggregator.named == ["s1", "s4"]
    assert aggregator.of(Stalled)[0].missed == ("s2",)


def test_a_key_of_small_order_does_not_count_and_is_not_waited_for() -> None:
    """Its site is named once, and left out of what follows in this round."""
    aggregator = SpoiltAggregator(weak=True)
    aggregator.ready()
    aggregator.answer()
    bad = weak(aggregator.sites.members["s0"]._attempt.dealing, aggregator.sites.identities["s0"])
    aggregator.say("s0", bad)
    assert isinstance(aggregator.asked["s1"], Dealt)
    aggregator.silent = {"s1", "s2"}
    aggregator.answer()
    aggregator.wait(DEADLINE)
    aggregator.ready()
    assert aggregator.of(sum_effects.BadDealing) == [sum_effects.BadDealing("s0", ROUND)]
    assert len(aggregator.cohorts) == 2
    assert "s0" not in aggregator.cohorts[1]


def test_a_later_key_of_small_order_takes_the_place_of_a_good_one() -> None:
    """While keys are dealt; once they are told, it changes nothing of the attempt."""
    aggregator = SpoiltAggregator()
    aggregator.ready()
    aggregator.answer(aggregator.names[:4])
    dealt = {name: aggregator.sites.members[name]._attempt.dealing for name in aggregator.names[:2]}
    aggregator.say("s0", weak(dealt["s0"], aggregator.sites.identities["s0"]))
    aggregator.answer(["s4"])
    assert aggregator.asked["s1"].keys.keys() == set(aggregator.names[1:])
    aggregator.say("s1", weak(dealt["s1"], aggregator.sites.identities["s1"]))
    aggregator.to(Consents)
    assert aggregator.survivors == aggregator.names[1:]


def test_where_too_few_are_left_all_are_let_in_again() -> None:
    """With the next deadline: of three all are needed, and the third may have been mended."""
    aggregator = SpoiltAggregator(3, victims=("s1", "s2"))
    aggregator.ready()
    aggregator.to(Dealt)
    aggregator.answer()
    aggregator.ready()
    assert (aggregator.cohorts, aggregator.named) == ([aggregator.names], ["s0"])
    aggregator.victims = []
    aggregator.wait(DEADLINE)
    aggregator.ready()
    aggregator.to(Consents)
    assert aggregator.survivors == aggregator.names


def test_where_statistics_have_no_cohort_without_it_a_site_is_let_in_again_once() -> None:
    """Beside an earlier sum one over all sites but it would show it. Then the round closes without a sum, as ever."""
    everyone = (frozenset(f"s{number}" for number in range(5)),)
    aggregator = SpoiltAggregator(victims=("s1", "s2"), summed=everyone, round=STATISTICS)
    aggregator.ready()
    for _ in range(6):
        aggregator.answer()
        aggregator.ready()
    assert aggregator.cohorts == [aggregator.names] * 2
    aggregator.wait(DEADLINE)
    assert [effect.reason for effect in aggregator.of(sum_effects.NoCohort)] == [NO_COHORT]


def test_a_key_of_small_order_puts_a_site_out_that_is_not_in_the_attempt() -> None:
    """It was ready too late for this one, and would be in the next."""
    aggregator = SpoiltAggregator(6)
    aggregator.ready(aggregator.names[1:])
    aggregator.wait(DEADLINE)
    aggregator.ready(["s0"])
    aggregator.sites.deal(aggregator.names)
    bad = aggregator.sites.members["s0"]._attempt.dealing
    bad = replace(bad, attempt=aggregator.of(sum_effects.NewSum)[0].attempt)
    aggregator.say("s0", weak(bad, aggregator.sites.identities["s0"]))
    for name in aggregator.names[1:4]:
        aggregator.accuse(name, ())
    aggregator.answer(aggregator.names[4:])
    aggregator.ready()
    assert aggregator.named == ["s0"]
    assert len(aggregator.cohorts) == 2
    assert "s0" not in aggregator.cohorts[1]


def _tried(round_: int, times: int) -> SpoiltAggregator:
    """So many attempts that all sites but one lose."""
    aggregator = SpoiltAggregator(round=round_)
    for _ in range(times):
        aggregator.ready()
        *lost, last = aggregator.cohorts[-1]
        for name in lost:
            aggregator.accuse(name, ())
        aggregator.answer([last])
    return aggregator


def test_after_so_many_attempts_the_round_closes_without_a_sum() -> None:
    """With the next tick; sites are told why."""
    assert task_of(make_plan(), ROUND) == "train"
    before = _tried(ROUND, MOST_ATTEMPTS - 1)
    before.wait(1.0)
    assert not before.of(CloseRound)
    aggregator = _tried(ROUND, MOST_ATTEMPTS)
    aggregator.ready()
    assert len(aggregator.cohorts) == MOST_ATTEMPTS
    aggregator.wait(1.0)
    assert [effect.reason for effect in aggregator.of(sum_effects.NoCohort)] == [GIVEN_UP]
    assert [effect.round for effect in aggregator.of(CloseRound)] == [ROUND]
    assert {summed.reason for summed in aggregator.told.values()} == {GIVEN_UP}


def test_a_sum_that_the_run_needs_is_tried_on_and_that_is_told() -> None:
    """Without moments there is no model. It is told each time that one more attempt was given up."""
    assert answered_once(task_of(make_plan(), 1))
    aggregator = _tried(1, MOST_ATTEMPTS + 1)
    aggregator.ready()
    assert len(aggregator.cohorts) == MOST_ATTEMPTS + 2
    told = [effect.attempts for effect in aggregator.of(sum_effects.GoesOn)]
    assert told == [MOST_ATTEMPTS, MOST_ATTEMPTS + 1]
    assert not aggregator.of(CloseRound)


def test_a_site_names_all_of_whose_dealings_it_has_no_use_and_masks_nothing() -> None:
    """Shares that do not open, and a key of small order, whoever relayed them; with the right ones it masks."""
    sites = Sites(5)
    dealings = sites.deal(sites.names)
    good, s0, s2 = sites.dealt(dealings, "s1"), dealings["s0"], dealings["s2"]
    bad = dealings | {"s0": spoilt(s0, ("s1",)), "s2": weak(s2, sites.identities["s2"])}
    told = r"what s0 has dealt: it is not sealed.*what s2 has dealt: its key is of small order"
    with pytest.raises(BadDealingError, match=told) as found:
        sites.members["s1"].mask(sites.dealt(bad, "s1"), np.ones(8, np.uint64))
    assert found.value.names == ("s0", "s2")
    assert sites.members["s1"].mask(good, np.ones(8, np.uint64))
