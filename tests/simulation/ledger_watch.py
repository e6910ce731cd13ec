"""What must hold of the ledgers of a federation with noise: of nobody more is told than the plan allows."""

from collections.abc import Mapping
from pathlib import Path

from fedfin.plan import Plan
from fedfin.privacy.budget import budget_of
from fedfin.privacy.ledger import LEDGER, Ledger


def check_ledgers(plan: Plan, aggregator: Path, sites: Mapping[str, Path]) -> int:
    """How many parts of opened sums there are, each in the ledgers of both ends. Raises AssertionError."""
    budget = budget_of(plan)
    told, parts = Ledger(aggregator / LEDGER, budget), 0
    for name, folder in sites.items():
        own = Ledger(folder / LEDGER, budget)
        assert budget.allows(own.spent(name)), ("a site told too much", name)
        assert budget.allows(told.spent(name)), ("too much was told of a site", name)
        opened = {release.round for release in told.releases if name in release.sites}
        unknown = opened - {release.round for release in own.releases}
        assert not unknown, ("a sum that its site's ledger does not have", name, unknown)
        parts += len(opened)
    return parts
