"""Promises of the aggregator's machine for secure sums, with real sites and an aggregator that acts by hand."""

from collections.abc import Iterable

import numpy as np
import pytest
from cohort_sites import Sites, open_sum
from cryptography.exceptions import InvalidSignature
from machine_helpers import CHUNK, HELLO, MODEL, make_plan
from msgspec.structs import replace

from fedfin.model.blocks import Blocks, blocks_of
from fedfin.plan_sections import Privacy
from fedfin.protocol import transfer
from fedfin.protocol.cohorts import threshold
from fedfin.protocol.messages.joining import Decline, Welcome
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealt, Ready, Summed, Survivors
from fedfin.protocol.messages.transfers import Begin, Chunk, Missing, Receipt
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.rounds import events as round_events
from fedfin.protocol.rounds import states as round_states
from fedfin.protocol.rounds import sum_effects
from fedfin.protocol.rounds.secure_machine import SecureRoundMachine
from fedfin.protocol.schedule import last_round, task_of
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site import states as site_states
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.site.secure_machine import SecureSiteMachine
from fedfin.protocol.subtraction import NOT_ALIKE
from fedfin.protocol.sum_groups import NO_GROUPS, deal, members
from fedfin.trust.weak_keys import is_weak_sealing_key

RUN, ROUND, STATISTICS, DEADLINE = "1" * 16, 2, last_round(make_plan()), 100.0
PARTS = (round_events.Payload("snapshot", 0, b"m" * 3000), round_events.Payload("delta", 1, b"d" * 10))


class Aggregator:
    """At round 2, or where `opened` says.

    `done`: what it was asked to do beside sending; `asked`: the last question to each site.
    """

    def __init__(
        self,
        count: int = 5,
        *,
        groups: int = 0,
        least: int = 0,
        gives: dict[str, bytes] | None = None,
        **opened,
    ) -> None:
        keys = {"groups": groups, "least_sites_per_block": least}
        privacy = Privacy(level="secure", **{key: number for key, number in keys.items() if number})
        plan = make_plan(sites=count, deadline_s=DEADLINE)
        rounds = replace(plan.rounds, min_sites=9 if groups else 3)
        plan = replace(plan, privacy=privacy, rounds=rounds)
        blocks = blocks_of(plan, task_of(plan, opened.get("round", ROUND)))
        self.sites, self.now = Sites(count, groups, blocks=blocks, gives=gives), 1.0
        ids = iter(bytes([number]) * 16 for number in range(1, 99))
        self.machine = SecureRoundMachine(
            plan,
            run=RUN,
            max_update_bytes=10**6,
            verify=self._verify,
            is_weak=is_weak_sealing_key,
            chunk_size=CHUNK,
            new_id=lambda: next(ids),
        )
        self.done: list = []
        self.asked: dict = {}
        self.told: dict[str, Summed] = {}
        self.silent: set[str] = set()
        self.masked: dict[str, bytes] = {}
        defaults = {
            "round": ROUND,
            "version": 1,
            "model": MODEL,
            "parts": PARTS,
            "receipts": {},
            "earlier": {},
        }
        self.round = opened.get("round", ROUND)
        self.feed(round_events.Opened(**(defaults | opened)))
        for name in self.names:
            self.say(name, HELLO)

    @property
    def names(self) -> tuple[str, ...]:
        """All sites."""
        return self.sites.names

    def _verify(self, site: str, statement: bytes, signature: bytes) -> bool:
        try:
            self.sites.roster[site].verifier.verify(signature, statement)
        except InvalidSignature:
            return False
        return True

    def feed(self, event) -> None:
        """An event, and what follows from it."""
        for effect in self.machine.receive(event, self.now):
            if isinstance(effect, round_effects.Send) and isinstance(effect.message, Summed):
                self.told[effect.site] = effect.message
            elif isinstance(effect, round_effects.Send):
                self.asked[effect.site] = effect.message
            elif isinstance(effect, round_effects.Judge):
                receipt = Receipt(id=effect.id, accepted=True)
                self.feed(round_events.Judged((round_events.Answer(effect.site, effect.round, receipt),)))
            else:
                self.done.append(effect)

    def say(self, site: str, message) -> None:
        """One site's word."""
        self.feed(round_events.FromSite(site, message))

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.feed(round_events.Tick())

    def ready(self, names: Iterable[str] = ()) -> None:
        """These have computed; default: all."""
        for name in names or self.names:
            self.say(name, Ready(run=RUN, round=self.round))

    def answer(self, names: Iterable[str] = ()) -> None:
        """These answer what they were asked; default: all that are not silent."""
        for name in names or [name for name in self.names if name not in self.silent]:
            question = self.asked.pop(name, None)
            member = self.sites.members[name]
            if isinstance(question, Cohort):
                self.say(name, self.sites.answer(question, name))
            elif isinstance(question, Dealt):
                self.masked[name] = member.mask(question, np.full(8, 1, np.uint64))
                self.offer(name)
            elif isinstance(question, Survivors):
                self.say(name, member.consent(question))
            elif isinstance(question, Consents):
                self.say(name, member.reveal(question))

    def offer(self, name: str) -> None:
        """Its masked values, in one chunk."""
        outline = transfer.outline(self.masked[name], CHUNK)
        self.say(name, Begin(run=RUN, round=self.round, outline=outline))
        if isinstance(self.asked.get(name), Missing):
            self.say(name, Chunk(id=outline.id, index=0, data=self.masked[name]))

    def of(self, kind: type) -> list:
        """What it did of a kind."""
        return [effect for effect in self.done if isinstance(effect, kind)]

    def to(self, kind: type) -> None:
        """On, until it asks for this."""
        for _ in range(6):
            if any(isinstance(question, kind) for question in self.asked.values()):
                return
            self.answer()
        pytest.fail(f"nobody is asked for {kind.__name__}")


