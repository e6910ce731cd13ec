"""`fedfin aggregator`: one file per sub-command in `fedfin_aggregator.commands`."""

import argparse

from fedfin.command_line.parsers import add_group

# In the order a coordinator meets them.
COMMANDS = (
    "draft",
    "init",
    "request",
    "charter",
    "admit",
    "remove",
    "accept",
    "serve",
    "service",
    "include",
    "leave_out",
    "show",
    "model",
    "audit",
)


def build(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands to the `fedfin aggregator` parser."""
    example = "fedfin aggregator init plan.toml /srv/fedfin/chest"
    add_group(parser, "fedfin_aggregator.commands", COMMANDS, example=example)
