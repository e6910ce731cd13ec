"""`fedfin aggregator show`: the rounds so far and the final results."""

import argparse
import json
import sys
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command
from fedfin.command_line.standard_output import PrintedConsole
from fedfin_aggregator.folder import enrolled, open_journal
from fedfin_aggregator.summary import print_summary, summary


def add(commands: Commands) -> None:
    """Add `show` to the parser of `fedfin aggregator`."""
    example = "fedfin aggregator show /srv/fedfin/chest --json"
    parser = add_command(commands, "show", "show rounds and results", example=example)
    parser.add_argument("folder", type=Path, help="aggregator folder")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print them. Raises StateError."""
    with open_journal(args.folder, read_only=True) as journal:
        if args.json:
            json.dump(summary(journal, enrolled(args.folder)), sys.stdout, indent=2)
            print()
        else:
            print_summary(journal, PrintedConsole(markup=False), enrolled(args.folder))
    return 0
