"""Second aggregators and twins at any instant: some of the schedules of `make simulate SIMULATE='--only doubled'`."""

from collections import Counter

import pytest

from simulation import __main__ as command
from simulation import schedules

SCHEDULES = 12
DOUBLED = ("second aggregator", "aggregator refused", "twin", "twins")


@pytest.mark.parametrize(
    ("only", "events"),
    [
        ("doubled", DOUBLED),
        ("doubled, sharded", (*DOUBLED, "twin of a shard", "shard ended as a twin")),
    ],
)
def test_whoever_runs_twice_nothing_counts_twice_and_the_federation_ends(
    only: str, events: tuple[str, ...]
) -> None:
    """The watch, and the model of an undisturbed federation where every site counts."""
    tally: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        _, wrong, happened = command.attempt(seed, only=only)
        assert not wrong, f"seed {seed}: {wrong}"
        tally += happened
    assert all(tally[event] for event in events), "a misfortune that never happens tests nothing"


def test_of_two_aggregators_that_meet_at_their_start_one_serves() -> None:
    """Each refused for the other's last will, and neither had served."""
    happened = schedules.run(302644, variant="doubled, quorum").tally
    assert happened["aggregator refused"] == 1


def test_sites_that_leave_while_a_second_aggregator_opens_its_round_come_again() -> None:
    """It says that it needs one more; who is still there has an answer that came too late the first time."""
    happened = schedules.run(303136, variant="doubled, folded late").tally
    assert happened["rewound"]


@pytest.mark.parametrize(("seed", "variant"), [(700857, "doubled"), (2003944, "doubled, sharded")])
def test_what_the_other_machine_delivered_is_not_owed(seed: int, variant: str) -> None:
    """Its twin had made an update for that round, too, and could not offer it before the round closed."""
    happened = schedules.run(seed, variant=variant).tally
    assert happened["twins"]


@pytest.mark.parametrize(
    ("seed", "variant"), [(400036, "doubled, sharded, quorum"), (400959, "doubled, sharded, asynchronous")]
)
def test_of_two_that_are_one_shard_only_the_one_in_the_roots_life_is_summed_up(
    seed: int, variant: str
) -> None:
    """The other one has the sum of a life before: taken, it lacks sites, and refused, it would end the shard."""
    happened = schedules.run(seed, variant=variant).tally
    assert happened["twin of a shard"]


def test_a_shard_that_hears_of_a_second_aggregators_run_for_a_while_comes_back() -> None:
    """Its journal had the life that the root then told it to begin."""
    happened = schedules.run(600056, variant="doubled, sharded, solved").tally
    assert happened["second aggregator"]
    assert happened["rewound"]


def test_shards_that_a_first_aggregator_ends_are_started_for_the_second() -> None:
    """It had been told to stop, and said once more that all is finished; the second one's round waits for two sums."""
    happened = schedules.run(2002263, variant="doubled, sharded, folded late").tally
    assert happened["second aggregator"]
