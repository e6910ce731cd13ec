"""`fedfin edge`: one file per sub-command in `fedfin_edge.commands`."""

import argparse

from fedfin.command_line.parsers import add_group

# In the order a site meets them.
COMMANDS = (
    "init",
    "intake",
    "encode",
    "request",
    "accept",
    "review",
    "approve",
    "doctor",
    "run",
    "status",
    "support",
    "service",
    "predict",
    "evaluate",
    "explain_update",
    "audit",
    "forget",
)


def build(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands to the `fedfin edge` parser."""
    add_group(parser, "fedfin_edge.commands", COMMANDS, example="fedfin edge encode /srv/fedfin/st-mary")
