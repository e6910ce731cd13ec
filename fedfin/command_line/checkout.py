"""`fedfin bench` and `fedfin study` are of a source checkout: they are not installed with FedFIN."""

import sys
from pathlib import Path

from fedfin.errors import StateError

CHECKOUT = Path(__file__).parents[2]


def make_importable() -> None:
    """Let `benchmarks` be imported. Raises StateError when it is not beside this package."""
    if not (CHECKOUT / "benchmarks" / "cli.py").is_file():
        raise StateError(
            "the benchmarks are not installed with FedFIN: clone its repository, run `pip install -e '.[bench]'`"
            " there, and use that `fedfin`"
        )
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
