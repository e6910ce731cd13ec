"""What is claimed, beside what was measured: the budgets of budgets.toml, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from fedfin.settings import read_toml

BUDGETS = Path(__file__).with_name("budgets.toml")


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One promise. `figure`: of figures.py; `claim`: in words; `how`: what it is measured by.

    quick: whether a quick run measures it, too.
    """

    figure: str
    claim: str
    how: str
    at_least: float | None = None
    at_most: float | None = None
    quick: bool = True

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either at_least or at_most")

    def holds(self, value: float) -> bool:
        """Of a measured figure."""
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)

    @property
    def bound(self) -> str:
        """In words."""
        return f">= {self.at_least:,g}" if self.at_least is not None else f"<= {self.at_most:,g}"


class Budgets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    budget: Annotated[tuple[Budget, ...], msgspec.Meta(min_length=1)]


class Claim(msgspec.Struct, frozen=True):
    """One promise as it was found; value None: its step has not run. quick: of a quick run."""

    budget: Budget
    value: float | None
    quick: bool = False

    @property
    def outcome(self) -> str:
        """In few words."""
        if self.value is None:
            return "in full runs" if self.quick and not self.budget.quick else "not measured"
        return "holds" if self.budget.holds(self.value) else "broken"

    @property
    def fails(self) -> bool:
        """Whether the check of all promises does, for it."""
        return self.outcome in ("broken", "not measured")


def read_budgets(path: Path = BUDGETS) -> tuple[Budget, ...]:
    """Raises SettingsError."""
    return read_toml(path, Budgets, what="budgets").budget


def check(figures: Mapping[str, float], budgets: tuple[Budget, ...], *, quick: bool = False) -> list[Claim]:
    """Each in its place."""
    return [Claim(budget, figures.get(budget.figure), quick) for budget in budgets]
