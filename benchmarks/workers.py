"""Processes that work beside each other, and end at once when whoever started them is ended."""

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from fedfin.errors import FedfinError


@contextmanager
def workers(count: int, died: str) -> Iterator[ProcessPoolExecutor]:
    """So many, spawned afresh. Raises FedfinError, saying `died`, when one dies, as for want of memory."""
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_ends_quietly) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise FedfinError(died) from None
        except BaseException:  # cut short: nobody waits for what they are at
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _ends_quietly() -> None:
    """Ctrl-C reaches every process; the parent reports it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
