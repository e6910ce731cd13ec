"""`fedfin broker`: one file per sub-command in `fedfin.broker.commands`."""

import argparse

from fedfin.command_line.parsers import add_group

# In the order an operator meets them.
COMMANDS = ("kit", "check")


def build(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands to the `fedfin broker` parser."""
    example = "fedfin broker check mqtts://broker.example"
    add_group(parser, "fedfin.broker.commands", COMMANDS, example=example)
