"""Draws that are the same on every machine: a hash of the seed (a number, or a name) and of what is drawn for."""

import hashlib

import numpy as np

_BITS = 48


def uniform(seed: int | str, *what: object) -> float:
    """In [0, 1)."""
    return int.from_bytes(_digest(seed, what)[: _BITS // 8], "big") / float(1 << _BITS)


def generator(seed: int, *what: object) -> np.random.Generator:
    """For many draws of one purpose."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(seed, what), "big")))


def _digest(seed: int | str, what: tuple[object, ...]) -> bytes:
    return hashlib.sha256("/".join(map(str, (seed, *what))).encode()).digest()
