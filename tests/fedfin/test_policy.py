"""When a round is over, who is waited for, and what late updates count."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfin import limits
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds
from fedfin.protocol import staleness
from fedfin.protocol.invitation import EVERYONE, draw, threshold
from fedfin.protocol.rounds.attendance import Attendance, Verdict
from fedfin.protocol.rounds.roster import Roster
from fedfin.protocol.staleness import late_share

RUN = "1" * 16
DEADLINE = 100.0


class Round:
    """A training round of s0, s1, ... with these rules, opened at 0; `says` is the verdict after answers."""

    def __init__(self, *, known: int = 3, task: str = "train", strangers: bool = False, **rules) -> None:
        self.rules = Rounds(**({"sites": 3, "min_sites": 1, "deadline_s": DEADLINE} | rules))
        self.roster = Roster({f"s{i}": False for i in range(known)}, strangers=strangers)
        self.task = task
        self.open()

    def open(self, round_: int = 2, now: float = 0.0) -> None:
        """The next round, with the roster as it is."""
        self.attendance = Attendance(self.rules, self.roster, run=RUN, round_=round_, task=self.task, now=now)

    def says(self, *sites: str, now: float = 1.0, accepted: bool = True) -> Verdict:
        """The verdict when these have answered, too."""
        for site in sites:
            self.attendance.answer(site, accepted=accepted)
        return self.attendance.verdict(now)


def plan(**rules) -> Plan:
    """With 5 training rounds: 2 to 6."""
    modality = Modality(name="image", encoder="a" * 64, dim=3)
    model = Model(fin="zero", answer="head")
    return Plan(
        federation="ward", labels=("x",), modalities=(modality,), model=model, rounds=Rounds(count=5, **rules)
    )


# Closing.


def test_a_round_closes_as_soon_as_its_target_is_reached() -> None:
    """Of five known sites three are the target."""
    round_ = Round(known=5)
    assert round_.says("s0", "s1") is Verdict.WAIT
    assert round_.says("s4") is Verdict.CLOSE


def test_a_round_closes_when_all_who_can_still_answer_have() -> None:
    """The target of three is out of reach with two sites, and the deadline is far."""
    round_ = Round(known=2)
    assert round_.says("s0") is Verdict.WAIT
    assert round_.says("s1") is Verdict.CLOSE


def test_a_refused_update_is_an_answer_but_does_not_count() -> None:
    """The site has had its say; the quorum is not nearer for it."""
    round_ = Round(known=2, min_sites=2)
    round_.says("s0", accepted=False)
    assert round_.says("s1") is Verdict.WAIT
    assert Round(known=2).says("s0", "s1", accepted=False) is Verdict.WAIT


def test_with_the_quorum_a_round_closes_at_its_deadline() -> None:
    """Not before: a site still owes an answer."""
    round_ = Round(min_sites=2)
    assert round_.says("s0", "s1", now=DEADLINE - 1) is Verdict.WAIT
    assert round_.says(now=DEADLINE) is Verdict.CLOSE


def test_below_the_quorum_a_round_stalls_and_then_closes_with_the_first_answer_that_makes_it() -> None:
    """One more deadline; nobody who missed the first is waited for."""
    round_ = Round(min_sites=2)
    assert round_.says("s0", now=DEADLINE) is Verdict.STALL
    round_.attendance.stall(DEADLINE)
    assert round_.says(now=DEADLINE + 1) is Verdict.WAIT
    assert round_.says("s1", now=DEADLINE + 2) is Verdict.CLOSE


def test_the_first_round_waits_for_strangers_until_its_deadline_only() -> None:
    """Nobody knows yet how many will come; once a deadline has shown it, later rounds do not wait for them."""
    round_ = Round(known=1, strangers=True)
    assert round_.says("s0") is Verdict.WAIT
    assert round_.says(now=DEADLINE) is Verdict.CLOSE
    round_.attendance.end(DEADLINE)
    round_.open(3, DEADLINE)
    assert round_.says("s0", now=DEADLINE + 1) is Verdict.CLOSE


@pytest.mark.parametrize("task", ["moments", "evaluate"])
def test_pooling_and_evaluating_wait_for_every_site_that_is_there(task: str) -> None:
    """They describe the whole federation: the target is the least, not the most."""
    round_ = Round(known=5, task=task)
    assert round_.says("s0", "s1", "s2", "s3") is Verdict.WAIT
    assert round_.says("s4") is Verdict.CLOSE


def test_an_outage_of_the_aggregator_itself_moves_the_deadline() -> None:
    """No site is to blame for that."""
    round_ = Round()
    round_.attendance.postpone(50.0)
    assert round_.says("s0", now=DEADLINE + 49) is Verdict.WAIT
    assert round_.says(now=DEADLINE + 50) is Verdict.CLOSE


# Who is waited for.


def _miss(round_: Round, *there: str) -> None:
    """One round in which only these answer, and the next one."""
    assert round_.says(*there, now=DEADLINE) is Verdict.CLOSE
    round_.attendance.end(DEADLINE)
    round_.open(3, DEADLINE)


def test_a_dead_site_costs_one_deadline_and_never_another() -> None:
    """Not even when it says hello in every round and dies at work in every round."""
    round_ = Round()
    _miss(round_, "s0", "s1")
    round_.roster.welcome("s2")
    assert round_.says("s0", "s1", now=DEADLINE + 1) is Verdict.CLOSE


def test_a_silent_site_is_waited_for_again_once_it_has_an_update() -> None:
    """It can finish."""
    round_ = Round()
    _miss(round_, "s0", "s1")
    round_.roster.delivers("s2")
    assert round_.says("s0", "s1", now=DEADLINE + 1) is Verdict.WAIT


def test_a_site_that_is_offline_is_waited_for_as_long_as_a_broken_link_takes() -> None:
    """A cut in an upload does not cost the upload; switching a machine off does not cost a deadline."""
    round_ = Round(deadline_s=1e6)
    round_.roster.presence("s2", 10.0, online=False)
    assert round_.says("s0", "s1", now=10.0 + limits.OFFLINE_GRACE_S - 1) is Verdict.WAIT
    assert round_.says(now=10.0 + limits.OFFLINE_GRACE_S) is Verdict.CLOSE


def test_a_site_that_comes_back_is_waited_for_again() -> None:
    """It was offline, not silent."""
    round_ = Round(deadline_s=1e6)
    round_.roster.presence("s2", 0.0, online=False)
    round_.roster.presence("s2", 500.0, online=True)
    assert round_.says("s0", "s1", now=1000.0) is Verdict.WAIT


def test_a_repeated_last_will_does_not_prolong_the_wait() -> None:
    """The first one counts."""
    round_ = Round(deadline_s=1e6)
    for now in (0.0, 50.0):
        round_.roster.presence("s2", now, online=False)
    assert round_.says("s0", "s1", now=limits.OFFLINE_GRACE_S) is Verdict.CLOSE


def test_a_site_that_joins_an_open_round_is_waited_for() -> None:
    """And a state of a site that was never welcomed means nothing: it may not fit the plan."""
    round_ = Round(known=2)
    round_.roster.presence("s7", 0.5, online=True)
    round_.roster.welcome("s2")
    assert round_.says("s0", "s1") is Verdict.WAIT
    assert round_.says("s2") is Verdict.CLOSE


def test_a_site_that_was_dropped_is_not_waited_for() -> None:
    """It came back with another encoder, say."""
    round_ = Round()
    round_.roster.drop("s2")
    assert round_.says("s0", "s1") is Verdict.CLOSE


def test_the_roster_survives_a_restart() -> None:
    """A silent site stays silent."""
    round_ = Round()
    _miss(round_, "s0", "s1")
    assert round_.roster.silent == {"s0": False, "s1": False, "s2": True}
    assert list(Roster(round_.roster.silent, strangers=False).expected(0.0)) == ["s0", "s1"]


# Invitation.


@given(st.sets(st.text("abc", min_size=1), min_size=1, max_size=30), st.integers(0, 40), st.integers(1, 99))
def test_a_threshold_invites_exactly_as_many_as_were_asked_for(
    sites: set[str], ask: int, round_: int
) -> None:
    """Every site finds out by itself."""
    limit = threshold(RUN, round_, sites, ask)
    assert sum(draw(RUN, round_, site) <= limit for site in sites) == min(ask or len(sites), len(sites))
    assert 0 <= limit <= EVERYONE


def test_another_round_invites_others() -> None:
    """So that every site has its turn."""
    sites = [f"s{i}" for i in range(10)]
    chosen = [
        frozenset(s for s in sites if draw(RUN, r, s) <= threshold(RUN, r, sites, 3)) for r in range(20)
    ]
    assert set().union(*chosen) == set(sites)
    assert len(set(chosen)) > 10


def test_only_those_invited_are_waited_for() -> None:
    """Over-selection: four are asked so that three answer; here two of the four do before the deadline."""
    round_ = Round(known=10, invite=4)
    asked = list(round_.attendance.owing(0.0))
    assert len(asked) == 4
    assert round_.says(*asked[:2], now=DEADLINE - 1) is Verdict.WAIT
    assert round_.says(asked[2]) is Verdict.CLOSE


def test_a_round_that_stalls_asks_everyone() -> None:
    """Those who were invited do not come; the others are there."""
    round_ = Round(known=10, invite=3)
    assert len(list(round_.attendance.owing(0.0))) == 3
    round_.attendance.stall(DEADLINE)
    assert round_.attendance.threshold == EVERYONE
    assert len(list(round_.attendance.owing(DEADLINE))) == 7


def test_moments_and_evaluations_ask_everyone() -> None:
    """Whatever `invite` says."""
    assert Round(known=10, invite=3, task="evaluate").attendance.threshold == EVERYONE


# Late updates.


def test_a_late_update_is_refused_unless_the_plan_folds_it() -> None:
    """In its own round it counts in full."""
    assert late_share(plan(), 3, 4) is None
    assert late_share(plan(late="fold"), 3, 4) == staleness.share(1, 0.5)
    assert late_share(plan(), 4, 4) == staleness.FULL


@pytest.mark.parametrize(("round_", "current"), [(1, 2), (6, 7), (7, 7 + 1), (5, 4)])
def test_only_training_can_be_late_and_nothing_can_be_early(round_: int, current: int) -> None:
    """Moments were pooled, scores were summed: there is nothing left to fold them into."""
    assert late_share(plan(late="fold"), round_, current) is None


def test_an_update_can_be_too_stale() -> None:
    """Up to the plan's limit, and not beyond."""
    rules = plan(mode="async", staleness_limit=2)
    assert late_share(rules, 2, 4) is not None
    assert late_share(rules, 2, 5) is None


