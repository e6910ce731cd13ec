"""`fedfin edge approve`: a person's word for one plan, or against it."""

import argparse
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command

_DESCRIPTION = """\
Says that this site may take part in the plan of this digest, which `review` shows; no other plan is meant by it. Asked
for where [policy] in site.toml says `approve = true`. --withdraw takes it back, whatever site.toml says: a site at
work makes no further update."""
_EXAMPLE = """\
  fedfin edge approve st-mary 5f1c...   # all 64 digits, as `fedfin edge review st-mary` prints them
  fedfin edge approve st-mary 5f1c... --withdraw"""


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "let this site take part in the plan of one digest"
    parser = add_command(commands, "approve", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("folder", type=Path, help="site folder")
    parser.add_argument("digest", help="of the plan: 64 digits")
    parser.add_argument("--withdraw", action="store_true", help="take the word back")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Keep the word. Raises SettingsError for a digest that was not asked here, StateError."""
    from fedfin.errors import SettingsError
    from fedfin_edge.agent.approvals import decide, last_word
    from fedfin_edge.agent.state import AgentState
    from fedfin_edge.site import open_site

    site = open_site(args.folder)
    asked = AgentState(site.state_path, make=False).proposed().plan.digest()
    if args.digest != asked and not last_word(site, args.digest):
        raise SettingsError(
            f"{args.digest} is not the plan that this site was asked, which is {asked}; read it with `fedfin edge"
            f" review {args.folder}` first"
        )
    decide(site, args.digest, approved=not args.withdraw)
    print(f"{'withdrawn' if args.withdraw else 'approved'}: plan {args.digest}")
    return 0
