"""`fedfin edge`: one file per sub-command in `fedfin_edge.commands`."""

import argparse
import importlib

# In the order a site meets them. Each module has `add(subparsers)`; its heavy imports are inside `run`.
COMMANDS = ("init", "encode", "run", "predict", "evaluate", "explain_update")


def build(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands to the `fedfin edge` parser."""
    parser.epilog = "example: fedfin edge encode /srv/fedfin/st-mary    (--help of a command has its own)"
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"fedfin_edge.commands.{name}").add(subparsers)
