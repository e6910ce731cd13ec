"""What was told of patients and what it cost, in a file that only grows: nothing is told beyond the budget.

    {"n":1,...,"event":"release","facts":{"plan":"5f...","run":"a1...","round":1,"task":"second_moments","data":"9c...",
     "update":"77...","rho":0.0306,"sites":["st-mary"]},"before":"00...","hash":"e0..."}

Its lines are those of the audit log (fedfin/trust/audit_log.py). A site writes a line once the update is on its disk,
and before it is offered to anybody; the aggregator before any site reveals what opens a sum. So a line may stand for
what never left, and never the other way round. The same update again costs nothing; another one for the same round is
refused.

The file belongs to the patients, not to a run: costs add up over all runs and plans. Only the sides of one plan's
split of the same data have different patients (budget.py).
"""

from collections import defaultdict
from pathlib import Path

import msgspec

from fedfin.errors import StateError
from fedfin.privacy.budget import SIDES, Budget
from fedfin.privacy.release import Release
from fedfin.trust.audit_log import AuditLog, Entry, read_audit

LEDGER = "privacy.jsonl"
_EVENT = "release"


class Ledger:
    """One folder's. Raises StateError when the file is damaged."""

    def __init__(self, path: Path, budget: Budget) -> None:
        self._path, self.budget = path, budget
        self._log = AuditLog(path)
        self.releases = [_release(path, entry) for entry in (read_audit(path) if path.exists() else ())]

    def spent(self, site: str) -> float:
        """What all that was told of this site's patients cost, in rho."""
        return _cost(self.releases, site)

    def epsilon_spent(self, site: str) -> float:
        """The epsilon that this stands for, at the plan's delta."""
        return self.budget.promise(self.spent(site))

    def check(self, release: Release) -> None:
        """Raises StateError unless it may be told: within the budget, and no second answer to the same round."""
        known = self._known(release)
        if known is not None:
            if known != release:
                raise StateError(
                    f"{self._path}: round {release.round} of run {release.run} was told already, by another update;"
                    " telling it again would cost as much again, and is refused"
                )
            return
        for site in release.sites:
            rho = _cost([*self.releases, release], site)
            if not self.budget.allows(rho):
                raise StateError(
                    f"{self._path}: with round {release.round} ({release.task}) of run {release.run} {site} would have"
                    f" told epsilon {self.budget.promise(rho):.2f}; the plan allows {self.budget.epsilon:g} at delta"
                    f" {self.budget.delta:g}. Nothing is sent. Only a plan with a larger privacy.epsilon could go on"
                )

    def record(self, release: Release) -> None:
        """Make it durable that this is told; the same again writes nothing. Raises StateError as `check`."""
        self.check(release)
        if self._known(release) is None:
            self._log.add(_EVENT, msgspec.to_builtins(release))
            self.releases.append(release)

    def _known(self, release: Release) -> Release | None:
        where = release.run, release.round
        return next((known for known in self.releases if (known.run, known.round) == where), None)


def _release(path: Path, entry: Entry) -> Release:
    try:
        release = msgspec.convert(entry.facts, Release)
    except msgspec.ValidationError:
        release = None
    if release is None or entry.event != _EVENT or release.task not in SIDES:
        raise StateError(
            f"{path}, line {entry.n}: is no release that this version knows; restore the file from a backup, or"
            " install the version that wrote it"
        )
    return release


def _cost(releases: list[Release], site: str) -> float:
    """Of a patient: the dearest side of each plan's split of the same data, and all of these together.

    A site's own ledger knows the data: what it holds was told of its patients, whatever the site was called then.
    """
    costs: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for release in releases:
        if release.data or site in release.sites:
            for side in SIDES[release.task]:
                costs[release.plan, release.data][side] += release.rho
    return sum(max(sides.values()) for sides in costs.values())
