"""`fedfin aggregator remove`: the coordinator takes a site's seat. Needs no network."""

import argparse
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command
from fedfin_aggregator.coordinator import Coordinator


def add(commands: Commands) -> None:
    """Add `remove` to the parser of `fedfin aggregator`."""
    summary = "take sites out of the charter"
    parser = add_command(commands, "remove", summary, example="fedfin aggregator remove study st-mary")
    parser.add_argument("folder", type=Path, help="the coordinator's folder")
    parser.add_argument("sites", nargs="+", metavar="SITE", help="its name")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """One new charter. Raises SettingsError, StateError."""
    coordinator = Coordinator(args.folder)
    coordinator.remove(args.sites)
    charter = coordinator.charter
    print(f"charter {charter.number}: {len(charter.roster)} sites; take it in with")
    print(f"  fedfin aggregator accept AGGREGATOR-FOLDER {args.folder / 'charter'}")
    print("a running aggregator drops them within seconds; at the broker, revoke their certificates, too:")
    print(f"  fedfin broker kit ... --revoke {args.sites[0]}")
    return 0
