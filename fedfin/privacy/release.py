"""One thing that was told of patients: in which round of which run, by whom, and what it cost."""

from collections.abc import Iterable

import msgspec

from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.privacy.shared_noise import cost, share_of


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`plan`, `data`, `update`: digests, in hex; at the aggregator, which does not see the data, that one is blank."""

    plan: str
    run: str
    round: int
    task: Task
    data: str
    update: str
    rho: float
    sites: tuple[str, ...]


def release_of(
    plan: Plan, task: Task, sites: Iterable[str], *, run: str, round_: int, update: str, data: str = ""
) -> Release:
    """What a sum of a plan with noise costs, by the shares that are in it for certain (shared_noise.py)."""
    rho = cost(share_of(plan, task), plan.rounds.min_sites - 1)
    return Release(plan.digest(), run, round_, task, data, update, rho, tuple(sorted(sites)))