@given(st.integers(0, 1000), st.integers(0, 400))
def test_the_share_is_exact(stale: int, hundredths: int) -> None:
    """(share / FULL)^100 <= (1 + s)^-p < ((share + 1) / FULL)^100, in rational numbers; never nothing at all."""
    share = staleness.share(stale, hundredths / 100)
    power = Fraction(1, (1 + stale) ** hundredths)
    assert Fraction(share, staleness.FULL) ** 100 <= power or share == 1
    assert power < Fraction(share + 1, staleness.FULL) ** 100


def test_shares_that_are_known() -> None:
    """Not stale: all of it. FedBuff's 1 / sqrt(1 + 3) is a half."""
    assert staleness.share(0, 0.5) == staleness.FULL
    assert staleness.share(3, 0.5) == staleness.FULL // 2
    assert staleness.share(7, 0.0) == staleness.FULL


def test_late_updates_do_not_fill_a_round_that_is_waited_for() -> None:
    """Its own sites must answer it, or a slow site would always be one round behind."""
    round_ = Round(late="fold")
    round_.attendance.late(1)
    assert round_.says("s0", "s1") is Verdict.WAIT


# Asynchronous.


def test_a_full_buffer_makes_a_version_whatever_round_its_updates_were_for() -> None:
    """Two of four; the default is half the target."""
    round_ = Round(known=4, sites=4, min_sites=4, mode="async")
    assert round_.says("s0") is Verdict.WAIT
    round_.attendance.late(1)
    assert round_.says() is Verdict.CLOSE


def test_a_buffer_that_cannot_fill_is_folded_all_the_same() -> None:
    """Two sites are left of four, and each works once on a version."""
    round_ = Round(known=2, sites=4, mode="async", buffer=3)
    assert round_.says("s0") is Verdict.WAIT
    assert round_.says("s1") is Verdict.CLOSE


def test_the_buffer_is_for_training_only() -> None:
    """Moments and evaluations have rounds in every mode."""
    assert Round(task="moments", mode="async", buffer=1).says("s0", "s1") is Verdict.WAIT
