"""Which cases an evaluation scores, and what it shows of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Mask
from fedfin_edge.cases.k_anonymity import Labels, k_anonymous

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


def judging(plan: Plan, dataset: Dataset) -> Iterator[tuple[Scenario, Mask, Labels]]:
    """Each scenario with held-out cases that scores are told of: these, bool [n], and their labels (k_anonymity.py)."""
    held_out, labels = k_anonymous(plan, dataset, dataset.held_out)
    for scenario in scenarios({modality: dataset.present[modality] for modality in plan.dims}):
        chosen = scenario.cases & held_out
        if chosen.any():
            yield scenario, chosen, labels[chosen]
