"""Whatever the aggregator asks of whom in which order: with fewer than a third of the sites it opens one sum, or none.

Each rule of a site's is broken in turn, and then it wins: so it plays well enough to find that.
"""

import pytest
from cohort_sites import ROUND, Ledger
from lying_aggregator import LyingAggregator

from fedfin.protocol.cohorts import key_statement
from fedfin.protocol.messages.secure_sums import SumMessage
from fedfin.secure_sums import member
from fedfin.secure_sums.ledger import Kept, Where
from fedfin.secure_sums.member import Member

GAMES = 30  # of each number of sites
MOST_GAMES = 1000  # until a broken rule is found: several times what each takes


@pytest.mark.parametrize("sites", range(3, 8))
def test_with_fewer_than_a_third_of_the_sites_it_opens_one_sum_or_none(sites: int) -> None:
    """So it has both secrets of none, and no two sums that differ by one or two."""
    for seed in range(GAMES):
        aggregator = LyingAggregator(sites, seed % ((sites + 2) // 3), seed)
        aggregator.play()
        assert not aggregator.has_both_secrets, seed
        assert not aggregator.has_two_sums, seed


@pytest.mark.parametrize("sites", range(4, 8))
def test_one_site_that_is_set_back_to_copies_of_its_folder_is_no_danger(sites: int) -> None:
    """It counts as one of those that lie."""
    for seed in range(GAMES):
        aggregator = LyingAggregator(sites, (sites - 1) // 3 - 1, seed, set_back=True)
        aggregator.play()
        assert not aggregator.has_both_secrets, seed
        assert not aggregator.has_two_sums, seed


@pytest.mark.parametrize("sites", range(3, 8))
def test_with_fewer_than_a_third_of_the_sites_it_opens_no_sum_over_sites_with_different_models(
    sites: int,
) -> None:
    """To all but one it may have given one from which their values are known."""
    for seed in range(GAMES):
        aggregator = LyingAggregator(sites, seed % ((sites + 2) // 3), seed, victim=True)
        aggregator.play()
        assert not aggregator.has_a_sum_of_two_models, seed


def _wins(sites: int, liars: int, ledger: type[Ledger] = Ledger, *, victim: bool = False) -> bool:
    for seed in range(MOST_GAMES):
        aggregator = LyingAggregator(sites, liars, seed, ledger=ledger, victim=victim)
        aggregator.play()
        if aggregator.has_both_secrets or aggregator.has_two_sums or aggregator.has_a_sum_of_two_models:
            return True
    return False


def test_it_wins_where_keys_are_signed_without_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives one site another than the others."""

    def statement(run: str, round_: int, attempt: bytes, model: bytes, *rest: bytes) -> bytes:
        return key_statement(run, round_, attempt, b"", *rest)

    monkeypatch.setattr(member, "key_statement", statement)
    assert _wins(4, 1, victim=True)


def test_it_wins_where_a_site_signs_any_number_of_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of all and one other alone."""
    monkeypatch.setattr(Member, "_replaces", lambda self, names, kept: names != kept.survivors)
    assert _wins(4, 1)


def test_it_wins_where_a_site_signs_another_list_after_it_has_revealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of that of all shares have left."""

    def replaces(self: Member, names: tuple[str, ...], kept: Kept) -> bool:
        return names != kept.survivors and kept.survivors == tuple(sorted(kept.keys))

    monkeypatch.setattr(Member, "_replaces", replaces)
    assert _wins(4, 0)


def test_it_wins_where_an_attempt_answers_under_another_rounds_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reveal is written down of that one."""

    def where(message: SumMessage) -> Where:
        return message.run, ROUND, message.attempt

    monkeypatch.setattr(member, "_where", where)
    assert _wins(4, 0)


class KeepsTheFirst(Ledger):
    """What is signed in place of another list is lost with the process."""

    def keep(self, kept: Kept | None) -> None:
        """Of an attempt once."""
        if kept is None or self.kept is None or kept.where != self.kept.where:
            self.kept = kept


def test_it_wins_where_the_second_list_is_not_durable() -> None:
    """A new life reveals for the first."""
    assert _wins(4, 0, KeepsTheFirst)


class ForgetsReveals(Ledger):
    """Without answers.jsonl."""

    def revealed(self, round_: int) -> None:
        """It does not know."""


def test_it_wins_where_reveals_are_forgotten() -> None:
    """Not both secrets of one key: two attempts, of different sites."""
    assert _wins(4, 0, ForgetsReveals)


def test_it_wins_where_half_of_the_sites_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both halves, and who lies, are."""
    for module in ("fedfin.secure_sums.member", "lying_aggregator"):
        monkeypatch.setattr(f"{module}.threshold", lambda sites: sites // 2 + 1)
    assert _wins(5, 1)


def test_it_wins_with_a_third_of_the_sites() -> None:
    """Which is not promised: with more than two of seven."""
    assert _wins(7, 3)
