"""From a seed to a schedule: which plan, which faults; and what its end must look like."""

import functools
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Privacy, Rounds
from fedfin.protocol.convergence import ANSWERS
from fedfin.protocol.schedule import first_training_round, last_round, task_of
from fedfin_aggregator.rounds.update_checks import BEST as BEST_VERSION
from simulation.bad_dealer import BadDealer
from simulation.faults import Faults
from simulation.toy import BEST, private_plan, solved_plan, toy_plan
from simulation.world import Trace, World

# Two that take a connection from each other keep it for some seconds: what takes longer arrives at neither.
SHARED_LINE_S = 2.0
MEMORY = Path("/dev/shm")  # fsync costs nothing there; a process that dies loses no more than on a disk


@dataclass(frozen=True)
class Variant:
    """A plan, how many sites follow it, and what must hold at the end of a schedule of it.

    `set_back`: copies of folders come back. `doubled`: second aggregators and twins run. `mortal`: the last site may
    die for ever, and sites may join late.
    `bad_dealer`: what one site deals, or says of others, is of no use.
    `shards`: how many share the work; the calm schedule has none, so that shards are held to what one aggregator makes.
    """

    plan: Plan
    sites: int
    check: Callable[[str, World], None]
    mortal: bool = True
    shards: int = 0
    set_back: bool = False
    doubled: bool = False
    bad_dealer: bool = False


def run(
    seed: int, *, variant: str | None = None, only: str = "", calm: bool = False, trace: Trace | None = None
) -> World:
    """The schedule of this seed, to its end. Raises whatever goes wrong. `only`: variants with this in their names."""
    rng = random.Random(seed)
    name = rng.choice([name for name in VARIANTS if only in name])
    faults = Faults.draw(rng)
    chosen = VARIANTS[variant or name]
    if chosen.doubled:
        faults = replace(faults, delay=min(faults.delay, SHARED_LINE_S))
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        if calm:
            world = World(seed, chosen.plan, chosen.sites, Faults(), Path(folder), trace=trace)
        else:
            plan, sites, shards = chosen.plan, chosen.sites, chosen.shards
            world = World(seed, plan, sites, faults, Path(folder), shards=shards, trace=trace)
        if chosen.mortal and not calm:
            _come_and_go(world, rng)
        if chosen.set_back and not calm:
            world.backups.plan(rng, rng.choice([1, 2, 3]))
        if chosen.doubled and not calm:
            world.doubles.plan(rng)
        if chosen.bad_dealer and not calm:
            world.bad_dealer = BadDealer.draw(world.rng, [site.name for site in world.sites])
        world.run()
    if world.told_to_begin_anew:
        world.tally["told to begin anew"] += 1
    elif not calm:
        chosen.check(variant or name, world)
    return world


def _come_and_go(world: World, rng: random.Random) -> None:
    for site in world.sites:
        if rng.random() < 0.3:
            site.asleep_s = rng.uniform(0.0, 500.0)
    if rng.random() < 0.5:
        last = world.sites[-1]
        world.clock.after(rng.uniform(0.0, 500.0), lambda: last.die(for_ever=True))


@functools.cache
def undisturbed(variant: str) -> World:
    """A calm schedule, at its end."""
    return run(0, variant=variant, calm=True)


def same_as_undisturbed(variant: str, world: World) -> None:
    """Every site counted in every round, so not a bit differs."""
    counted = [row["sites"] for row in world.results]
    assert counted == [float(len(world.sites))] * len(undisturbed(variant).results)
    assert world.final == undisturbed(variant).final, "another model than undisturbed"


def stopped_early(variant: str, world: World) -> None:
    """The rest of the rounds of training were left out, and the same version came out as undisturbed."""
    same_as_undisturbed(variant, world)
    (best,) = [row[BEST_VERSION] for row in world.results if BEST_VERSION in row]
    trained = sum(ANSWERS in row for row in world.results)
    assert (best, trained) == (
        BEST - 1,
        BEST + world.plan.rounds.stops_after - first_training_round(world.plan) + 1,
    )


def within_the_quorum(_: str, world: World) -> None:
    """No round closed with fewer updates than the plan wants; late ones count only where that is said."""
    rules = world.plan.rounds
    buffered = rules.mode == "async"
    assert len(world.results) == last_round(world.plan)
    for number, row in enumerate(world.results, 1):
        training = task_of(world.plan, number) == "train"
        late = row.get("late", 0.0)
        quorum = min(rules.min_sites, rules.buffer_size) if buffered and training else rules.min_sites
        assert row["sites"] - (0.0 if buffered else late) >= quorum, (number, row)
        assert not late or (training and (buffered or rules.late == "fold")), (number, row)
        world.tally["late but folded"] += int(late)


def same_sums_as_open(variant: str, world: World) -> None:
    """Masks leave no trace in the model: the same plan without them comes to the same, bit for bit."""
    same_as_undisturbed(variant, world)
    masked, plain = (undisturbed(name).tensors for name in (variant, OPEN[variant]))
    assert masked.keys() == plain.keys()
    assert all((array == plain[name]).all() for name, array in masked.items())


