"""`fedfin bench`: hands over to the benchmarks folder of a source checkout, which is not installed with FedFIN."""

import argparse
import importlib
import sys
from pathlib import Path

from fedfin.errors import StateError

CHECKOUT = Path(__file__).parents[2]


def build(parser: argparse.ArgumentParser) -> None:
    """Add the benchmarks' sub-commands. Raises StateError when they are not beside this package."""
    hand_over("benchmarks.cli", parser)


def hand_over(module: str, parser: argparse.ArgumentParser) -> None:
    """Let a module of the benchmarks folder build the parser. Raises StateError as `build` does."""
    if not (CHECKOUT / "benchmarks" / "cli.py").is_file():
        raise StateError(
            "the benchmarks are not installed with FedFIN: clone its repository, run `pip install -e '.[bench]'`"
            " there, and use that `fedfin`"
        )
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    importlib.import_module(module).build(parser)
