"""Discrete Gaussian noise, exact: integers k with probability proportional to exp(-k^2 / (2 variance)).

Noise in floats gives secrets away in its last bits (Mironov, CCS 2012). So this is the sampler of Canonne, Kamath and
Steinke, arXiv 2004.00010, Algorithms 1 to 3, in whole numbers alone, for many draws at once. Its random bits are the
operating system's: whoever knows a seed takes the noise off.
"""

import math
import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MOST_VARIANCE = 2**24  # so that no fraction below has a numerator or denominator of 2^63
Words = Callable[[int], NDArray[np.uint64]]  # so many random words
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_SPAN = 64  # deviations: a draw beyond comes once in e^2000; it is drawn again, so that fractions stay small


def system_words(count: int) -> NDArray[np.uint64]:
    """From the operating system's generator, [count]."""
    return np.frombuffer(os.urandom(8 * count), np.uint64)


def discrete_gaussian(variance: int, count: int, words: Words = system_words) -> Integers:
    """Independent draws, [count]. Raises ValueError unless 1 <= variance <= MOST_VARIANCE."""
    if not 1 <= variance <= MOST_VARIANCE:
        raise ValueError(f"the variance must be 1 to {MOST_VARIANCE}; it is {variance}")
    return _until_all(lambda missing: _gaussian_tries(variance, missing, words), count)


def _gaussian_tries(variance: int, count: int, words: Words) -> Integers:
    """Algorithm 3: draws of a discrete Laplace distribution, each kept by how much likelier a Gaussian has it."""
    scale = math.isqrt(variance) + 1
    draws = _until_all(lambda missing: _laplace_tries(scale, missing, words), count)
    draws = draws[np.abs(draws) <= _SPAN * scale]
    numerator = np.square(np.abs(draws) * scale - variance)
    return draws[_bernoulli_exp(numerator, 2 * variance * scale**2, words)]


def _laplace_tries(scale: int, count: int, words: Words) -> Integers:
    """Algorithm 2: integers k with probability proportional to exp(-|k| / scale); not all tries succeed."""
    within = _below(scale, count, words)
    within = within[_bernoulli_exp(within, scale, words)]
    size = within + scale * _geometric(len(within), words)
    negative = _below(2, len(size), words) == 1
    kept = ~(negative & (size == 0))  # else 0 would come twice as often
    signed: Integers = np.where(negative, -size, size)[kept]
    return signed


def _geometric(count: int, words: Words) -> Integers:
    """How often an event of probability exp(-1) happens in a row, [count]."""
    runs, going = np.zeros(count, np.int64), np.arange(count)
    while len(going):
        going = going[_bernoulli_exp(np.ones(len(going), np.int64), 1, words)]
        runs[going] += 1
    return runs


def _bernoulli_exp(numerator: Integers, denominator: int, words: Words) -> Mask:
    """True with probability exp(-numerator / denominator), each by itself: exp(-1) as often as the whole part says."""
    alive, whole = np.ones(len(numerator), np.bool_), numerator // denominator
    going = np.flatnonzero(whole)
    while len(going):
        lost = ~_bernoulli_exp_below_one(np.full(len(going), denominator), denominator, words)
        alive[going[lost]] = False
        whole[going] -= 1
        going = going[~lost & (whole[going] > 0)]
    rest = np.flatnonzero(alive)
    alive[rest] = _bernoulli_exp_below_one(numerator[rest] % denominator, denominator, words)
    return alive


def _bernoulli_exp_below_one(numerator: Integers, denominator: int, words: Words) -> Mask:
    """Algorithm 1, for fractions in 0..1: events of probability fraction / k, k = 1, 2, ..., until one does not happen.

    That is an even number of events with the probability wanted (von Neumann).
    """
    happened, going, k = np.zeros(len(numerator), np.int64), np.arange(len(numerator)), 1
    while len(going):
        going = going[_below(denominator * k, len(going), words) < numerator[going]]
        happened[going] += 1
        k += 1
    even: Mask = happened % 2 == 0
    return even


def _below(bound: int, count: int, words: Words) -> Integers:
    """Uniform in 0..bound-1: words of the last, incomplete range are drawn again, [count]."""
    last = 2**64 // bound * bound - 1

    def tries(missing: int) -> Integers:
        drawn = words(missing)
        return (drawn[drawn <= np.uint64(last)] % np.uint64(bound)).astype(np.int64)

    return _until_all(tries, count)


def _until_all(tries: Callable[[int], Integers], count: int) -> Integers:
    """What tries give, until there are as many as asked for; `tries` is told how many are missing."""
    found = tries(count)
    while len(found) < count:
        found = np.concatenate([found, tries(count - len(found))])
    return found
