"""`fedfin edge status`: what this site is doing, for people and for monitoring."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line.parsers import Commands, add_command
from fedfin.plain_text import plain_text
from fedfin.utc import moment

if TYPE_CHECKING:
    from fedfin_edge.agent.intake_condition import Condition
    from fedfin_edge.agent.overview import Overview, Rounds
    from fedfin_edge.agent.status import Problem
    from fedfin_edge.cases.counts import CaseCounts, LabelCounts

_DESCRIPTION = """\
Reads the site's folder and nothing else, so it may run at any time, beside `run` too. Exit code 0: at work and
connected, or finished; 7: at work without a connection; else what `run` ended with, and 9 if it was never started or
was killed. An intake changes no exit code: JSON has intake.at_work.
Counts of fewer patients than policy.least_patients are suppressed; JSON has null for them."""
_EXAMPLE = """\
  fedfin edge status st-mary
  fedfin edge status st-mary --json    # for monitoring"""


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "what this site is doing, since when, and what went wrong last"
    parser = add_command(commands, "status", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("folder", type=Path, help="site folder")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print it. Raises SettingsError, StateError."""
    import msgspec

    from fedfin_edge.agent.overview import overview
    from fedfin_edge.site import open_site

    found = overview(open_site(args.folder))
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        print("\n".join(map(plain_text, in_words(found))))
    return found.exit_code


def in_words(found: "Overview") -> list[str]:
    """As lines."""
    return [
        f"site: {found.site} of {found.federation}, {_connection(found)}",
        f"doing: {found.doing}" + (f", since {moment(found.since)}" if found.since else ""),
        f"next: {found.next}",
        f"last error: {_error(found.last_error)}",
        f"rounds: {_rounds(found.rounds)}",
        f"bytes: {found.bytes_up:,} up, {found.bytes_down:,} down",
        *_cases(found.cases),
        *_intake(found.intake),
    ]


def _error(error: "Problem | None") -> str:
    return f"{moment(error.time)}: {error.what}" if error else "none"


def _intake(intake: "Condition | None") -> list[str]:
    if intake is None:
        return []
    queue = f"{intake.queued:,} queued, {intake.aside:,} set aside"
    if intake.refusing:
        queue += f"; refuses all senders: {intake.refusing}"
    return [f"intake: {_life(intake)}; {queue}", f"  last error: {_error(intake.last_error)}"]


def _life(intake: "Condition") -> str:
    if intake.started is None:
        return "at work" if intake.at_work else "never started"
    started = moment(intake.started)
    if intake.at_work:
        return f"at work, since {started}"
    how = "killed" if intake.exit_code is None else f"ended with exit code {intake.exit_code}"
    return f"not at work ({how}), started {started}"


def _connection(found: "Overview") -> str:
    if not found.at_work:
        return "not at work"
    return "at work and connected" if found.online else "at work, not connected"


def _rounds(rounds: "Rounds | None") -> str:
    if rounds is None:
        return "none yet"
    return f"{rounds.answered} of {rounds.of} answered, the newest that counts is {rounds.accepted}; run {rounds.run}"


def _cases(counts: "CaseCounts | None") -> list[str]:
    if counts is None:
        return ["cases: not counted yet; `fedfin edge encode` does"]
    few = f"suppressed (fewer than {counts.least_patients} patients, or what would tell of them)"

    def shown(count: int | None) -> str:
        return few if count is None else f"{count:,}"

    def answers(label: "LabelCounts") -> str:
        return few if label.yes is None else f"{label.yes:,} yes, {label.no:,} no"

    return [
        f"cases: {shown(counts.cases)}, at {counts.time}",
        *(f"  with {name}: {shown(count)}" for name, count in counts.modalities.items()),
        *(f"  {name}: {answers(label)}" for name, label in counts.labels.items()),
    ]