def test_ready_sites_come_to_a_sum_that_is_theirs() -> None:
    """From ready to the shares; what opens is the sum of what they gave."""
    aggregator = Aggregator()
    aggregator.ready()
    for _ in range(4):
        aggregator.answer()
    sum_ = aggregator.of(sum_effects.OpenSum)[0]
    assert (sum_.names, sum_.survivors) == (aggregator.names, aggregator.names)
    dealings = {name: aggregator.sites.members[name]._attempt.dealing for name in aggregator.names}
    total = open_sum(aggregator.sites, dealings, aggregator.masked, sum_.survivors, sum_.reveals)
    assert total.tolist() == [5] * 8


def test_what_opening_takes_is_durable_before_shares_are_asked_for() -> None:
    """A life that ends after the first reveal must be able to open it."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.to(Survivors)
    assert not aggregator.of(sum_effects.KeepSum)
    aggregator.answer()
    (kept,) = aggregator.of(sum_effects.KeepSum)
    assert set(kept.sum.consents) >= set(aggregator.names[: threshold(5)])


def test_that_values_were_taken_is_said_by_the_next_question() -> None:
    """Not by a message of its own; a site that has not heard it yet, and offers them again, is told."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.to(Dealt)
    aggregator.answer(("s0",))
    assert isinstance(aggregator.asked["s0"], Missing)
    aggregator.offer("s0")
    assert aggregator.asked["s0"].accepted
    aggregator.answer(aggregator.names[1:])
    assert {type(question) for question in aggregator.asked.values()} == {Survivors}


def test_values_that_come_after_the_survivors_are_named_are_not_waited_for_nor_added() -> None:
    """The sum is fixed first; a late one gets its answer, and the attempt goes on."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.to(Dealt)
    late = aggregator.asked.pop("s4")
    aggregator.answer(aggregator.names[:4])
    aggregator.wait(DEADLINE)
    assert [fixed.attempt for fixed in aggregator.of(sum_effects.FixSum)] == [bytes([1]) * 16]
    aggregator.masked["s4"] = aggregator.sites.members["s4"].mask(late, np.full(8, 1, np.uint64))
    aggregator.offer("s4")
    assert aggregator.asked["s4"].accepted is False
    for _ in range(2):
        aggregator.answer(aggregator.names[:4])
    assert aggregator.of(sum_effects.OpenSum)[0].survivors == aggregator.names[:4]
    assert not aggregator.of(round_effects.CloseRound)


def test_shares_are_asked_for_when_enough_have_signed_and_not_before() -> None:
    """A site that has signed and asks where it stands is asked for its signature again."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.to(Survivors)
    aggregator.answer(("s0",))
    aggregator.ready(("s0",))
    assert isinstance(aggregator.asked["s0"], Survivors)


