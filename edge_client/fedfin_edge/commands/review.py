"""`fedfin edge review`: in plain words what would leave this site, and to whom, before it does."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line.parsers import Commands, add_command
from fedfin.plain_text import plain_text

if TYPE_CHECKING:
    from fedfin.trust.charter import Charter
    from fedfin_edge.agent.review import Review
    from fedfin_edge.agent.state import Proposal
    from fedfin_edge.site import Site

_DESCRIPTION = """\
Shows the plan that this site was asked last, by `accept` or by `run`, or that of an admission: what it learns, what
each kind of round takes from this site and how often, who sees it, and what [policy] in site.toml says of it. Sends
nothing. Exit code 3 if the policy refuses the plan."""
_EXAMPLE = "fedfin edge review st-mary"


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "read what would leave this site, and to whom"
    parser = add_command(commands, "review", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("folder", type=Path, help="site folder")
    parser.add_argument("--admission", type=Path, metavar="FILE", help="one that was not accepted yet")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print it. Raises SettingsError, StateError."""
    from fedfin.errors import SettingsError
    from fedfin_edge.agent.review import review
    from fedfin_edge.site import open_site

    site = open_site(args.folder)
    proposal, charter = _proposal(site, args.admission)
    found = review(site, proposal, charter)
    if args.json:
        print(json.dumps(dataclasses.asdict(found)))
    else:
        _print(found, proposal, _approval(found, site, args.admission))
    return SettingsError.exit_code if found.refusals else 0


def _proposal(site: "Site", admission: Path | None) -> "tuple[Proposal, Charter | None]":
    """What is asked, and by whose charter."""
    from fedfin.trust.admission import read_admission
    from fedfin_edge.agent.review import obeyed_charter
    from fedfin_edge.agent.state import AgentState, Proposal

    if admission is None:
        return AgentState(site.state_path, make=False).proposed(), obeyed_charter(site)
    read, charter = read_admission(admission)
    return Proposal(read.plan, charter.run, charter.least_sites), charter


def _print(found: "Review", proposal: "Proposal", approval: str) -> None:
    from fedfin_edge.agent.review import in_plain_words

    lines = [
        f"federation {found.federation}, run {found.run}",
        *in_plain_words(proposal.plan, proposal.least_sites),
        "to whom:",
        *(f"  {receiver}" for receiver in found.receivers),
        *(f"refused: {refusal}" for refusal in found.refusals),
        approval,
    ]
    print("\n".join(map(plain_text, lines)))


def _approval(found: "Review", site: "Site", admission: Path | None) -> str:
    """`approve` takes a plan that this site was asked: of an admission, once it was accepted."""
    approve = f"fedfin edge approve {site.folder} {found.plan}"
    match found.approval:
        case "missing" if admission is not None and not _was_asked(site, found.plan):
            return f"not approved. If your people agree: fedfin edge accept {site.folder} {admission}, then {approve}"
        case "missing":
            return f"not approved. If your people agree: {approve}"
        case "given":
            return "approved here"
        case _:
            return "an approval is not needed here (policy.approve in site.toml)"


def _was_asked(site: "Site", plan: str) -> bool:
    """Whether the plan of this digest is the one that came last."""
    from fedfin_edge.agent.state import AgentState

    state = AgentState(site.state_path, make=False)
    return state.has_proposal and state.proposed().plan.digest() == plan
