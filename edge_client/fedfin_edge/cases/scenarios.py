"""Which cases an evaluation scores, and what it shows of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Present = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Scenario:
    """cases: bool [n], whom it scores; present: modality -> bool [n], what it shows."""

    name: str
    cases: NDArray[np.bool_]
    present: Present


def scenarios(present: Mapping[str, NDArray[np.bool_]]) -> Iterator[Scenario]:
    """Those of `fedfin.model.model_spec.scenarios`, in its order. present: modality -> bool [n], as recorded."""
    recorded = dict(present)
    complete = np.logical_and.reduce(list(recorded.values()))
    yield Scenario("all", complete, recorded)
    nothing = np.zeros(len(complete), np.bool_)
    for modality, mask in recorded.items():
        yield Scenario(f"only-{modality}", mask, dict.fromkeys(recorded, nothing) | {modality: mask})
    yield Scenario("as-is", np.logical_or.reduce(list(recorded.values())), recorded)
