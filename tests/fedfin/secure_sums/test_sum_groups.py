"""Sums of disjoint groups, opened apart: exact, of whole groups alone, and always the same ones."""

from itertools import combinations

import numpy as np
import pytest
from cohort_sites import FIRST, MODEL, ROUND, RUN, WHERE, Sites
from msgspec.structs import replace

from fedfin.errors import ProtocolError
from fedfin.protocol.messages.secure_sums import Cohort, Survivors
from fedfin.protocol.sum_groups import deal, members, whole
from fedfin.secure_sums.masks import WORD
from fedfin.secure_sums.unmask import unmask

NAMES = tuple(f"s{number}" for number in range(10))


@pytest.mark.parametrize("sites", range(9, 40))
@pytest.mark.parametrize("most", [3, 4, 7])
def test_every_site_is_in_one_group_of_three_or_more(sites: int, most: int) -> None:
    """Whatever number of groups the plan wants; and none is larger than another by more than one site."""
    names = tuple(sorted(f"s{number}" for number in range(sites)))
    groups = deal(names, most)
    assert members(groups) == names
    assert len(groups) == min(most, sites // 3)
    sizes = {len(group) for group in groups}
    assert min(sizes) >= 3
    assert max(sizes) - min(sizes) <= 1


def test_a_group_is_there_whole_or_not_at_all_and_two_are_none() -> None:
    """Two groups have no middle."""
    groups = deal(tuple(sorted(f"s{number:02}" for number in range(12))), 4)
    there = set(members(groups)) - {groups[1][0]}
    assert whole(groups, there) == (groups[0], groups[2], groups[3])
    assert whole(groups, there - {groups[2][0]}) == ()


def test_whoever_comes_and_goes_no_two_sums_differ_by_one_or_two_sites() -> None:
    """Of those that rounds of one run ever open by groups."""
    groups, opened = deal(NAMES, 3), set()
    for missing in (set(pair) for pair in combinations(NAMES, 2)):
        opened |= {frozenset(group) for group in whole(groups, set(NAMES) - missing)}
    opened |= {frozenset(group) for group in whole(groups, NAMES)}
    assert all(one == other or len(one ^ other) >= 3 for one in opened for other in opened)


def opened(sites: Sites, survivors: tuple[str, ...]) -> dict[tuple[str, ...], int]:
    """Each group's sum, where the site s-n gives 10^n in every word; the attempt is played to its end."""
    dealings = sites.deal(sites.names)
    values = {name: np.full(5, 10 ** int(name[1:]), np.uint64) for name in sites.names}
    masked = sites.mask(dealings, values)
    consents = sites.consents(survivors)
    reveals = {name: sites.members[name].reveal(consents) for name in survivors}
    found = {}
    for group in whole(deal(sites.names, sites.groups), survivors):
        total = sum(np.frombuffer(masked[name][16:], WORD) for name in group).astype(np.uint64)
        keys = {name: dealings[name].key for name in group}
        unmask(total, (RUN, ROUND, FIRST), sites.names, keys, group, reveals)
        assert (total == total[0]).all()
        found[group] = int(total[0])
    return found


def test_each_group_s_sum_opens_by_itself() -> None:
    """And is that of its sites, to the last bit."""
    found = opened(Sites(10, groups=3), NAMES)
    assert found == {group: sum(10 ** int(name[1:]) for name in group) for group in deal(NAMES, 3)}


def test_a_group_that_loses_a_site_is_in_no_sum_and_the_others_are_exact() -> None:
    """Twelve sites in four groups; the values of the two that are left stay masked."""
    sites = Sites(12, groups=4)
    lost = next(group for group in deal(sites.names, 4) if "s5" in group)
    survivors = tuple(name for name in sites.names if name not in lost)
    found = opened(sites, survivors)
    assert len(found) == 3
    assert found == {group: sum(10 ** int(name[1:]) for name in group) for group in found}


def test_one_site_s_masked_values_look_random_within_a_group_of_three() -> None:
    """As they do in one sum."""
    sites, count = Sites(9, groups=3), 20_000
    words = {name: np.zeros(count, np.uint64) for name in sites.names}
    for payload in sites.mask(sites.deal(sites.names), words).values():
        seen = np.bincount(np.frombuffer(payload[16:], np.uint8), minlength=256)
        expected = 8 * count / 256
        assert np.square(seen - expected).sum() / expected < 400


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"names": NAMES[:9]}, "each of them whole"),
        ({"names": deal(NAMES, 3)[0]}, "each of them whole"),
        ({"grouped": (*NAMES[1:], "s0")}, "no sorted list"),
        ({"grouped": tuple(sorted((*NAMES, "t1")))}, "other groups are asked for"),
    ],
)
def test_a_site_deals_for_whole_groups_of_this_run_alone(change, match: str) -> None:
    """An aggregator that deals them anew could subtract."""
    sites = Sites(10, groups=3)
    for ledger in sites.ledgers.values():
        ledger.grouped = NAMES
    question = {"names": NAMES, "grouped": NAMES} | change
    with pytest.raises(ProtocolError, match=match):
        sites.answer(Cohort(**WHERE, attempt=FIRST, **question), "s0")


