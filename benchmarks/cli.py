"""The sub-commands of `fedfin bench`."""

import argparse

from benchmarks.codec import cli as codec


def build(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser."""
    parser.epilog = "example: fedfin bench codec"
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    codec.build(commands)