def summed_or_told(_: str, world: World) -> None:
    """A round holds three sites at least; or too few revealed their shares, and people know."""
    refused = {f["round"] for _, _, event, f in world.facts if event == "sum" and not f["accepted"]}
    for number, row in enumerate(world.results, 1):
        assert row["sites"] >= world.plan.rounds.min_sites or number in refused, (number, row)
        world.tally["closed without a sum"] += row["sites"] == 0.0


def summed_beside_a_bad_dealer(variant: str, world: World) -> None:
    """As `summed_or_told`; nobody is put out but the bad one, and one that it deals badly to, or accuses, beside it."""
    summed_or_told(variant, world)
    assert world.bad_dealer is not None
    bad, events = world.bad_dealer.site, [f for _, _, event, f in world.facts if event == "bad-dealing"]
    for facts in events:
        others = [other for other in events if other["round"] == facts["round"] and other["site"] == bad]
        assert facts["site"] == bad or (bad in facts["reason"] and others), facts
    world.tally["bad dealer put out"] += len(events)


def told_within_the_budget(variant: str, world: World) -> None:
    """As `summed_or_told`; ledger_watch.py has looked at what was told."""
    summed_or_told(variant, world)
    assert world.tally["told in sums with noise"], "a ledger that is empty tests nothing"


