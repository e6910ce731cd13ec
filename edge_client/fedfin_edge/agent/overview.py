"""Where a site stands, for people and for monitoring: from its files alone, whether or not the agent is at work."""

from typing import Any

import msgspec

from fedfin.errors import LinkError, StateError
from fedfin.lock import is_at_work
from fedfin.protocol.schedule import last_round
from fedfin_edge.agent.intake_condition import Condition, condition
from fedfin_edge.agent.next_step import next_step
from fedfin_edge.agent.state import AgentState, Progress
from fedfin_edge.agent.status import INTERRUPTED, Problem, Status, read_status
from fedfin_edge.cases.counts import CaseCounts, kept_counts
from fedfin_edge.site import Site


class Rounds(msgspec.Struct, frozen=True):
    """How far the run is: `answered` is the newest round with a receipt, `accepted` the newest that counts."""

    run: str
    answered: int
    accepted: int
    of: int
    finished: bool


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """`exit_code`: 0 while the agent is at work and connected, or when all is done; else what is wrong (docs/edge.md).

    Times: seconds since the epoch. `cases` None: nobody has counted yet. `intake` None: there is none.
    """

    site: str
    federation: str
    at_work: bool
    online: bool
    doing: str
    since: float | None
    next: str
    last_error: Problem | None
    rounds: Rounds | None
    bytes_up: int
    bytes_down: int
    cases: CaseCounts | None
    intake: Condition | None
    exit_code: int


def overview(site: Site) -> Overview:
    """Raises StateError when the state is damaged."""
    status = read_status(site.state_path)
    # Others hold the lock for seconds, too: `doctor`, `broker check`.
    at_work = status is not None and status.exit_code is None and is_at_work(site.folder)
    state = AgentState(site.state_path, make=False)
    progress = state.progress
    return Overview(
        site=site.settings.site,
        federation=site.settings.federation,
        at_work=at_work,
        online=bool(status and at_work and status.online),
        last_error=status.last_error if status else None,
        rounds=_rounds(state, progress),
        bytes_up=status.up if status else 0,
        bytes_down=status.down if status else 0,
        cases=kept_counts(site),
        intake=condition(site),
        exit_code=_exit_code(status, progress, at_work=at_work),
        **_doing(site, state, status, at_work=at_work),
    )


def _doing(site: Site, state: AgentState, status: Status | None, *, at_work: bool) -> dict[str, Any]:
    if status is None:
        return {"doing": "never started", "since": None, "next": next_step(site, state)}
    if at_work:
        return {"doing": status.doing, "since": status.since, "next": status.next}
    if state.progress.finished:
        return {"doing": "finished", "since": status.since, "next": "nothing: the final model is here"}
    how = "killed" if status.exit_code is None else f"ended with exit code {status.exit_code}"
    first = "" if status.exit_code in {None, 0, INTERRUPTED} else "mend what the last error says; then "
    return {
        "doing": f"stopped ({how}) while {status.doing}",
        "since": status.since,
        "next": first + next_step(site, state),
    }


def _exit_code(status: Status | None, progress: Progress, *, at_work: bool) -> int:
    if at_work:
        return 0 if status and status.online else LinkError.exit_code
    if progress.finished:
        return 0
    return (status.exit_code if status else None) or StateError.exit_code


def _rounds(state: AgentState, progress: Progress) -> Rounds | None:
    if not progress.run:
        return None
    last = last_round(state.plan())
    return Rounds(progress.run, progress.settled, progress.accepted, last, progress.finished)
