"""Times are medians with their spread, and a change is called one only beyond noise."""

import random
import time

import pytest

from benchmarks.costs.compare import compare
from benchmarks.costs.compute.timing import by_turns, ratio, spread


def noisy(seconds: float, seed: int) -> list[float]:
    draw = random.Random(seed)
    return [seconds * draw.uniform(0.9, 1.1) for _ in range(25)]


def test_what_is_measured_by_turns_has_as_many_samples_each():
    slow, quick = by_turns([lambda: time.sleep(0.01), lambda: time.sleep(0.001)], 0.1)
    assert len(slow) == len(quick) >= 3
    assert min(slow) >= 0.01
    assert 2 < ratio(slow, quick).median < 15


def test_the_spread_is_around_the_median():
    found = spread([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)
    assert found.noise == pytest.approx(1 / 3)
    assert spread([2.0]).noise == 0.0


def test_a_ratio_has_an_interval_that_holds_it():
    found = ratio(noisy(2.0, 1), noisy(1.0, 2))
    assert found.low < found.median < found.high
    assert found.median == pytest.approx(2.0, rel=0.1)


def timed(seconds: float, seed: int, multiply_adds: int = 100) -> dict:
    one = {"title": "FIN", "samples": noisy(seconds, seed), "multiply_adds": multiply_adds}
    return {"alone": {"fin": one, "quick": True}}


def test_a_slower_run_outside_noise_is_told_in_plain_words():
    (line,) = compare(timed(1.0, 1), timed(1.5, 2))
    assert line.worse
    assert line.verdict.endswith("% slower, outside noise")


def test_noise_is_no_change():
    (line,) = compare(timed(1.0, 1), timed(1.0, 2))
    assert not line.worse
    assert line.verdict.endswith("within noise")


def test_more_multiply_adds_are_worse_whatever_the_clock_says():
    lines = compare(timed(1.0, 1), timed(1.0, 1, multiply_adds=150))
    assert [line.verdict for line in lines if line.worse] == ["50% more"]
