"""`fedfin edge explain-update`: what the last update sent, tensor by tensor."""

import argparse
import json
import sys
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command


def add(commands: Commands) -> None:
    """Add the sub-command's parser."""
    summary = "show tensor by tensor what the last update sent"
    example = "fedfin edge explain-update /srv/fedfin/st-mary"
    parser = add_command(commands, "explain-update", summary, example=example)
    parser.add_argument("folder", type=Path, help="site folder")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the explanation."""
    from fedfin_edge.agent.explain_update import explain, print_explanation
    from fedfin_edge.agent.state import AgentState
    from fedfin_edge.site import open_site

    state = AgentState(open_site(args.folder).state_path, make=False)
    explanation = explain(state.last_update(), state.plan())
    if args.json:
        json.dump(explanation, sys.stdout, indent=2)
        print()
    else:
        print_explanation(explanation)
    return 0
