"""Where the codec's time goes: CPU seconds by its functions.

What numpy does counts for the codec function that asked for it. The codec works on whole arrays, in some hundred
calls, so that watching them costs next to nothing.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from types import FrameType

import numpy as np

from fedfin import codec
from fedfin.codec.layout import Tensors

PACKAGE = codec.__name__
REPEATS = 9

Seconds = dict[str, float]


def by_function(run: Callable[[], object]) -> Seconds:
    """CPU seconds in each function of the codec, as MODULE.FUNCTION, in the one run of several that took least."""
    runs = [_watch(run) for _ in range(REPEATS)]
    return min(runs, key=lambda seconds: sum(seconds.values()))


def memcpy_seconds(tensors: Tensors) -> float:
    """CPU seconds to copy the tensors' bytes into memory that is there already: no codec can be faster."""
    flats = [(values.ravel(), np.zeros(values.size, np.float32)) for values in tensors.values()]
    best = float("inf")
    for _ in range(REPEATS):
        started = time.process_time()
        for source, target in flats:
            np.copyto(target, source)
        best = min(best, time.process_time() - started)
    return best


def _watch(run: Callable[[], object]) -> Seconds:
    """One run under a profile hook that keeps the stack of codec functions."""
    spent: Seconds = defaultdict(float)
    stack: list[str] = []
    since = time.process_time()

    def hook(frame: FrameType, event: str, _: object) -> None:
        nonlocal since
        module = str(frame.f_globals.get("__name__", ""))
        if event not in {"call", "return"} or not module.startswith(PACKAGE):
            return
        now = time.process_time()
        if stack:
            spent[stack[-1]] += now - since
        if event == "call":
            stack.append(f"{module.removeprefix(PACKAGE + '.')}.{frame.f_code.co_name}")
        elif stack:
            stack.pop()
        since = time.process_time()

    sys.setprofile(hook)
    try:
        run()
    finally:
        sys.setprofile(None)
    return dict(spent)
