"""Seconds of calls: warmed up, many times, and two things by turns where a ratio of them is wanted."""

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

WARM_UP_S, LEAST_SAMPLES, LEAST_SAMPLE_S = 0.3, 3, 0.002
MOST_SAMPLES = 200  # more say nothing new, and results are kept
RESAMPLES = 400

Run = Callable[[], Any]


def by_turns(runs: Sequence[Run], seconds: float) -> list[list[float]]:
    """Samples of each, in seconds a call. One round calls each once, so that what disturbs one disturbs all.

    `seconds`: for all of it, passed over for the least number of samples. Quick calls are timed several at a time.
    """
    repeats = [_warm_up(run) for run in runs]
    samples: list[list[float]] = [[] for _ in runs]
    until = time.perf_counter() + seconds
    while len(samples[0]) < LEAST_SAMPLES or (len(samples[0]) < MOST_SAMPLES and time.perf_counter() < until):
        for place, (run, times) in enumerate(zip(runs, repeats, strict=True)):
            samples[place].append(_seconds(run, times))
    return samples


def _warm_up(run: Run) -> int:
    """Until caches are filled and allocators have grown; how many calls a sample needs."""
    until, taken = time.perf_counter() + WARM_UP_S, math.inf
    while taken is math.inf or time.perf_counter() < until:
        taken = min(taken, _seconds(run, 1))
    return max(1, math.ceil(LEAST_SAMPLE_S / max(taken, 1e-9)))


def _seconds(run: Run, times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - begun) / times


@dataclass(frozen=True)
class Spread:
    """The median, and the quartiles around it."""

    median: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """Half the distance of the quartiles, as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def spread(samples: Sequence[float]) -> Spread:
    """Of one thing's samples."""
    if len(samples) < 2:
        return Spread(samples[0], samples[0], samples[0])
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(samples: Sequence[float], base: Sequence[float]) -> Spread:
    """How many times longer than the base: the ratio of medians, and the middle 95 % of it of samples drawn again.

    Percentile bootstrap (Efron and Tibshirani, 1993); of things measured by turns samples are drawn in pairs.
    """
    draw, pairs = random.Random(0), len(samples) == len(base)
    found = []
    for _ in range(RESAMPLES):
        rows = draw.choices(range(len(samples)), k=len(samples))
        others = rows if pairs else draw.choices(range(len(base)), k=len(base))
        found.append(
            statistics.median(samples[row] for row in rows) / statistics.median(base[row] for row in others)
        )
    found.sort()
    cut = round(RESAMPLES * 0.025)
    return Spread(statistics.median(samples) / statistics.median(base), found[cut], found[-1 - cut])
