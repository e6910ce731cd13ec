"""`fedfin export`: one file per sub-command in `fedfin_export.commands`."""

import argparse
import importlib

# Each module has `add(subparsers)`; its heavy imports are inside `run`.
COMMANDS = ("encoder", "model")


def build(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands to the `fedfin export` parser."""
    parser.epilog = "example: fedfin export encoder --preset minilm-l6 bundles/text"
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"fedfin_export.commands.{name}").add(subparsers)