_EVERYONE = Rounds(count=2, sites=3, min_sites=3, deadline_s=1e6)
_QUORUM = Rounds(count=3, sites=3, min_sites=2, deadline_s=100.0)
_INVITED = Rounds(count=3, sites=2, min_sites=1, invite=2, deadline_s=100.0)
_LATE = Rounds(count=4, sites=3, min_sites=1, late="fold", deadline_s=20.0)
_ASYNCHRONOUS = Rounds(count=6, sites=3, min_sites=2, mode="async", buffer=2, deadline_s=200.0)
_SUMMED = Rounds(count=3, sites=5, min_sites=3, deadline_s=100.0)
_GROUPED = Rounds(count=3, sites=12, min_sites=9, deadline_s=100.0)
_CONVERGES = Rounds(count=20, patience=2, sites=3, min_sites=3, deadline_s=1e6)
_SECURE = Privacy(level="secure")
_SMALL = Codec(up="tiny", down="small")
_STEPS = Codec(up="int4", down="small")
VARIANTS = {
    "everyone": Variant(toy_plan(_EVERYONE), 3, same_as_undisturbed, mortal=False),
    "everyone, compressed": Variant(toy_plan(_EVERYONE, codec=_SMALL), 3, same_as_undisturbed, mortal=False),
    "quorum": Variant(toy_plan(_QUORUM), 3, within_the_quorum),
    "invited": Variant(toy_plan(_INVITED, codec=_SMALL), 4, within_the_quorum),
    "folded late": Variant(toy_plan(_LATE, codec=_SMALL), 3, within_the_quorum),
    "asynchronous": Variant(toy_plan(_ASYNCHRONOUS), 3, within_the_quorum),
    "asynchronous, compressed": Variant(toy_plan(_ASYNCHRONOUS, codec=_SMALL), 3, within_the_quorum),
    "solved": Variant(solved_plan(_EVERYONE), 3, same_as_undisturbed, mortal=False),
    "solved, folded late": Variant(solved_plan(_LATE, codec=_SMALL), 3, within_the_quorum),
    "solved, asynchronous": Variant(solved_plan(_ASYNCHRONOUS), 3, within_the_quorum),
    "solved, sharded": Variant(solved_plan(_EVERYONE), 3, same_as_undisturbed, mortal=False, shards=2),
    "solved, sharded, asynchronous": Variant(solved_plan(_ASYNCHRONOUS), 3, within_the_quorum, shards=2),
    "sharded": Variant(toy_plan(_EVERYONE), 3, same_as_undisturbed, mortal=False, shards=2),
    "sharded, folded late": Variant(toy_plan(_LATE, codec=_SMALL), 4, within_the_quorum, shards=3),
    "sharded, asynchronous": Variant(toy_plan(_ASYNCHRONOUS), 3, within_the_quorum, shards=2),
    "converges": Variant(toy_plan(_CONVERGES), 3, stopped_early, mortal=False),
    "converges, compressed": Variant(toy_plan(_CONVERGES, codec=_SMALL), 3, stopped_early, mortal=False),
    "solved, converges, sharded": Variant(solved_plan(_CONVERGES), 3, stopped_early, mortal=False, shards=2),
    "secure, converges": Variant(toy_plan(_CONVERGES, privacy=_SECURE), 3, stopped_early, mortal=False),
    "secure": Variant(toy_plan(_EVERYONE, privacy=_SECURE), 3, same_sums_as_open, mortal=False),
    "secure, solved": Variant(solved_plan(_EVERYONE, privacy=_SECURE), 3, same_as_undisturbed, mortal=False),
    "secure, quorum": Variant(toy_plan(_SUMMED, privacy=_SECURE), 5, summed_or_told),
    "secure, few": Variant(toy_plan(_SUMMED, privacy=_SECURE), 4, summed_or_told),
    "secure, solved, quorum": Variant(solved_plan(_SUMMED, privacy=_SECURE), 5, summed_or_told),
    "secure, steps": Variant(
        toy_plan(_EVERYONE, privacy=_SECURE, codec=_STEPS), 3, same_as_undisturbed, mortal=False
    ),
    "secure, steps, quorum": Variant(toy_plan(_SUMMED, privacy=_SECURE, codec=_STEPS), 5, summed_or_told),
    "set back": Variant(toy_plan(_EVERYONE), 3, same_as_undisturbed, mortal=False, set_back=True),
    "set back, solved": Variant(solved_plan(_EVERYONE), 3, within_the_quorum, mortal=False, set_back=True),
    "set back, quorum": Variant(toy_plan(_QUORUM), 3, within_the_quorum, set_back=True),
    "set back, folded late": Variant(toy_plan(_LATE, codec=_SMALL), 3, within_the_quorum, set_back=True),
    "set back, asynchronous": Variant(toy_plan(_ASYNCHRONOUS), 3, within_the_quorum, set_back=True),
    "set back, secure": Variant(
        toy_plan(_SUMMED, privacy=_SECURE), 5, summed_or_told, mortal=False, set_back=True
    ),
    "set back, sharded": Variant(
        toy_plan(_EVERYONE), 3, same_as_undisturbed, mortal=False, shards=2, set_back=True
    ),
    "set back, sharded, solved": Variant(
        solved_plan(_EVERYONE), 3, within_the_quorum, mortal=False, shards=2, set_back=True
    ),
    "set back, sharded, quorum": Variant(toy_plan(_QUORUM), 3, within_the_quorum, shards=2, set_back=True),
    "set back, sharded, folded late": Variant(
        toy_plan(_LATE, codec=_SMALL), 4, within_the_quorum, shards=3, set_back=True
    ),
    "set back, sharded, asynchronous": Variant(
        toy_plan(_ASYNCHRONOUS), 3, within_the_quorum, shards=2, set_back=True
    ),
    "doubled": Variant(toy_plan(_EVERYONE), 3, same_as_undisturbed, mortal=False, doubled=True),
    "doubled, solved": Variant(solved_plan(_EVERYONE), 3, within_the_quorum, mortal=False, doubled=True),
    "doubled, quorum": Variant(toy_plan(_QUORUM), 3, within_the_quorum, doubled=True),
    "doubled, folded late": Variant(toy_plan(_LATE, codec=_SMALL), 3, within_the_quorum, doubled=True),
    "doubled, asynchronous": Variant(toy_plan(_ASYNCHRONOUS), 3, within_the_quorum, doubled=True),
    "doubled, secure": Variant(
        toy_plan(_SUMMED, privacy=_SECURE), 5, summed_or_told, mortal=False, doubled=True
    ),
    "doubled, sharded": Variant(
        toy_plan(_EVERYONE), 3, same_as_undisturbed, mortal=False, shards=2, doubled=True
    ),
    "doubled, sharded, solved": Variant(
        solved_plan(_EVERYONE), 3, within_the_quorum, mortal=False, shards=2, doubled=True
    ),
    "doubled, sharded, folded late": Variant(
        toy_plan(_LATE, codec=_SMALL), 4, within_the_quorum, shards=3, doubled=True
    ),
    "doubled, sharded, quorum": Variant(toy_plan(_QUORUM), 3, within_the_quorum, shards=2, doubled=True),
    "doubled, sharded, asynchronous": Variant(
        toy_plan(_ASYNCHRONOUS), 3, within_the_quorum, shards=2, doubled=True
    ),
    "secure, groups": Variant(
        toy_plan(_GROUPED, privacy=Privacy(level="secure", groups=4)), 12, summed_or_told
    ),
    "secure, sites behind every block": Variant(
        solved_plan(_SUMMED, privacy=Privacy(level="secure", least_sites_per_block=3)), 5, summed_or_told
    ),
    "secure, answers counted": Variant(
        solved_plan(_EVERYONE, privacy=Privacy(level="secure", least_answers=9)),
        3,
        same_as_undisturbed,
        mortal=False,
    ),
    "secure, answers counted, sites behind every block": Variant(
        solved_plan(_SUMMED, privacy=Privacy(level="secure", least_answers=9, least_sites_per_block=3)),
        5,
        summed_or_told,
    ),
    "secure, bad dealer": Variant(
        toy_plan(_SUMMED, privacy=_SECURE), 5, summed_beside_a_bad_dealer, bad_dealer=True
    ),
    "secure, solved, bad dealer": Variant(
        solved_plan(_SUMMED, privacy=_SECURE), 5, summed_beside_a_bad_dealer, bad_dealer=True
    ),
    "secure, groups, bad dealer": Variant(
        toy_plan(_GROUPED, privacy=Privacy(level="secure", groups=4)),
        12,
        summed_beside_a_bad_dealer,
        bad_dealer=True,
    ),
    "private": Variant(private_plan(_SUMMED), 5, told_within_the_budget),
}
OPEN = {"secure": "everyone"}  # the variant whose model is the same