def test_who_signs_after_the_others_is_asked_for_its_shares_too() -> None:
    """More shares than are needed make up for those that are lost."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.to(Survivors)
    aggregator.answer(aggregator.names[:4])
    assert isinstance(aggregator.asked["s4"], Survivors)
    aggregator.answer(("s4",))
    assert isinstance(aggregator.asked["s4"], Consents)


def test_an_answer_to_late_values_does_not_end_the_sum() -> None:
    """While shares come in, what the server says of a straggler's values is no outcome."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.to(Consents)
    refused = Receipt(id=b"x" * 32, accepted=False, reason="late")
    aggregator.feed(round_events.Judged((round_events.Answer("s4", ROUND, refused),)))
    assert aggregator.machine.state is round_states.State.COLLECTING
    assert not aggregator.of(round_effects.CloseRound)


def test_a_key_of_a_site_that_worked_from_another_model_does_not_count() -> None:
    """Nobody would mask beside it; the others make the sum."""
    aggregator = Aggregator()
    aggregator.sites.models = {"s0": b"another"}
    aggregator.ready()
    aggregator.answer()
    aggregator.wait(DEADLINE)
    aggregator.to(Consents)
    assert aggregator.of(sum_effects.KeepSum)[0].sum.survivors == aggregator.names[1:]


def test_too_few_in_an_attempt_make_the_next_one_with_twice_the_time() -> None:
    """Nobody has revealed anything; those that are left are its cohort."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.silent = {"s3", "s4"}
    aggregator.answer()
    aggregator.wait(DEADLINE)
    first, second = aggregator.of(sum_effects.NewSum)
    assert (first.names, second.names) == (aggregator.names, aggregator.names[:3])
    assert first.attempt != second.attempt
    aggregator.silent = set(aggregator.names)
    aggregator.wait(1.5 * DEADLINE)
    assert len(aggregator.of(sum_effects.NewSum)) == 2


def test_a_site_that_lost_its_secrets_is_not_waited_for() -> None:
    """It says so when it is asked; of three all are needed, so the attempt is given up at once."""
    aggregator = Aggregator(3)
    aggregator.ready()
    aggregator.to(Dealt)
    aggregator.say("s0", Ready(run=RUN, round=ROUND, lost=bytes([1]) * 16))
    aggregator.answer(("s1", "s2"))
    aggregator.ready()
    assert [new.attempt for new in aggregator.of(sum_effects.NewSum)] == [bytes([1]) * 16, bytes([2]) * 16]


def test_a_word_about_an_older_attempt_loses_nobody() -> None:
    """It was late on the way."""
    aggregator = Aggregator(3)
    aggregator.ready()
    aggregator.to(Dealt)
    aggregator.say("s0", Ready(run=RUN, round=ROUND, lost=b"x" * 16))
    aggregator.answer()
    assert all(isinstance(question, Survivors) for question in aggregator.asked.values())


def test_shares_that_stay_away_close_the_round_without_a_sum_after_two_deadlines() -> None:
    """Told at the first; no other sum of these values is ever asked for."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.to(Consents)
    aggregator.answer(("s0",))
    aggregator.wait(DEADLINE)
    assert aggregator.of(round_effects.Stalled)[-1].missed == aggregator.names[1:]
    assert not aggregator.of(sum_effects.GiveUpSum)
    aggregator.wait(DEADLINE)
    (given_up,) = aggregator.of(sum_effects.GiveUpSum)
    receipt = Receipt(id=b"-" * 32, accepted=False, reason="too few shares")
    aggregator.feed(round_events.SumEnded(given_up.sum.attempt, given_up.sum.survivors, receipt))
    assert [closed.round for closed in aggregator.of(round_effects.CloseRound)] == [ROUND]
    assert len(aggregator.of(sum_effects.NewSum)) == 1
    assert {site for site, summed in aggregator.told.items() if not summed.accepted} == set(aggregator.names)


