"""Processes of the benchmarks: none is left behind, and one that dies is told."""

import multiprocessing
import os
import signal
import time

import pytest

from benchmarks.workers import workers
from fedfin.errors import FedfinError


def _cut_short() -> None:
    with workers(1, "died") as pool:
        pool.submit(time.sleep, 600)
        raise KeyboardInterrupt


def test_work_that_is_cut_short_leaves_no_process_behind() -> None:
    """Nobody waits for what it was at."""
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        _cut_short()
    for process in multiprocessing.active_children():
        process.join()
    assert time.monotonic() - begun < 300


def test_a_process_that_dies_is_an_error_in_words() -> None:
    """As when the machine has no memory left."""
    with pytest.raises(FedfinError, match="no memory"), workers(1, "no memory") as pool:
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()