def test_groups_that_the_plan_does_not_have_are_refused() -> None:
    """A sum over all sites is not opened in parts."""
    with pytest.raises(ProtocolError, match="groups are asked for that the plan has not"):
        Sites(10).answer(Cohort(**WHERE, attempt=FIRST, names=NAMES, grouped=NAMES), "s0")


def test_a_sum_without_groups_is_refused_where_the_plan_has_them() -> None:
    """Whoever leaves them out would open a sum that the groups' may be subtracted from."""
    with pytest.raises(ProtocolError, match="each of them whole"):
        Sites(10, groups=3).answer(Cohort(**WHERE, attempt=FIRST, names=NAMES), "s0")


def test_a_site_signs_no_survivors_of_a_part_of_a_group() -> None:
    """Of its own, or of another."""
    sites = Sites(12, groups=4)
    sites.mask(sites.deal(sites.names), {name: np.ones(4, np.uint64) for name in sites.names})
    names = tuple(name for name in sites.names if name != "s5")
    with pytest.raises(ProtocolError, match="not whole groups"):
        sites.members["s0"].consent(Survivors(**WHERE, attempt=FIRST, names=names))


def test_sites_that_were_dealt_otherwise_reveal_nothing_to_each_other() -> None:
    """Who was dealt is in what survivors sign: an aggregator that says other things to others opens nothing."""
    sites = Sites(10, groups=3)
    question = {"names": NAMES, "grouped": NAMES}
    dealings = {n: sites.answer(Cohort(**WHERE, attempt=FIRST, **question), n) for n in NAMES}
    sites.mask(dealings, {name: np.ones(4, np.uint64) for name in NAMES})
    consents = sites.consents(NAMES)
    own = sites.members["s0"]
    kept = own._kept
    assert kept is not None
    own._kept = replace(kept, grouped=(*NAMES, "t1"))
    with pytest.raises(ProtocolError, match="of something else"):
        own.reveal(consents)


def test_what_a_site_has_opened_binds_it_for_the_run() -> None:
    """Its ledger knows the groups, also in a new life."""
    sites = Sites(10, groups=3)
    opened(sites, NAMES)
    assert all(ledger.grouped == NAMES for ledger in sites.ledgers.values())
    del sites.ledgers["s0"].attempts[ROUND]  # another round
    other = tuple(sorted((*NAMES[:9], "t1")))
    with pytest.raises(ProtocolError, match="other groups"):
        sites.member("s0").deal(Cohort(**WHERE, attempt=b"b" * 16, names=NAMES, grouped=other), MODEL)
