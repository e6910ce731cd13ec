"""What stops this site, in the one word that the aggregator may know (fedfin/declines.py)."""

import contextlib
from collections.abc import Iterator

from fedfin.declines import Cause
from fedfin.errors import FedfinError


@contextlib.contextmanager
def declining(cause: Cause) -> Iterator[None]:
    """An error from in here stops the site for this cause. The error itself stays at the site."""
    try:
        yield
    except FedfinError as error:
        error.declines = cause
        raise