def test_a_new_life_asks_for_the_shares_of_the_sum_that_was_about_to_open() -> None:
    """And for no other sum of that round."""
    before = Aggregator()
    before.ready()
    before.to(Consents)
    (kept,) = before.of(sum_effects.KeepSum)
    after = Aggregator(unopened=kept.sum, roster=dict.fromkeys(before.names, False))
    after.sites = before.sites
    after.ready()
    assert all(isinstance(question, Consents) for question in after.asked.values())
    after.answer()
    assert not after.of(sum_effects.NewSum)
    assert len(after.of(sum_effects.OpenSum)[0].reveals) == threshold(5)


def test_a_sum_that_an_earlier_life_ended_is_closed_at_once() -> None:
    """Its outcome is durable: nobody is asked again."""
    receipts = dict.fromkeys(("s0", "s1", "s2"), Receipt(id=b"s" * 32, accepted=True))
    aggregator = Aggregator(receipts=receipts)
    assert [closed.round for closed in aggregator.of(round_effects.CloseRound)] == [ROUND]
    assert not aggregator.of(sum_effects.NewSum)


def test_who_asks_late_is_told_what_the_journal_says() -> None:
    """Of that round, not of its newest."""
    aggregator = Aggregator()
    aggregator.say("s0", Ready(run=RUN, round=1))
    assert aggregator.of(sum_effects.TellOutcome) == [sum_effects.TellOutcome("s0", 1)]


def test_time_in_which_the_aggregator_was_cut_off_is_nobodys_fault() -> None:
    """A phase has as much longer."""
    aggregator = Aggregator()
    aggregator.ready()
    aggregator.feed(round_events.Disconnected())
    aggregator.wait(5 * DEADLINE)
    aggregator.feed(round_events.Reconnected())
    aggregator.wait(DEADLINE / 2)
    assert not aggregator.of(round_effects.Stalled)


def test_masked_values_are_taken_while_they_are_asked_for_and_never_else() -> None:
    """A begin in another phase is refused; the round goes on."""
    aggregator = Aggregator()
    aggregator.masked["s0"] = b"x" * 80
    aggregator.offer("s0")
    assert aggregator.asked["s0"].reason == "no masked values of this site are awaited now"


def test_a_site_that_declines_is_not_waited_for() -> None:
    """Told once for each cause; a hello that follows makes it one of those that may come."""
    aggregator = Aggregator(4)
    aggregator.ready(aggregator.names[:3])
    for _ in range(2):
        aggregator.say("s3", Decline(run=RUN, cause="patients"))
    assert aggregator.of(round_effects.Declined) == [round_effects.Declined("s3", ROUND, "patients")]
    aggregator.wait(1.0)
    assert aggregator.of(sum_effects.NewSum)[0].names == aggregator.names[:3]


def test_a_word_of_another_run_declines_nothing() -> None:
    """It was late on the way."""
    aggregator = Aggregator(4)
    aggregator.ready(aggregator.names[:3])
    aggregator.say("s3", Decline(run="2" * 16, cause="patients"))
    aggregator.wait(1.0)
    assert not aggregator.of(round_effects.Declined)
    assert not aggregator.of(sum_effects.NewSum)


BEFORE = frozenset({"s0", "s1", "s2", "s3", "s4"})


def test_a_sum_of_statistics_is_over_the_same_sites_as_the_one_before() -> None:
    """Who comes between two sums is left out of the second."""
    aggregator = Aggregator(6, summed=(BEFORE,), round=STATISTICS)
    aggregator.ready()
    assert aggregator.of(sum_effects.NewSum)[0].names == tuple(sorted(BEFORE))


