"""`fedfin aggregator include`: the coordinator vouches for sites whose statistics are unlike the others'."""

import argparse

from fedfin.command_line.parsers import Commands
from fedfin_aggregator.standings import add_decision, decide


def add(commands: Commands) -> None:
    """Add `include` to the parser of `fedfin aggregator`."""
    add_decision(commands, "include", "vouch for sites that were left out or asked about", run)


def run(args: argparse.Namespace) -> int:
    """Write it down. Raises StateError."""
    decide(args.folder, args.sites, "included")
    print(f"included, from now on: {', '.join(args.sites)}")
    return 0
