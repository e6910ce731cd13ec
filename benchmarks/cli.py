"""The sub-commands of `fedfin bench`."""

import argparse

from benchmarks.codec import cli as codec
from benchmarks.costs import cli as costs
from fedfin.command_line.parsers import add_commands


def build(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser."""
    commands = add_commands(parser, example="fedfin bench all --quick")
    costs.build(commands)
    codec.build(commands)
