"""`fedfin study`: like `fedfin bench`, from the benchmarks folder of a source checkout."""

import argparse

from fedfin.command_line.checkout import hand_over


def build(parser: argparse.ArgumentParser) -> None:
    """Add the study's sub-commands. Raises StateError when they are not beside this package."""
    hand_over("benchmarks.study.cli", parser)
