"""`fedfin export`: one file per sub-command in `fedfin_export.commands`."""

import argparse

from fedfin.command_line.parsers import add_group

COMMANDS = ("encoder", "projection", "model")


def build(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands to the `fedfin export` parser."""
    example = "fedfin export encoder --preset minilm-l6 bundles/text"
    add_group(parser, "fedfin_export.commands", COMMANDS, example=example)
