"""A federation of six sites whose round of second moments is at hand."""

from pathlib import Path

from closed_form_cases import draw, make_plan, second_moments
from round_helpers import RUN, judge, update

from fedfin.codec import compress
from fedfin.model.model_spec import solved_shapes, task_specs
from fedfin.protocol.payloads import encode_update
from fedfin.protocol.schedule import task_of
from fedfin.protocol.shards.shard import Shard
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.shard_rounds import ShardRounds
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.shard_journal import ShardJournal

PLAN = make_plan(rounds=3, head_width=3, answer="both")
SITES = {f"s{i}": draw(PLAN, 40 + i, i, has=(None, ("image",), ("text",))[i % 3]) for i in range(6)}
GIVEN = {site: second_moments(PLAN, cases, site) for site, cases in SITES.items()}
COMPLETE, CROSS = "second.complete.image.image", "second.complete.image.text"


def given(site, round_, base, values=None, weights=None, *, plan=PLAN) -> bytes:
    """The update with a site's second moments, or others."""
    shapes = task_specs(PLAN, "second_moments")
    values, weights = values or GIVEN[site][0], weights or GIVEN[site][1]
    facts = {
        "site": site,
        "plan": plan.digest(),
        "run": RUN,
        "round_": round_,
        "base": base,
        "metrics": {"cases": 1.0},
    }
    return encode_update(
        compress(values, shapes, "exact").body, weights, shapes, task="second_moments", **facts
    )


def answer(rounds, site, *, gives=False) -> None:
    """What the site sends in this round, accepted."""
    round_, base = rounds.position.round, rounds.position.version
    gives = gives or task_of(PLAN, round_) == "second_moments"
    payload = given(site, round_, base) if gives else update(site, round_, base, plan_=PLAN)
    receipt = judge(rounds, site, payload)
    assert receipt.accepted, receipt.reason


def started(folder: Path, kind=Rounds, plan=PLAN):
    """A fresh aggregator."""
    folder.mkdir(exist_ok=True)
    return kind(Journal(folder / "journal.sqlite", create=plan))


def new_shard(folder: Path, shard: Shard) -> ShardRounds:
    """A fresh shard."""
    started(folder).journal.close()
    return ShardRounds(ShardJournal(folder / "journal.sqlite"), shard)


def reopened(rounds: Rounds) -> Rounds:
    """After the process died and was started again."""
    rounds.journal.close()
    return Rounds(Journal(rounds.journal.folder / "journal.sqlite"))


def collecting(folder: Path, sites=SITES) -> Rounds:
    """In the round of second moments; these sites have given theirs."""
    rounds = started(folder)
    rounds.close(1)
    for site in sites:
        answer(rounds, site)
    return rounds


def trained(rounds, sites=SITES, gives=()):
    """A round of training; some give second moments in its place."""
    for site in sites:
        answer(rounds, site, gives=site in gives)
    rounds.close(rounds.position.round)
    return rounds


def tensors(rounds):
    """The newest version's."""
    return rounds._versions.tensors(rounds.position.version)


def solved(rounds) -> dict[str, bytes]:
    """What was solved, to the bit."""
    return {name: value.tobytes() for name, value in tensors(rounds).items() if name in solved_shapes(PLAN)}


def files(folder: Path) -> list[str]:
    """Those of second moments, finished or not."""
    return sorted(path.name for path in folder.glob("*second-moments*"))
