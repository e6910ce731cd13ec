"""Copies of folders come back at any instant: some of the schedules of `make simulate SIMULATE='--only "set back"'`."""

from collections import Counter

import pytest

from simulation import __main__ as command
from simulation import schedules


@pytest.mark.parametrize(("only", "seeds"), [("set back", range(8, 16)), ("set back, sharded", range(4, 8))])
def test_whoever_is_set_back_the_run_goes_on_or_says_what_a_person_must_do(only: str, seeds: range) -> None:
    """And nothing counts twice: the watch, and the model of an undisturbed federation where every site counts."""
    tally: Counter[str] = Counter()
    for seed in seeds:
        _, wrong, happened = command.attempt(seed, only=only)
        assert not wrong, f"seed {seed}: {wrong}"
        tally += happened
    assert all(tally[event] for event in ("aggregator set back", "site set back", "rewound"))


def test_shards_that_start_and_find_a_finished_manifest_hear_from_the_restored_root() -> None:
    """What the root had published since was lost at the broker."""
    happened = schedules.run(101601, variant="set back, sharded, folded late").tally
    assert happened["rewound"]


def test_sites_that_had_left_when_the_aggregator_was_set_back_come_again() -> None:
    """The last of them had gone a moment before."""
    happened = schedules.run(103360, variant="set back, folded late").tally
    assert happened["aggregator set back"]


def test_who_was_late_in_the_round_that_an_aggregator_is_set_back_to_tells_it_so() -> None:
    """Of the two others one is dead, and one was set back, too: nobody else knows of a later round."""
    happened = schedules.run(302601, variant="set back, quorum").tally
    assert happened["rewound"]


def test_an_update_that_is_done_when_its_round_closes_is_not_made_up_for() -> None:
    """The site was set back to before its receipt, and made the update that counts there again."""
    happened = schedules.run(2005393, variant="set back, sharded").tally
    assert happened["site set back"]
