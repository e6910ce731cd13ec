"""Which sums of statistics may stand beside each other."""

from itertools import combinations

import pytest

from fedfin.protocol.subtraction import exposes, largest_cohort

NAMES = tuple("abcdefgh")


def cohort(ready: str, *earlier: str, least: int = 3, leave_out: bool = False) -> str | None:
    """Sites of one letter each."""
    names = largest_cohort(tuple(ready), [set(sites) for sites in earlier], least, leave_out=leave_out)
    return None if names is None else "".join(names)


@pytest.mark.parametrize(
    ("ready", "earlier", "kept"),
    [
        ("abcd", (), "abcd"),
        ("abcd", ("abcd",), "abcd"),
        ("abcde", ("abcd",), "abcd"),  # a newcomer is left out
        ("abcdefg", ("abcd",), "abcdefg"),  # three of them hide each other
        ("abce", ("abcd",), None),  # one came and one went
        ("abc", ("abcd",), None),
        ("abcdefgh", ("abc", "abcdef"), "abcdef"),  # the larger of those that are there whole
    ],
)
def test_the_cohort_is_everybody_or_an_earlier_one(
    ready: str, earlier: tuple[str, ...], kept: str | None
) -> None:
    """Otherwise there is none for now."""
    assert cohort(ready, *earlier) == kept


def test_as_few_as_may_be_are_left_out_and_never_below_the_quorum() -> None:
    """Of eight one is missing: two more go. Of five there would be two left."""
    assert cohort("abcdefg", "abcdefgh", leave_out=True) == "abcde"
    assert cohort("abcd", "abcde", leave_out=True) is None
    assert cohort("abcdefg", "abcdefgh", least=6, leave_out=True) is None


def test_no_choice_shows_one_or_two_sites() -> None:
    """Whoever is ready, whatever two sums there were before."""
    every = [frozenset(names) for size in (3, 5, 6) for names in combinations(NAMES[:6], size)]
    earlier = [pair for pair in combinations(every, 2) if not exposes(pair[0], pair[1:])]
    assert len(earlier) > 100
    for pair in earlier:
        for ready in every:
            chosen = largest_cohort(sorted(ready), pair, 3, leave_out=True)
            assert chosen is None or (set(chosen) <= ready and not exposes(chosen, pair))
