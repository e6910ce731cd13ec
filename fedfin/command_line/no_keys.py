"""Trying things out without keys is one flag away, and says so at every start."""

import argparse
import sys
from pathlib import Path

from fedfin.errors import StateError
from fedfin.trust.accepted import has_accepted

WARNING = (
    "WITHOUT KEYS: whoever may publish at the broker can pose as the aggregator or as a site, and whoever reads there"
    " reads what sites send. For trying things out, with data that may be public."
)


def add(parser: argparse.ArgumentParser) -> None:
    """--no-keys."""
    parser.add_argument(
        "--no-keys", action="store_true", help="take part without keys, to try things out with public data"
    )


def check_keys(trust: Path, args: argparse.Namespace, request: str) -> bool:
    """Whether to use the keys in this folder. Raises StateError where there are none and nobody said --no-keys."""
    if args.no_keys:
        print(f"fedfin: {WARNING}", file=sys.stderr)
        return False
    if not has_accepted(trust):
        raise StateError(
            f"{trust.parent}: not admitted to a federation: make keys with `{request}`, and `accept` what the"
            " coordinator sends back (docs/keys.md); to try things out with public data: --no-keys"
        )
    return True
