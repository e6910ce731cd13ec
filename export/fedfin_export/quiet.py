"""The exporters' notes on themselves, held back."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back the exporters' notes on themselves: none is of use to the user of this command."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # torch logs graphs as errors; what failed is raised, too
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