def test_a_sum_that_would_show_a_missing_site_waits_for_it_one_more_deadline() -> None:
    """People are told whom it lacks; when it comes, the sum is made."""
    aggregator = Aggregator(5, summed=(BEFORE,), round=STATISTICS)
    aggregator.ready(aggregator.names[:4])
    aggregator.wait(DEADLINE)
    (waiting,) = aggregator.of(sum_effects.AwaitCohort)
    assert (waiting.missing, waiting.seconds) == (("s4",), DEADLINE)
    assert not aggregator.of(sum_effects.NewSum)
    aggregator.ready(("s4",))
    assert aggregator.of(sum_effects.NewSum)[0].names == aggregator.names


def test_more_sites_are_left_out_where_one_is_gone_and_enough_are_there() -> None:
    """The sums then differ by three."""
    aggregator = Aggregator(6, summed=(frozenset({"s0", "s1", "s2", "s3", "s4", "s5"}),), round=STATISTICS)
    aggregator.ready(aggregator.names[:5])
    aggregator.wait(DEADLINE)
    aggregator.wait(DEADLINE)
    assert aggregator.of(sum_effects.NewSum)[0].names == ("s0", "s1", "s2")


def test_without_a_cohort_the_round_closes_without_a_sum_and_everybody_hears() -> None:
    """Nobody is asked for anything."""
    aggregator = Aggregator(5, summed=(BEFORE,), round=STATISTICS)
    aggregator.ready(aggregator.names[:4])
    aggregator.wait(DEADLINE)
    aggregator.wait(DEADLINE)
    assert [effect.ready for effect in aggregator.of(sum_effects.NoCohort)] == [aggregator.names[:4]]
    assert [closed.round for closed in aggregator.of(round_effects.CloseRound)] == [STATISTICS]
    assert not aggregator.of(sum_effects.NewSum)
    assert {site for site, summed in aggregator.told.items() if not summed.accepted} == set(
        aggregator.names[:4]
    )


def test_a_sum_of_statistics_that_loses_one_site_is_given_up_before_anybody_reveals() -> None:
    """Four of five are enough to open it, and would show the fifth."""
    aggregator = Aggregator(5, summed=(BEFORE,), round=STATISTICS)
    aggregator.ready()
    aggregator.to(Dealt)
    aggregator.answer(aggregator.names[:4])
    aggregator.wait(DEADLINE)
    assert not aggregator.of(sum_effects.FixSum)
    assert [effect.missing for effect in aggregator.of(sum_effects.AwaitCohort)] == [("s4",)]


BEHIND = replace(make_plan(), privacy=Privacy(level="secure", least_sites_per_block=3))
BLOCKS, STATISTIC_BLOCKS = Blocks(BEHIND, "train"), Blocks(BEHIND, "evaluate")


def test_a_sum_that_loses_the_third_site_of_a_block_is_given_up_before_anybody_reveals() -> None:
    """Four of five are enough to open it; of what three have it would show two. The next one is without that block."""
    some, more = (np.packbits(np.arange(len(BLOCKS.all)) < count).tobytes() for count in (1, 3))
    gives = {"s0": more, "s1": more, "s2": more, "s3": some, "s4": some}
    aggregator = Aggregator(5, least=3, gives=gives)
    aggregator.ready()
    aggregator.to(Dealt)
    assert aggregator.asked["s0"].gives == gives
    aggregator.answer(("s0", "s1", "s3", "s4"))
    aggregator.wait(DEADLINE)
    assert not aggregator.of(sum_effects.FixSum)
    assert [new.names for new in aggregator.of(sum_effects.NewSum)][1:] == [("s0", "s1", "s3", "s4")]
    aggregator.to(Consents)
    assert aggregator.of(sum_effects.KeepSum)[0].sum.survivors == ("s0", "s1", "s3", "s4")


def test_with_sites_behind_every_block_a_sum_of_statistics_is_over_the_same_sites_or_none() -> None:
    """Those that differ by three may differ by one that has a modality."""
    gives = dict.fromkeys((f"s{number}" for number in range(6)), bytes(STATISTIC_BLOCKS.byte_count))
    aggregator = Aggregator(6, least=3, gives=gives, summed=(frozenset(gives),), round=STATISTICS)
    aggregator.ready(aggregator.names[:5])
    aggregator.wait(DEADLINE)
    aggregator.wait(DEADLINE)
    assert not aggregator.of(sum_effects.NewSum)
    assert [effect.reason for effect in aggregator.of(sum_effects.NoCohort)] == [NOT_ALIKE]


