"""The kinds of test case: what is shown of the judge's cases, which are complete unless the data says otherwise."""

import numpy as np
from numpy.typing import NDArray

from fedfin_edge.cases.dataset import Dataset

COMPLETE, HALF = "complete", "half missing"
ALONE = "only "  # before a modality's name
RECORDED = "as recorded"  # in place of complete, where incomplete cases judge, too
_STREAM = 7  # parts these draws from others of the same seed

View = dict[str, NDArray[np.bool_]]


def views(judge: Dataset, seed: int) -> dict[str, View]:
    """View -> what it shows, modality -> bool [n]: complete, each modality alone, each one missing, half missing.

    With two modalities, one missing is the other alone. Where incomplete cases judge, a view shows what was recorded,
    and one missing is of cases that have it; a case of which nothing is shown does not judge.
    """
    modalities, every = list(judge.present), dict(judge.present)
    none = {m: np.zeros(len(judge), np.bool_) for m in modalities}
    whole = all(mask.all() for mask in every.values())
    found: dict[str, View] = {COMPLETE if whole else RECORDED: every}
    if len(modalities) > 1:
        found |= {f"{ALONE}{m}": none | {m: every[m]} for m in modalities}
    if len(modalities) > 2:
        found |= {f"without {m}": _without(every, m) for m in modalities}
    if len(modalities) > 1:
        half = _half_missing(modalities, len(judge), seed)
        found[HALF] = {m: half[m] & every[m] for m in modalities}
    return found


def _without(every: View, hidden: str) -> View:
    return {m: mask & every[hidden] & (m != hidden) for m, mask in every.items()}


def _half_missing(modalities: list[str], count: int, seed: int) -> View:
    """Half of the cases lose a random part of their modalities, never all of them."""
    draws = np.random.Generator(np.random.PCG64([seed, _STREAM]))
    loses = np.zeros(count, np.bool_)
    loses[np.argsort(draws.random(count), kind="stable")[: count // 2]] = True
    rank = np.argsort(np.argsort(draws.random((count, len(modalities))), axis=1), axis=1)
    lost = 1 + (draws.random(count) * (len(modalities) - 1)).astype(np.int64)
    hidden = loses[:, None] & (rank < lost[:, None])
    return {m: ~hidden[:, place] for place, m in enumerate(modalities)}
