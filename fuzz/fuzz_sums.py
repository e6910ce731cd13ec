"""Lies of a shard: its sum of a round, honest but for some changes, through all that a root does with it."""

import hashlib

import msgspec
import numpy as np

from fedfin import limits
from fedfin.protocol.schedule import last_round, task_of
from fedfin_aggregator.fold.fold import Fold
from fedfin_aggregator.fold.means import Means
from fedfin_aggregator.fold.partial_sum import PartialSum, decode_sum, encode_sum
from fedfin_aggregator.rounds.close import fold_update
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import sum_shapes
from fuzz.fuzz_rounds import HONEST, PLAN, Choices, finish, honest, reopened, standing

SHARD = "shard/0"
MOST_CHANGES = 5
# Of an int64: its ends, one in fixed point, the largest value that a weight of 1 can give.
TOTALS = (0, 1, -1, 2**24, -(2**24), 2**40, 2**62, -(2**63), 2**63 - 1)
WEIGHTS = (0, 1, 139, 141, 200_000, limits.ROUND_WEIGHT)
SUMS = ("0/1", "-1/3", "1" + "0" * 400 + "/1", "1/1" + "0" * 400, "9" * 308 + "/1")


def fuzz(data: bytes) -> None:
    """A round of a root with one lying shard, and the rounds after it."""
    choices = Choices(data)
    round_ = 1 + choices.below(last_round(PLAN))
    with standing(round_, RootRounds) as root:
        payload = msgspec.msgpack.encode(_lie(choices, _honest(round_, root.position.version)))
        root.judge(round_, SHARD, hashlib.sha256(payload).digest(), payload)
        finish(reopened(root))


def _honest(round_: int, version: int) -> PartialSum:
    """Of two sites."""
    task, fold, means = task_of(PLAN, round_), Fold(), Means()
    for site in HONEST:
        fold_update(fold, task, *honest(site, task), site)
        means.add(1000, {"cases": 1.0})
    shapes = sum_shapes(PLAN, task)
    facts = {"shard": SHARD, "plan": PLAN.digest()}
    return decode_sum(encode_sum(fold, means, 0, shapes, round_=round_, task=task, base=version, **facts))


def _lie(choices: Choices, sum_: PartialSum) -> PartialSum:
    """Some values, weights, and what is said of metrics."""
    weights, totals = list(sum_.weights), np.frombuffer(sum_.totals, "<i8").copy()
    for _ in range(choices.below(MOST_CHANGES)):
        way, place = choices.below(3), choices.below(len(totals))
        if way == 0:
            weights[place % len(weights)] = choices.one(WEIGHTS)
        elif way == 1:
            totals[place] = choices.one(TOTALS)
        else:
            totals[place] ^= 1 << choices.below(63)
    changed = {
        "weights": weights,
        "totals": totals.tobytes(),
        "updates": choices.one((sum_.updates, 0, 1, 2**31 - 1)),
        "metrics": {choices.one(("cases", "auc.all", "\x1b[2J")): {"total": choices.one(SUMS), "count": 1}},
    }
    return msgspec.convert(msgspec.structs.asdict(sum_) | changed, PartialSum)