def test_training_goes_on_with_whoever_is_there() -> None:
    """Its sums are of different models."""
    aggregator = Aggregator(5, summed=(BEFORE,))
    assert task_of(aggregator.machine._plan, ROUND) == "train"
    aggregator.ready(aggregator.names[:4])
    aggregator.wait(DEADLINE)
    assert aggregator.of(sum_effects.NewSum)[0].names == aggregator.names[:4]


TWELVE = tuple(sorted(f"s{number}" for number in range(12)))
IN_FOUR = deal(TWELVE, 4)


def test_a_round_of_training_is_summed_by_the_groups_of_the_first_sum() -> None:
    """Who came later is in none of them; a part of a group stays out."""
    aggregator = Aggregator(13, groups=4, summed=(frozenset(TWELVE),))
    aggregator.ready(name for name in aggregator.names if name != IN_FOUR[1][0])
    aggregator.wait(DEADLINE)
    (new,) = aggregator.of(sum_effects.NewSum)
    assert new.groups == (IN_FOUR[0], *IN_FOUR[2:])
    assert new.names == members(new.groups)


@pytest.mark.parametrize("phase", [Cohort, Dealt])
def test_a_group_that_loses_a_site_on_the_way_is_left_out_of_the_sum(phase: type) -> None:
    """The three others are opened; nobody of its two that are left is in any sum."""
    aggregator = Aggregator(12, groups=4, summed=(frozenset(TWELVE),))
    aggregator.ready()
    if phase is Dealt:
        aggregator.answer()
    aggregator.silent = {IN_FOUR[3][1]}
    aggregator.answer()
    aggregator.wait(DEADLINE)
    for _ in range(3 if phase is Dealt else 4):
        aggregator.answer()
    (opened,) = aggregator.of(sum_effects.OpenSum)
    assert opened.groups == IN_FOUR[:3]
    assert opened.survivors == members(IN_FOUR[:3])


def test_fewer_than_three_whole_groups_make_no_sum() -> None:
    """People hear whom it lacks; after one more deadline the round closes without any."""
    aggregator = Aggregator(11, groups=3, summed=(frozenset(f"s{number}" for number in range(11)),))
    missing = aggregator.names[3]
    aggregator.ready(name for name in aggregator.names if name != missing)
    aggregator.wait(DEADLINE)
    (waiting,) = aggregator.of(sum_effects.AwaitCohort)
    assert (waiting.missing, waiting.reason) == ((missing,), NO_GROUPS)
    aggregator.wait(DEADLINE)
    assert [effect.reason for effect in aggregator.of(sum_effects.NoCohort)] == [NO_GROUPS]
    assert not aggregator.of(sum_effects.NewSum)


def test_statistics_are_one_sum_where_training_is_in_groups() -> None:
    """Medians of them would tell of more."""
    aggregator = Aggregator(12, groups=4, summed=(frozenset(TWELVE),), round=STATISTICS)
    aggregator.ready()
    (new,) = aggregator.of(sum_effects.NewSum)
    assert (new.names, new.groups) == (TWELVE, ())


def test_a_site_takes_no_part_in_sums_under_an_open_plan() -> None:
    """An aggregator cannot ask for shares where people agreed to none."""
    machine = SecureSiteMachine(
        site="s0", boot="0" * 16, encoders={}, memory=Memory(run=RUN, model=MODEL, version=0, offer=(2, b"u"))
    )
    for event in (site_events.Connected(CHUNK), Welcome(run=RUN, plan=make_plan())):
        machine.receive(event, 0.0)
    assert machine.state is site_states.State.SENDING
    asked = Cohort(run=RUN, round=2, attempt=b"a" * 16, names=("s0", "s1", "s2"))
    assert machine.receive(asked, 0.0) == []
