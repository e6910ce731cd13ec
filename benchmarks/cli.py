"""The sub-commands of `fedfin bench`."""

import argparse

from benchmarks.codec import cli as codec
from fedfin.command_line.parsers import add_commands


def build(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser."""
    codec.build(add_commands(parser, example="fedfin bench codec"))
