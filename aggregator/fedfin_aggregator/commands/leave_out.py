"""`fedfin aggregator leave-out`: the coordinator leaves sites out of what comes."""

import argparse

from fedfin.command_line.parsers import Commands
from fedfin_aggregator.standings import add_decision, decide


def add(commands: Commands) -> None:
    """Add `leave-out` to the parser of `fedfin aggregator`."""
    add_decision(commands, "leave-out", "refuse sites' updates from now on", run)


def run(args: argparse.Namespace) -> int:
    """Write it down. Raises StateError."""
    decide(args.folder, args.sites, "left out")
    print(
        f"left out, from the open round on: {', '.join(args.sites)}; `fedfin aggregator include` takes them in"
    )
    return 0
